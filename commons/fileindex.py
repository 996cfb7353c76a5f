"""An index of facts about files, kept between runs and shared by machines: a journal of lines of JSON.

    FOLDER/<host>-<process>-<random>.jsonl    [path, part, state, content, value, when, digest] a line

A fact is found by the path and state of a file, or by its content: a copy elsewhere has other paths and the same facts.
Without the index results are the same, only slower. A damaged line is ignored. If the index cannot be written, one
warning says so.

    FOLDER/kept-<random>.jsonl                the rows that count of files that nobody appends to any more

Files that were not touched for a week are joined into one when they are more than twice as long as what was left the
last time; rows of files that are gone or have changed are left out, unless nothing newer is known of their content.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from commons import files, journals
from commons.errors import Notice

SUFFIX = ".jsonl"
CONTENT = "content"  # in place of a state: the key is that of a content
TAKEN_OVER = "earlier.jsonl"  # holds the rows of an index of earlier versions, an SQLite file
KEPT = "kept-"  # begins the name of a file of joined ones
SETTLED = 7 * 86400.0  # s; a process hardly appends to a file that it left alone for so long
TRIES = 3  # of reading a journal whose files are joined meanwhile
SMALLEST = 1 << 20  # bytes; a shorter journal is not worth joining
Key = tuple[str, str]  # path, or content, and part of the file
Row = tuple[Key, str, str, object]  # key, state, content (a hash of the file's bytes), value


def state(stat: os.stat_result) -> str:
    """A text that changes whenever a file is written or replaced: its ctime cannot be set back.

    The device is no part of it: machines number the same network disk differently, and at every boot.
    """
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _plain(then: str) -> str:
    """A state of a row without the device, which earlier versions put behind it."""
    return " ".join(then.split(" ")[:4])


class _Folder:
    """Where in the files of a journal the line of each key is, as far as this process has read them."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._paths: list[Path] = []
        self._read: dict[Path, int] = {}  # bytes
        self._at: dict[int, tuple[float, int, int]] = {}  # hash of a key -> when, number of the file, offset

    def look_up(self, folder: Path, keys: Sequence[tuple[str, str, str]]) -> dict[Key, object]:
        """Key and value of (path, part, state), or of (content, part, CONTENT), for those that are there.

        Raises:
            OSError: a file cannot be read.
        """
        for _ in range(TRIES):
            try:
                self._refresh(folder)
                return dict(self._values(keys))
            except FileNotFoundError:  # joined with others meanwhile: what counts is in a new file
                self._forget()
        return {}

    def _refresh(self, folder: Path) -> None:
        """Read what was appended since the last time. Raises OSError."""
        for path in journals.files(folder, SUFFIX):
            if path not in self._read:
                self._paths.append(path)
            number, start = self._paths.index(path), self._read.setdefault(path, 0)
            if path.stat().st_size < start:  # replaced by another
                start = 0
            with path.open("rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):  # half written
                        break
                    self._place(line, number, start)
                    start += len(line)
            self._read[path] = start

    def _place(self, line: bytes, number: int, offset: int) -> None:
        with suppress(ValueError, TypeError):
            path, part, then, content, _, when, _ = json.loads(line)
            for key in [(path, part, _plain(then)), *([(content, part, CONTENT)] if content else [])]:
                place = hash(key)
                if place not in self._at or self._at[place][0] <= when:
                    self._at[place] = when, number, offset

    def _values(self, keys: Sequence[tuple[str, str, str]]) -> Iterator[tuple[Key, object]]:
        lines: dict[int, list[tuple[int, tuple[str, str, str]]]] = {}
        for key in keys:
            if place := self._at.get(hash(key)):
                lines.setdefault(place[1], []).append((place[2], key))
        for number, several in lines.items():
            with self._paths[number].open("rb") as file:
                for offset, key in sorted(several):
                    file.seek(offset)
                    with suppress(ValueError, TypeError):
                        path, part, then, content, value, when, digest = json.loads(file.readline())
                        own = (content, part, CONTENT) if key[2] == CONTENT else (path, part, _plain(then))
                        if own == key and digest == _digest(path, part, then, content, value, when):
                            yield key[:2], value


_folders: dict[Path, _Folder] = {}  # what this process has read


class FileIndex:
    """An index of JSON values by path and part of a file, and by content and part."""

    def __init__(self, folder: Path, below: Sequence[Path] = ()) -> None:
        """
        Args:
            folder: of the journal. Beside it may be the index of an earlier version, `folder`.sqlite.
            below: folders of other indexes, which are only read.
        """
        self.folder, self._below, self._usable = folder, tuple(below), True

    def known(self, keys: Iterable[Key]) -> dict[Key, object]:
        """Values of the keys whose files have not changed since the values were written."""
        wanted = list(dict.fromkeys(keys))
        states: dict[str, str] = {}
        for path in dict.fromkeys(path for path, _ in wanted):
            with suppress(OSError, ValueError):  # a missing file is reported when it is read
                states[path] = state(os.stat(path))
        return self._values([(path, part, states[path]) for path, part in wanted if path in states])

    def same(self, keys: Iterable[Key]) -> dict[Key, object]:
        """Values of (content, part) of any file."""
        return self._values([(content, part, CONTENT) for content, part in keys])

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows in one write."""
        if rows and self._usable:
            text = "".join(_line(*key, then, content, value, time.time()) for key, then, content, value in rows)
            try:
                journals.append(self.folder, text, SUFFIX)
            except OSError as error:
                self._warn(error)

    def _values(self, keys: Sequence[tuple[str, str, str]]) -> dict[Key, object]:
        values: dict[Key, object] = {}
        for folder in (*reversed(self._below), self.folder):
            try:
                if folder == self.folder:
                    self._take_over()
                    if folder not in _folders:
                        _compact(folder)
                values.update(_folders.setdefault(folder, _Folder()).look_up(folder, keys))
            except OSError as error:
                self._warn(error)
        return values

    def _take_over(self) -> None:
        """Copy the rows of an index of an earlier version, once. A damaged one is left alone, with a warning."""
        older = self.folder.with_suffix(".sqlite")
        if not older.is_file() or (self.folder / TAKEN_OVER).exists():
            return
        lines = []
        try:
            with closing(sqlite3.connect(f"{older.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
                for path, part, then, text in connection.execute("SELECT path, part, state, value FROM known"):
                    value = json.loads(text)
                    content = value.get("sha256", "") if isinstance(value, dict) else ""
                    lines.append(_line(path, part, then, content, value, 0.0))
        except (sqlite3.Error, ValueError, TypeError) as error:
            warnings.warn(f"damaged index {older} is not used ({error}); files are read again", Notice, stacklevel=2)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write(self.folder / TAKEN_OVER, "".join(lines))

    def _warn(self, error: OSError) -> None:
        if self._usable:
            self._usable = False
            warnings.warn(
                f"cannot use the cache {self.folder.parent} ({error}): facts about files are not kept; free space, "
                "make it writable, or name another with --cache",
                Notice,
                stacklevel=2,
            )


def _compact(folder: Path) -> None:
    """Join files that nobody appends to any more, without the rows that no longer count, where that is worth it.

    Other processes see a row in the old file or in the new one. A row that is appended in the very moment in which its
    file is removed is lost, and its file is read again.
    """
    with suppress(OSError):
        if not _settled(folder):
            return
        with files.locked(folder):
            sizes = _settled(folder)  # another process may have joined them meanwhile
            if lines := _counting(list(sizes)):
                with files.whole(folder / f"{KEPT}{uuid.uuid4().hex}{SUFFIX}") as file:
                    file.writelines(lines)
            for path, size in sizes.items():
                if path.stat().st_size == size:
                    path.unlink()


def _settled(folder: Path) -> dict[Path, int]:
    """The files to join with their sizes in bytes; none where they are not worth it, or the folder is not writable."""
    sizes: dict[Path, int] = {}
    for path in journals.files(folder, SUFFIX):
        facts, joined = path.stat(), path.name.startswith(KEPT)
        if path.name != TAKEN_OVER and (joined or time.time() - facts.st_mtime > SETTLED):
            sizes[path] = facts.st_size
    left = sum(size for path, size in sizes.items() if path.name.startswith(KEPT))
    worth = sum(sizes.values()) > 2 * max(left, SMALLEST) and os.access(folder, os.W_OK)
    return sizes if worth else {}


def _counting(paths: Sequence[Path]) -> list[bytes]:
    """The lines that count: the newest of each content, and of each file that is there in the state of the line."""
    newest: dict[tuple[str, str, str], tuple[float, bytes]] = {}
    now: dict[str, str] = {}
    for file in paths:
        for line in file.read_bytes().splitlines(keepends=True):
            with suppress(ValueError, TypeError):
                path, part, then, content, value, when, digest = json.loads(line)
                if digest != _digest(path, part, then, content, value, when):
                    continue
                if path not in now:
                    now[path] = _now(path)
                keys = [(path, part, now[path])] if now[path] == _plain(then) else []
                for key in [*keys, *([(content, part, CONTENT)] if content else [])]:
                    if key not in newest or newest[key][0] <= when:
                        newest[key] = when, line.rstrip(b"\n") + b"\n"
    return list(dict.fromkeys(line for _, line in newest.values()))


def _now(path: str) -> str:
    """The state of a file; empty where it is gone."""
    try:
        return state(os.stat(path))
    except (OSError, ValueError):
        return ""


def _line(path: str, part: str, then: str, content: str, value: object, when: float) -> str:
    digest = _digest(path, part, then, content, value, when)
    return json.dumps([path, part, then, content, value, when, digest]) + "\n"


def _digest(path: str, part: str, then: str, content: str, value: object, when: float) -> str:
    """The hash of a row, by which a damaged row is recognised."""
    text = "\0".join((path, part, then, content, json.dumps([value, when], sort_keys=True)))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
