"""Speech for pre-training, decoded once: 16 kHz int16 samples in shards that are checksummed and memory-mapped.

    CACHE/packs/<32 hex>.pcm     the samples of up to 256 files, one after another
    CACHE/packs/<32 hex>.json    which part is which file, what was skipped and why, sha256 of the samples; written last

A shard is named by its files (path below the folder, size, time) and the rule they were read by, so that runs share
it, a run that was stopped goes on at the shard, and a changed file makes its own shard anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from upstreams.audio import RULE, Segment, decode
from upstreams.contract import hash_path
from upstreams.emotion2vec.config import SAMPLE_RATE
from upstreams.errors import UpstreamError
from upstreams.store import TEMPORARY, sweep, write_bytes

SUFFIXES = {".wav", ".flac", ".opus", ".ogg", ".mp3"}
SHARD_FILES = 256
AHEAD = 16  # files in memory at a time
FULL_SCALE = 32767
VERSION = 1

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Bounds:
    """Which utterances are taken, in seconds: shorter files are skipped, longer ones cut into equal parts."""

    min_seconds: float
    max_seconds: float


@dataclass(frozen=True)
class Pack:
    """N utterances; long files are several."""

    shards: tuple[np.ndarray, ...]  # memory-mapped int16
    names: tuple[str, ...]  # file of each utterance
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
    """The pack of all audio under the folders; what is there already is verified and not decoded again.

    Raises:
        UpstreamError: a folder is missing, holds no audio that can be used, or the disk is full.
    """
    place = cache / "packs"
    groups = [(folder, files) for folder in folders for files in _groups(folder)]
    total, done = sum(len(files) for _, files in groups), 0
    try:
        place.mkdir(parents=True, exist_ok=True)
        sweep(place)
        with ThreadPoolExecutor(jobs) as pool:
            shards = []
            for folder, files in groups:
                shards.append(_shard(folder, files, place, bounds, pool))
                done += len(files)
                if progress:
                    progress(done, total)
    except OSError as error:
        raise UpstreamError(
            f"cannot write decoded speech to {place}: {error.strerror or error}; free space or name another folder "
            "with --cache; shards that are done are kept"
        ) from error
    return _join(shards, folders, bounds)


def _groups(folder: Path) -> Iterator[list[Path]]:
    if not folder.is_dir():
        raise UpstreamError(f"--data {folder}: no such folder; name folders that hold speech")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise UpstreamError(f"--data {folder}: holds no audio ({', '.join(sorted(SUFFIXES))})")
    yield from (files[i : i + SHARD_FILES] for i in range(0, len(files), SHARD_FILES))


def _shard(folder: Path, files: list[Path], place: Path, bounds: Bounds, pool: ThreadPoolExecutor) -> dict[str, Any]:
    """A shard's description, from its file, or made now."""
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    facts = (VERSION, RULE, bounds.min_seconds, bounds.max_seconds, [(n, s.st_size, s.st_mtime_ns) for n, s in stats])
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    about, pcm = place / f"{key}.json", place / f"{key}.pcm"
    found = _read(about, pcm)
    if found is None:
        found = _decode(folder, files, pcm, bounds, pool)
        write_bytes(about, json.dumps(found).encode())
    return {**found, "pcm": pcm, "folder": folder}


def _read(about: Path, pcm: Path) -> dict[str, Any] | None:
    """None where it is not there or not whole; then it is made anew."""
    try:
        found = json.loads(about.read_text())
        return found if found["sha256"] == hash_path(pcm) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _decode(folder: Path, files: list[Path], pcm: Path, bounds: Bounds, pool: ThreadPoolExecutor) -> dict[str, Any]:
    aside = pcm.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    digest, position = hashlib.sha256(), 0
    utterances: list[tuple[str, int, int]] = []
    skipped: dict[str, str] = {}
    try:
        with open(aside, "wb") as out:
            for path, heard in _all(files, bounds, pool):
                name = path.relative_to(folder).as_posix()
                if isinstance(heard, str):
                    skipped[name] = heard
                    continue
                content = heard.tobytes()
                out.write(content)
                digest.update(content)
                edges = _cuts(len(heard), bounds)
                utterances += [(name, position + a, b - a) for a, b in pairwise(edges)]
                position += len(heard)
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, pcm)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return {"utterances": utterances, "skipped": skipped, "sha256": digest.hexdigest()}


def _all(files: list[Path], bounds: Bounds, pool: ThreadPoolExecutor) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Each file and what was heard of it, a few at a time: files may be hours long."""
    for first in range(0, len(files), AHEAD):
        some = files[first : first + AHEAD]
        yield from zip(some, pool.map(partial(_hear, bounds=bounds), some), strict=True)


def _hear(path: Path, bounds: Bounds) -> np.ndarray | str:
    """int16 samples, or why the file is skipped."""
    try:
        waveform = decode(Segment(str(path), hash_path(path), None, None, None, 0.0), SAMPLE_RATE)
    except (UpstreamError, OSError) as error:
        return str(error)
    if len(waveform) < bounds.min_seconds * SAMPLE_RATE:
        return f"{len(waveform) / SAMPLE_RATE:.2f} s, shorter than {bounds.min_seconds:g} s"
    return np.round(np.clip(waveform, -1, 1) * FULL_SCALE).astype("<i2")


def _cuts(samples: int, bounds: Bounds) -> list[int]:
    parts = -(-samples // round(bounds.max_seconds * SAMPLE_RATE))
    return [round(samples * i / parts) for i in range(parts + 1)]


def _join(shards: list[dict[str, Any]], folders: Sequence[Path], bounds: Bounds) -> Pack:
    rows = [(index, *row) for index, shard in enumerate(shards) for row in shard["utterances"]]
    skipped = {str(shard["folder"] / name): why for shard in shards for name, why in shard["skipped"].items()}
    if not rows:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise UpstreamError(f"no file under {', '.join(map(str, folders))} can be used ({reasons})")
    number, names, start, length = zip(*rows, strict=True)
    key = hashlib.sha256(json.dumps([(shard["sha256"], shard["utterances"]) for shard in shards]).encode()).hexdigest()
    return Pack(
        tuple(np.memmap(s["pcm"], "<i2", "r") if s["utterances"] else np.zeros(0, "<i2") for s in shards),
        names, np.array(number), np.array(start), np.array(length), tuple(s["pcm"] for s in shards), skipped, key,
    )  # fmt: skip
