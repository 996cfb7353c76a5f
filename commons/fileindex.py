"""An index of facts about files, kept between runs: an SQLite file keyed by path and state of a file.

Without the index results are the same, only slower. A damaged index is replaced by an empty one and a damaged row is
ignored. If the index cannot be used, one warning says so and the files are read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from commons.errors import Notice

VERSION = 2  # of the layout; an index of another version is emptied
QUERY = 500  # paths asked for in one query; SQLite allows 999
Result = TypeVar("Result")
Key = tuple[str, str]  # path, part of the file


def state(stat: os.stat_result) -> str:
    """A text that changes whenever a file is written or replaced: its ctime cannot be set back."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino} {stat.st_dev}"


class FileIndex:
    """An index of JSON values by path and part of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def __enter__(self) -> FileIndex:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def known(self, keys: Iterable[Key]) -> dict[Key, object]:
        """Values of the keys whose files have not changed since the values were written."""
        wanted = set(keys)
        states: dict[str, str] = {}
        for path in dict.fromkeys(path for path, _ in wanted):
            with suppress(OSError, ValueError):  # a missing file is reported when it is read
                states[path] = state(os.stat(path))
        paths, values = list(states), dict[Key, object]()
        for first in range(0, len(paths), QUERY):
            some = paths[first : first + QUERY]
            query = f"SELECT path, part, state, value, digest FROM known WHERE path IN ({','.join('?' * len(some))})"
            for path, part, then, value, digest in self._rows(query, some):
                if then == states.get(path) and (path, part) in wanted and digest == _digest(path, part, then, value):
                    values[path, part] = json.loads(value)
        return values

    def write(self, rows: Sequence[tuple[Key, str, object]]) -> None:
        """Add or replace rows of (key, state, value) in one transaction, so that other processes do not wait long."""
        plain = [(*key, then, text, _digest(*key, then, text)) for key, then, v in rows if (text := json.dumps(v))]
        if plain:
            self._run(lambda connection: _write(connection, plain))

    def _rows(self, query: str, values: Sequence[str]) -> list[tuple[str, str, str, str, str]]:
        return self._run(lambda connection: connection.execute(query, values).fetchall()) or []

    def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        if not self._usable:
            return None
        try:
            try:
                return work(self._connected())
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # an error of the folder or the disk, not of the file
                    raise
                self._set_aside(error)
                return work(self._connected())
        except (OSError, sqlite3.Error) as error:
            self._usable = False
            warnings.warn(
                f"cannot use the cache {self.path.parent} ({error}): facts about files are not kept; free space, "
                "make it writable, or name another with --cache",
                Notice,
                stacklevel=2,
            )
            return None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60)
            _prepare(self._connection)
        return self._connection

    def _set_aside(self, error: Exception) -> None:
        self.__exit__()
        aside = self.path.with_suffix(".damaged")
        os.replace(self.path, aside)
        Path(f"{self.path}-journal").unlink(missing_ok=True)  # SQLite would apply it to the new file
        warnings.warn(
            f"damaged index {self.path} moved to {aside} ({error}); files are read again", Notice, stacklevel=2
        )


def _digest(path: str, part: str, then: str, value: str) -> str:
    """The hash of a row, by which a damaged row is recognised."""
    return hashlib.sha256("\0".join((path, part, then, value)).encode()).hexdigest()[:16]


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table, unless one of this version is there."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            return  # another process was quicker
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{name}"')
        connection.execute(
            "CREATE TABLE known (path, part, state, value, digest, PRIMARY KEY (path, part)) WITHOUT ROWID"
        )
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _write(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, str, str, str]]) -> None:
    with connection:
        connection.executemany("INSERT OR REPLACE INTO known VALUES (?,?,?,?,?)", rows)
