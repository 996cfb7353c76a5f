"""Speech for pre-training, decoded once: 16 kHz int16 samples in shards that are checksummed and memory-mapped.

    CACHE/packs/<32 hex>.pcm     the samples of some 256 files, one after another
    CACHE/packs/<32 hex>.json    which part is which file, what was skipped and why, sha256 of the samples; written last
    CACHE/packs/hashes/*.jsonl   sha256 of audio files, kept for as long as a file stays as it is

A shard is named by the content of its files and the rule they were decoded by. So runs share shards wherever the files
lie, decoding that was stopped goes on at the next shard, and of a new or changed file only its own shard is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from commons import fileindex, files, hashing
from commons.errors import EmorepError
from commons.fileindex import FileIndex
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.inputs.audio import RULE, Segment, decode
from upstreams.pretraining.batches import SAMPLE_RATE

SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}
SHARD_FILES = 256  # on average
LONGEST = 4  # times that
AHEAD = 16  # files in memory at a time
FULL_SCALE = 32767
VERSION = 2  # of the shards
HASHES, WHOLE = "hashes", "sha256"  # the index of hashes; the hash is of the whole file
AT_ONCE = 64  # files hashed between two writes of the index: a killed program loses no more
POINTER = b"version https://git-lfs.github.com/spec/"  # how a file begins that git-lfs has not fetched yet


@dataclass(frozen=True)
class Bounds:
    """Which utterances are taken, in seconds: shorter files are skipped, longer ones cut into equal parts."""

    min_seconds: float
    max_seconds: float


@dataclass(frozen=True)
class Pack:
    """N utterances; long files are several."""

    shards: tuple[np.ndarray, ...]  # memory-mapped int16
    names: tuple[str, ...]  # file of each utterance, below its folder
    files: np.ndarray  # (N,) number of the file: two may have one name, below two folders
    shard: np.ndarray  # (N,) index into shards
    start: np.ndarray  # (N,) first sample in the shard
    lengths: np.ndarray  # (N,) samples
    paths: tuple[Path, ...]  # of the shards
    skipped: dict[str, str]  # file -> why
    key: str  # hash of all the samples and their bounds

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def hours(self) -> float:
        return float(self.lengths.sum()) / SAMPLE_RATE / 3600

    def samples(self, utterance: int) -> np.ndarray:
        """(lengths[utterance],) float32 in [-1, 1]."""
        start = self.start[utterance]
        part = self.shards[self.shard[utterance]][start : start + self.lengths[utterance]]
        return part.astype(np.float32) / FULL_SCALE


def build(
    folders: Sequence[Path], cache: Path, bounds: Bounds, jobs: int = 1, progress: Progress | None = None
) -> Pack:
    """The pack of all audio under the folders; shards that are there already are verified and not decoded again.

    Raises:
        UpstreamError: a folder is missing, holds no audio that can be used, or the disk is full.
    """
    place = cache / "packs"
    audio = _files(folders)
    try:
        place.mkdir(parents=True, exist_ok=True)
        files.sweep(place)
        with ThreadPoolExecutor(jobs) as pool:
            known, skipped = hashes([file.path for file in audio], place, pool)
            groups = list(_groups((file, known[file.path]) for file in audio if file.path in known))
            shards, done = list[Shard](), 0
            for group in groups:
                shards.append(_shard(group, place, bounds, pool))
                done += len(group)
                if progress:
                    progress(done, sum(map(len, groups)))
    except Changed as error:
        forget(error.path, place)
        raise
    except OSError as error:
        raise UpstreamError(
            f"cannot write decoded speech to {place}: {error.strerror or error}; free space or name another folder "
            "with --cache; shards that are done are kept"
        ) from error
    return _join(shards, skipped, folders)


def known_key(folders: Sequence[Path], cache: Path, bounds: Bounds) -> str | None:
    """The key of what `build` gives, told by the cache alone; None where not all of it is decoded, or files changed.

    Raises UpstreamError: a folder is missing, or holds no audio.
    """
    place, audio = cache / "packs", _files(folders)
    known = _known([file.path for file in audio], place) if place.is_dir() else {}
    if len(known) < len(audio):
        return None
    groups = _groups((file, known[file.path]) for file in audio)
    contents = [_described(_place(group, place, bounds)) for group in groups]
    return _key([one for one in contents if one]) if all(contents) else None


class Changed(UpstreamError):
    """A file whose content is not what the index of hashes says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} changed while it was read; run again when nothing writes to it")


@dataclass(frozen=True)
class File:
    path: Path
    name: str  # below its folder


