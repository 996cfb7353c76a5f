"""An index of facts about files, kept between runs and shared by machines: a journal of lines of JSON.

    FOLDER/<host>-<process>-<random>.jsonl    [path, part, state, content, value, when, digest] a line

A fact is found by the path and state of a file, or by its content: a copy elsewhere has other paths and the same facts.
Without the index results are the same, only slower. A damaged line is ignored. If the index cannot be written, one
warning says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from commons import files, journals
from commons.errors import Notice

SUFFIX = ".jsonl"
CONTENT = "content"  # in place of a state: the key is that of a content
TAKEN_OVER = "earlier.jsonl"  # holds the rows of an index of earlier versions, an SQLite file
Key = tuple[str, str]  # path, or content, and part of the file
Row = tuple[Key, str, str, object]  # key, state, content (a hash of the file's bytes), value


def state(stat: os.stat_result) -> str:
    """A text that changes whenever a file is written or replaced: its ctime cannot be set back."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino} {stat.st_dev}"


class _Folder:
    """Where in the files of a journal the line of each key is, as far as this process has read them."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._read: dict[Path, int] = {}  # bytes
        self._at: dict[int, tuple[float, int, int]] = {}  # hash of a key -> when, number of the file, offset

    def refresh(self, folder: Path) -> None:
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
            for key in [(path, part, then), *([(content, part, CONTENT)] if content else [])]:
                place = hash(key)
                if place not in self._at or self._at[place][0] <= when:
                    self._at[place] = when, number, offset

    def values(self, keys: Iterable[tuple[str, str, str]]) -> Iterator[tuple[Key, object]]:
        """Key and value of (path, part, state), or of (content, part, CONTENT), for those that are there."""
        lines: dict[int, list[tuple[int, tuple[str, str, str]]]] = {}
        for key in keys:
            if place := self._at.get(hash(key)):
                lines.setdefault(place[1], []).append((place[2], key))
        for number, several in lines.items():
            with suppress(FileNotFoundError), self._paths[number].open("rb") as file:
                for offset, key in sorted(several):
                    file.seek(offset)
                    with suppress(ValueError, TypeError):
                        path, part, then, content, value, when, digest = json.loads(file.readline())
                        own = (content, part, CONTENT) if key[2] == CONTENT else (path, part, then)
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
                there = _folders.setdefault(folder, _Folder())
                there.refresh(folder)
                values.update(there.values(keys))
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


def _line(path: str, part: str, then: str, content: str, value: object, when: float) -> str:
    digest = _digest(path, part, then, content, value, when)
    return json.dumps([path, part, then, content, value, when, digest]) + "\n"


def _digest(path: str, part: str, then: str, content: str, value: object, when: float) -> str:
    """The hash of a row, by which a damaged row is recognised."""
    text = "\0".join((path, part, then, content, json.dumps([value, when], sort_keys=True)))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
