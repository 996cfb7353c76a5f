"""What the audio files hold: hashes, durations, and whether they can be used at all.

An index in the cache, keyed by a file's path, size, time and inode, spares reading a file twice. Nothing depends on it.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pandas as pd

VERSION = 1  # of the index; another version's is made anew
BLOCK = 1 << 18  # frames decoded at once: memory stays flat for audio of any length
UNKNOWN_SIZE = 0xFFFFFFFF  # what programs that write WAV to a pipe declare
QUERY = 500  # paths asked for in one query; SQLite allows 999
WRITE = 200  # files between two writes: an interruption loses no more
Result = TypeVar("Result")


@dataclass(frozen=True)
class Content:
    """What an utterance's audio holds.

    Attributes:
        sha256: of the file's bytes.
        samples_sha256: of the decoded samples of the utterance, with rate and channels.
        duration: of the utterance, seconds; rate in Hz and channels are the file's.
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
    def span(self) -> str:
        return f"{self.start!r}-{self.end!r}"


def examine(
    utterances: pd.DataFrame, cache: Path, jobs: int = 1, progress: Callable[[float, float], None] | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Contents of all utterances, and what is wrong with those that cannot be used.

    Args:
        utterances: the utterance table (`path`, and `start`, `end` in seconds where they are segments).
        cache: folder of the index, made if need be; where it cannot be used, a warning says so and nothing is kept.
        jobs: threads that decode.
        progress: called with (done, to do) while files are read that the index does not know.

    Returns:
        A table with the fields of `Content`, indexed by the ids of usable utterances; and reasons by the other ids.
    """
    nothing = pd.Series(np.nan, utterances.index)
    starts, ends = utterances.get("start", nothing), utterances.get("end", nothing)
    items = [
        _Item(path, 0.0 if pd.isna(start) else float(start), float("inf") if pd.isna(end) else float(end))
        for path, start, end in zip(utterances["path"].tolist(), starts, ends, strict=True)
    ]
    ids = utterances.index.tolist()
    with _open(cache) as index:
        known = _known(index, items)
        todo = [item for item in dict.fromkeys(items) if item not in known]
        bad: dict[_Item, str] = {}
        fresh: list[tuple] = []
        for done, (item, stat, content) in enumerate(_examined(todo, jobs), start=1):
            if isinstance(content, Content) and stat is not None:
                known[item] = content
                fresh.append((item.path, item.span, *_state(stat), *astuple(content)))
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


def _examined(items: Sequence[_Item], jobs: int) -> Iterator[tuple[_Item, os.stat_result | None, Content | BadAudio]]:
    """Each item as it is done; a window of work at a time, so that an error or Ctrl-C ends it soon."""

    def work(item: _Item) -> tuple[_Item, os.stat_result | None, Content | BadAudio]:
        try:
            stat = os.stat(item.path)  # before reading: a file changed meanwhile is read again next time
            return item, stat, read(item.path, item.start, item.end)
        except BadAudio as error:
            return item, None, error
        except OSError as error:
            return item, None, BadAudio(f"cannot be read ({error.strerror})")

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for first in range(0, len(items), QUERY):
            for future in as_completed([pool.submit(work, item) for item in items[first : first + QUERY]]):
                yield future.result()


class _Index:
    """The SQLite file. It only spares work: damaged, it is made anew; unusable, it is told once and done without."""

    def __init__(self, cache: Path) -> None:
        self.path = cache / "content.sqlite"
        self.connection: sqlite3.Connection | None = None
        self.usable = True

    def select(self, query: str, values: Sequence[object]) -> list[tuple]:
        """Rows of a query; none where the index cannot be used."""
        return self._run(lambda connection: connection.execute(query, values).fetchall()) or []

    def write(self, rows: Sequence[tuple]) -> None:
        """Add or replace rows at once, so that other processes never wait long."""
        if rows:
            self._run(lambda connection: _write(connection, rows))

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        if not self.usable:
            return None
        try:
            try:
                return work(self._connected())
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # the folder's or the disk's fault, not the file's
                    raise
                self._set_aside(error)
                return work(self._connected())
        except (OSError, sqlite3.Error) as error:
            self.usable = False
            warnings.warn(
                f"cannot use the cache {self.path.parent} ({error}): what is read of the audio is not kept; free "
                "space, allow writing, or name another with --cache",
                stacklevel=2,
            )
            return None

    def _connected(self) -> sqlite3.Connection:
        if self.connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.path, timeout=60)
            _prepare(self.connection)
        return self.connection

    def _set_aside(self, error: Exception) -> None:
        self.close()
        self.connection = None
        aside = self.path.with_suffix(".damaged")
        os.replace(self.path, aside)
        Path(f"{self.path}-journal").unlink(missing_ok=True)  # it would be played back into the new file
        warnings.warn(f"damaged index {self.path} moved to {aside} ({error}); audio is read again", stacklevel=2)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, unless one of this version is there."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            return  # another process was quicker
        connection.execute("DROP TABLE IF EXISTS content")
        connection.execute(
            "CREATE TABLE content (path, span, size, mtime_ns, inode, sha256, samples_sha256, duration, rate, "
            "channels, PRIMARY KEY (path, span)) WITHOUT ROWID"
        )
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _write(connection: sqlite3.Connection, rows: Sequence[tuple]) -> None:
    with connection:
        connection.executemany("INSERT OR REPLACE INTO content VALUES (?,?,?,?,?,?,?,?,?,?)", rows)


def _open(cache: Path) -> closing[_Index]:
    return closing(_Index(cache))


def _state(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _known(index: _Index, items: Sequence[_Item]) -> dict[_Item, Content]:
    """Contents of items whose files are as they were when they were read."""
    states = {}
    for path in dict.fromkeys(item.path for item in items):
        with suppress(OSError):  # a missing file is reported when it is read
            states[path] = _state(os.stat(path))
    paths, rows = list(states), {}
    for first in range(0, len(paths), QUERY):
        some = paths[first : first + QUERY]
        for row in index.select(f"SELECT * FROM content WHERE path IN ({','.join('?' * len(some))})", some):
            if row[2:5] == states[row[0]]:
                rows[row[0], row[1]] = Content(*row[5:])
    return {item: rows[item.path, item.span] for item in items if (item.path, item.span) in rows}


def read(path: str | Path, start: float = 0.0, end: float = float("inf")) -> Content:
    """Read an utterance's audio from its first byte to its last.

    Args:
        start, end: the utterance's segment of the file, seconds.

    Raises:
        BadAudio: the file is empty, truncated, not audio, or has no samples or invalid ones.
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
    """Find truncation that decoders pass over: less than a header declares, an Ogg without its last page."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(12)
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", header)
            if kind == b"data":
                there = size - file.tell()
                if length != UNKNOWN_SIZE and length > there:
                    raise BadAudio(f"is truncated: {there} of {length} bytes of samples are there")
                return
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


def _declared(file: BinaryIO) -> int | None:
    """Bytes that the header of an AIFF, Wave64, RF64 or AU file says it has, whatever its suffix; None of others."""
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