class Contents(BaseModel):
    """What a shard's JSON file says.

    Attributes:
        utterances: (number of the file in the group, first sample, samples) of each.
        skipped: (number of the file, why).
        sha256: of the samples.
        own: sha256 of all of the above; "" in files of earlier versions, which have none.
    """

    utterances: list[tuple[int, int, int]]
    skipped: list[tuple[int, str]]
    sha256: str
    own: str = ""

    def digest(self) -> str:
        """sha256 (hex) of what it says, but for `own`."""
        return hashing.of_json(self.model_dump(mode="json", exclude={"own"}))


@dataclass(frozen=True)
class Shard:
    """A group of files, decoded into the file `pcm`."""

    contents: Contents
    pcm: Path
    files: tuple[File, ...]


def _files(folders: Sequence[Path]) -> list[File]:
    """Audio files, those of a folder sorted by path; one that is reached by several ways comes once."""
    by_place: dict[str, File] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UpstreamError(f"--data {folder}: no such folder; name folders that hold speech")
        here = sorted(_walk(folder))
        if not here:
            raise UpstreamError(f"--data {folder}: holds no audio ({', '.join(sorted(SUFFIXES))})")
        for path in here:
            by_place.setdefault(os.path.realpath(path), File(path, path.relative_to(folder).as_posix()))
    return list(by_place.values())


def _walk(folder: Path) -> Iterator[Path]:
    """Audio files at any depth. Links to folders are followed, but no folder is entered twice: links may go round."""
    entered = set()
    for root, below, names in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(root)) in entered:
            below.clear()
            continue
        entered.add(place)
        below.sort()
        yield from (p for p in map(Path(root).joinpath, names) if p.suffix.lower() in SUFFIXES and p.is_file())


def _groups(files: Iterable[tuple[File, str]]) -> Iterator[list[tuple[File, str]]]:
    """Files with their sha256 in groups, one a shard. A file's hash decides whether it ends its group, so that a file
    that comes or goes changes its own group alone."""
    group: list[tuple[File, str]] = []
    for file, sha256 in files:
        group.append((file, sha256))
        if int(sha256[:8], 16) % SHARD_FILES == 0 or len(group) == LONGEST * SHARD_FILES:
            yield group
            group = []
    if group:
        yield group


def _shard(group: list[tuple[File, str]], place: Path, bounds: Bounds, pool: ThreadPoolExecutor) -> Shard:
    """A shard that is there and whole, or made now."""
    about = _place(group, place, bounds)
    pcm = about.with_suffix(".pcm")
    contents = _stored(about, pcm)
    if contents is None:
        contents = _decode(group, pcm, bounds, pool)
        files.write(about, json.dumps({**contents.model_dump(), "own": contents.digest()}))
    return Shard(contents, pcm, tuple(file for file, _ in group))


def _place(group: list[tuple[File, str]], place: Path, bounds: Bounds) -> Path:
    """The JSON file of a group's shard."""
    facts = (VERSION, RULE, bounds.min_seconds, bounds.max_seconds, [sha256 for _, sha256 in group])
    return place / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.json"


def _stored(about: Path, pcm: Path) -> Contents | None:
    """Contents of a shard; None where it is not there or not whole, so that it is made anew."""
    try:
        contents = _described(about)
        return contents if contents and contents.sha256 == hashing.of_file(pcm) else None
    except FileNotFoundError:
        return None


def _described(about: Path) -> Contents | None:
    """What the JSON file of a shard says, whether its samples are whole or not; None where it is missing or damaged."""
    try:
        contents = Contents.model_validate_json(about.read_bytes())
        return contents if contents.own in ("", contents.digest()) else None
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _decode(group: list[tuple[File, str]], pcm: Path, bounds: Bounds, pool: ThreadPoolExecutor) -> Contents:
    """Contents of a group of files, whose samples are written to `pcm`."""
    digest, position = hashlib.sha256(), 0
    utterances: list[tuple[int, int, int]] = []
    skipped: list[tuple[int, str]] = []
    with files.whole(pcm) as out:
        for number, samples in enumerate(_decoded(group, bounds, pool)):
            if isinstance(samples, str):
                skipped.append((number, samples))
                continue
            content = samples.tobytes()
            out.write(content)
            digest.update(content)
            edges = _cuts(len(samples), bounds)
            utterances += [(number, position + a, b - a) for a, b in pairwise(edges)]
            position += len(samples)
    return Contents(utterances=utterances, skipped=skipped, sha256=digest.hexdigest())


def _decoded(group: list[tuple[File, str]], bounds: Bounds, pool: ThreadPoolExecutor) -> Iterator[np.ndarray | str]:
    """Samples of each file, or why it is skipped; a few at a time, since files may be hours long."""
    for first in range(0, len(group), AHEAD):
        some = group[first : first + AHEAD]
        yield from pool.map(lambda one: _samples(one[0].path, one[1], bounds), some)


