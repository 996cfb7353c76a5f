"""Contents of audio files: hashes, durations, and whether they can be used.

An index in the cache saves decoding a file twice, a copy of it elsewhere as well. Results do not depend on it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from commons import fileindex, hashing
from commons.fileindex import FileIndex
from commons.progress import Progress

INDEX = "audio"
BLOCK = 1 << 18  # frames decoded at once, so that memory does not grow with the length of a file
UNKNOWN_SIZE = 0xFFFFFFFF  # the size that programs declare when they write WAV to a pipe
RATES = (2000, 768000)  # Hz; a header that claims less or more is damaged
SAMPLES = {1: "whole numbers", 3: "floats", 0xFFFE: "samples"}  # WAV formats in which `bits` is the size of a sample
POINTER = b"version https://git-lfs.github.com/spec/"  # the first bytes of a file that git-lfs has not fetched
WINDOW = 500  # files given to threads at a time, so that an error or Ctrl-C stops the work soon
WRITE = 200  # files between two writes: an interruption loses no more than these


@dataclass(frozen=True)
class Content:
    """Contents of an utterance's audio.

    Attributes:
        sha256: of the file's bytes.
        samples_sha256: of the decoded samples of the utterance, with rate and channels.
        duration: of the utterance, in seconds.
        rate, channels: of the file, rate in Hz.
    """

    sha256: str
    samples_sha256: str
    duration: float
    rate: int
    channels: int


class BadAudio(Exception):
    """An audio file cannot be used; the message says why."""


@dataclass(frozen=True)
class _Item:
    """One utterance's audio and its key in the index."""

    path: str
    start: float
    end: float

    @property
    def part(self) -> str:
        """Which part of the file it is, as the index spells it."""
        return f"{self.start!r}-{self.end!r}"

    @property
    def key(self) -> fileindex.Key:
        return self.path, self.part


def examine(
    utterances: pd.DataFrame,
    cache: Path,
    jobs: int = 1,
    progress: Progress | None = None,
    below: Sequence[Path] = (),
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Contents of the usable utterances, and reasons for those that cannot be used.

    Args:
        utterances: the utterance table (`path`, and `start`, `end` in seconds where they are segments).
        cache: folder of the index; where it cannot be used, a warning says so and nothing is kept.
        jobs: threads that decode.
        progress: called with (files done, files to do) while files are read that are not in the index.
        below: caches whose index is read, too.

    Returns:
        A table with the fields of `Content`, indexed by id, of usable utterances; and reasons by id of the others.
    """
    nothing = pd.Series(np.nan, utterances.index)
    starts, ends = utterances.get("start", nothing), utterances.get("end", nothing)
    items = [
        _Item(path, 0.0 if pd.isna(start) else float(start), float("inf") if pd.isna(end) else float(end))
        for path, start, end in zip(utterances["path"].tolist(), starts, ends, strict=True)
    ]
    ids = utterances.index.tolist()
    index = FileIndex(cache / INDEX, [one / INDEX for one in below])
    known = _contents(index.known(item.key for item in items), {item.key: item for item in items})
    todo = [item for item in dict.fromkeys(items) if item not in known]
    bad: dict[_Item, str] = {}
    fresh: list[fileindex.Row] = []
    for done, (item, state, content) in enumerate(_examined(todo, jobs, index), start=1):
        if isinstance(content, Content):
            known[item] = content
            fresh.append((item.key, state, content.sha256, asdict(content)))
        else:
            bad[item] = str(content)
        if len(fresh) == WRITE:
            index.write(fresh)
            fresh = []
        if progress is not None:
            progress(done, len(todo))
    index.write(fresh)
    good = {utterance: known[item] for utterance, item in zip(ids, items, strict=True) if item in known}
    table = pd.DataFrame(
        [tuple(vars(content).values()) for content in good.values()],
        index=pd.Index(list(good), name="id", dtype=str),
        columns=list(Content.__dataclass_fields__),
    )
    return table, {u: bad[item] for u, item in zip(ids, items, strict=True) if item in bad}


def _contents(values: Mapping[fileindex.Key, object], items: Mapping[fileindex.Key, _Item]) -> dict[_Item, Content]:
    """Contents from the index, by item."""
    known = {items[key]: Content(**value) for key, value in values.items() if isinstance(value, dict)}
    return {item: content for item, content in known.items() if RATES[0] <= content.rate <= RATES[1]}


def _examined(items: Sequence[_Item], jobs: int, index: FileIndex) -> Iterator[tuple[_Item, str, Content | BadAudio]]:
    """Each item with its file's state and its content, or the reason why it cannot be used, as they are done.

    A copy of a file that the index knows is hashed, and not decoded.
    """

    def hashed(item: _Item) -> tuple[_Item, str, str | BadAudio]:
        try:
            state = fileindex.state(os.stat(item.path))  # before reading: a file that changes meanwhile is read again
            return item, state, hashing.of_file(Path(item.path))
        except OSError as error:
            return item, "", BadAudio(f"cannot be read ({error.strerror})")

    def work(item: _Item, state: str) -> tuple[_Item, str, Content | BadAudio]:
        try:
            return item, state, read(item.path, item.start, item.end)
        except BadAudio as error:
            return item, "", error
        except OSError as error:
            return item, "", BadAudio(f"cannot be read ({error.strerror})")

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for first in range(0, len(items), WINDOW):
            some = list(pool.map(hashed, items[first : first + WINDOW]))
            keys = {item: (sha256, item.part) for item, _, sha256 in some if isinstance(sha256, str)}
            same = index.same(keys.values())
            decode: list[Future[tuple[_Item, str, Content | BadAudio]]] = []
            for item, state, sha256 in some:
                if isinstance(sha256, BadAudio):
                    yield item, state, sha256
                elif kept := _contents({keys[item]: same.get(keys[item])}, {keys[item]: item}):
                    yield item, state, kept[item]
                else:
                    decode.append(pool.submit(work, item, state))
            for future in as_completed(decode):
                yield future.result()


def read(path: str | Path, start: float = 0.0, end: float = float("inf")) -> Content:
    """The content of an utterance's audio, which is read to its end.

    Args:
        start, end: the utterance's segment of the file, in seconds.

    Raises:
        BadAudio: the file is empty, truncated, not audio or a git-lfs pointer, declares an impossible rate or sample
            size, or has no samples or invalid ones.
        OSError: it cannot be opened.
    """
    import soundfile

    if os.path.getsize(path) == 0:
        raise BadAudio("is empty (0 bytes)")
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        _check_container(file)
    try:
        with soundfile.SoundFile(path) as audio:
            if not RATES[0] <= audio.samplerate <= RATES[1]:
                raise BadAudio(
                    f"claims {audio.samplerate} Hz (possible: {RATES[0]} to {RATES[1]}); its header is damaged"
                )
            first = round(start * audio.samplerate)
            last = audio.frames if end == float("inf") else min(audio.frames, round(end * audio.samplerate))
            samples = hashlib.sha256(f"{audio.samplerate} {audio.channels}\n".encode())
            if audio.frames == 0:
                raise BadAudio("has no samples")
            if first >= last:
                seconds = audio.frames / audio.samplerate
                raise BadAudio(f"lasts {seconds:.2f} s, its segment is from {start} to {end} s")
            if first:
                audio.seek(first)
            left = last - first
            while left:
                block = audio.read(min(BLOCK, left), dtype="float32", always_2d=True)
                if not len(block):
                    raise BadAudio(f"is truncated: {left} of {audio.frames} samples are missing")
                if not np.isfinite(block).all():
                    raise BadAudio("has samples that are not numbers (NaN or infinite)")
                samples.update(block.tobytes())
                left -= len(block)
            duration = (last - first) / audio.samplerate
            return Content(sha256, samples.hexdigest(), duration, audio.samplerate, audio.channels)
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"cannot be decoded as audio ({error.error_string.rstrip('.')})") from error


def _check_container(file: BinaryIO) -> None:
    """Raise BadAudio for damage that decoders ignore: bytes that are missing, or an Ogg without its last page."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(len(POINTER))
    if magic == POINTER:
        raise BadAudio("is a git-lfs pointer, not audio; run `git lfs pull` in the clone that it lies in")
    file.seek(12)
    if magic[:4] == b"RIFF" and magic[8:12] == b"WAVE":
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", header)
            if kind == b"data":
                there = size - file.tell()
                if length != UNKNOWN_SIZE and length > there:
                    raise BadAudio(f"is truncated: {there} of {length} bytes of samples are there")
                return
            if kind == b"fmt ":
                _check_format(file.read(min(length, 16)).ljust(16, b"\0"))
                length -= min(length, 16)
            file.seek(length + length % 2, os.SEEK_CUR)
    elif (declared := _declared(file)) is not None:
        if declared > size:
            raise BadAudio(f"is truncated: {size} of {declared} bytes are there")
    elif magic[:4] == b"OggS":
        # A page is at most 65,307 bytes: 27, a table of up to 255 lengths, and as many segments of up to 255.
        tail_start = max(0, size - 65307)
        file.seek(tail_start)
        tail = file.read()
        page = tail.rfind(b"OggS")
        if page < 0 or page + 27 > len(tail) or not tail[page + 5] & 4:
            raise BadAudio("is truncated: its last Ogg page is missing")
        lengths = tail[page + 27 : page + 27 + tail[page + 26]]
        if len(lengths) < tail[page + 26] or tail_start + page + 27 + len(lengths) + sum(lengths) > size:
            raise BadAudio("is truncated: its last Ogg page is cut")


def _check_format(fmt: bytes) -> None:
    """Raise BadAudio where a WAV header declares an impossible sample size, which decoders ignore."""
    form, channels, _, _, block, bits = struct.unpack("<HHIIHH", fmt)
    if form in SAMPLES and not (8 <= bits <= 64 and block >= channels * -(-bits // 8)):
        raise BadAudio(
            f"claims {SAMPLES[form]} of {bits} bits in blocks of {block} bytes for {channels} channels; its header is "
            "damaged"
        )


def _declared(file: BinaryIO) -> int | None:
    """Number of bytes that the header of an AIFF, Wave64, RF64 or AU file declares; None for other files."""
    file.seek(0)
    head = file.read(40).ljust(40, b"\0")
    if head[:4] == b"FORM":
        return 8 + struct.unpack_from(">I", head, 4)[0]
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return struct.unpack_from("<Q", head, 16)[0]
    if head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        return 8 + struct.unpack_from("<Q", head, 20)[0]
    if head[:4] == b".snd":
        start, length = struct.unpack_from(">II", head, 4)
        return None if length == UNKNOWN_SIZE else start + length
    return None