def _samples(path: Path, sha256: str, bounds: Bounds) -> np.ndarray | str:
    """int16 samples, or why the file is skipped. Raises UpstreamError where the file was changed meanwhile."""
    try:
        waveform = decode(Segment(str(path), sha256, None, None, None, 0.0), SAMPLE_RATE)
    except EmorepError as error:
        if isinstance(error.__cause__, OSError):  # the disk's or the network's fault, which may pass: no reason to keep
            reason = error.__cause__.strerror or error.__cause__
            said = f"{path} cannot be read ({reason}); run again, shards that are done are kept"
            raise UpstreamError(said) from error
        # The reason is kept under the hash of the content, so it has to be about that content.
        try:
            same = hashing.of_file(path) == sha256
        except OSError:
            same = False
        if not same:
            raise Changed(path) from error
        if _is_pointer(path):
            return "is a git-lfs pointer, not audio; run `git lfs pull` in the clone that it lies in"
        return str(error).removeprefix(f"{path}: ")
    if len(waveform) < bounds.min_seconds * SAMPLE_RATE:
        return f"{len(waveform) / SAMPLE_RATE:.2f} s, shorter than {bounds.min_seconds:g} s"
    return np.round(np.clip(waveform, -1, 1) * FULL_SCALE).astype("<i2")


def _is_pointer(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(POINTER)) == POINTER


def _cuts(samples: int, bounds: Bounds) -> list[int]:
    parts = -(-samples // round(bounds.max_seconds * SAMPLE_RATE))
    return [round(samples * i / parts) for i in range(parts + 1)]


def _join(shards: list[Shard], unread: dict[Path, str], folders: Sequence[Path]) -> Pack:
    """The pack of all shards. Raises UpstreamError where they hold no utterance."""
    skipped = {str(path): why for path, why in unread.items()}
    skipped |= {str(shard.files[number].path): why for shard in shards for number, why in shard.contents.skipped}
    before = np.cumsum([0, *(len(shard.files) for shard in shards)])
    rows = [
        (shard.files[number].name, before[index] + number, index, start, length)
        for index, shard in enumerate(shards)
        for number, start, length in shard.contents.utterances
    ]
    if not rows:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise UpstreamError(f"no file under {', '.join(map(str, folders))} can be used ({reasons})")
    names, number, index, start, length = zip(*rows, strict=True)
    return Pack(
        shards=tuple(np.memmap(s.pcm, "<i2", "r") if s.contents.utterances else np.zeros(0, "<i2") for s in shards),
        names=names,
        files=np.array(number),
        shard=np.array(index),
        start=np.array(start),
        lengths=np.array(length),
        paths=tuple(s.pcm for s in shards),
        skipped=skipped,
        key=_key([shard.contents for shard in shards]),
    )


def _key(shards: Sequence[Contents]) -> str:
    everything = [(contents.sha256, contents.utterances) for contents in shards]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def hashes(paths: Sequence[Path], place: Path, pool: ThreadPoolExecutor) -> tuple[dict[Path, str], dict[Path, str]]:
    """sha256 (hex) of each file that can be read, and of the others why they cannot.

    Args:
        place: folder of the index; where it cannot be used, there is a warning and nothing is kept.
    """
    unread: dict[Path, str] = {}
    index, digests = FileIndex(place / HASHES), _known(paths, place)
    fresh = [path for path in paths if path not in digests]
    for some in _some(fresh):
        rows: list[fileindex.Row] = []
        for path, done in zip(some, pool.map(_state_and_hash, some), strict=True):
            if isinstance(done, OSError):
                unread[path] = f"cannot be read ({done.strerror or done})"
            else:
                state, digests[path] = done
                rows.append(((os.path.realpath(path), WHOLE), state, "", digests[path]))
        index.write(rows)
    return digests, unread


def _known(paths: Sequence[Path], place: Path) -> dict[Path, str]:
    """sha256 (hex) of the files that the index in the folder `place` knows as they are now."""
    real = {path: os.path.realpath(path) for path in paths}
    kept = FileIndex(place / HASHES).known((name, WHOLE) for name in real.values())
    return {path: digest for path in paths if isinstance(digest := kept.get((real[path], WHOLE)), str) and digest}


def forget(path: Path, place: Path) -> None:
    """Drop a file from the index in the folder `place`, since its hash there is wrong; it is hashed again next time."""
    with suppress(OSError):  # a file that is gone needs no entry
        state = fileindex.state(os.stat(path))
        FileIndex(place / HASHES).write([((os.path.realpath(path), WHOLE), state, "", "")])


def _some(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for first in range(0, len(paths), AT_ONCE):
        yield paths[first : first + AT_ONCE]


def _state_and_hash(path: Path) -> tuple[str, str] | OSError:
    """The file's state, taken before it is read, so that a file changed meanwhile is hashed again next time."""
    try:
        return fileindex.state(path.stat()), hashing.of_file(path)
    except OSError as error:
        return error
