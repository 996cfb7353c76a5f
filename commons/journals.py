"""Journals: folders in which every process appends to a file of its own, and which are joined on reading.

So processes on many machines can share one on any file system: no two write to the same file, and none waits.
"""

from __future__ import annotations

import os
import platform
import re
import uuid
from pathlib import Path

_names: dict[int, str] = {}  # by process: a forked one gets a name of its own


def writer() -> str:
    """The name of this process's files: host, process number, and six random digits."""
    number = os.getpid()
    if number not in _names:
        host = re.sub(r"[^A-Za-z0-9]+", "-", platform.node())[:40] or "host"
        _names[number] = f"{host}-{number}-{uuid.uuid4().hex[:6]}"
    return _names[number]


def own(folder: Path, suffix: str) -> Path:
    """The file of this process in a journal."""
    return folder / f"{writer()}{suffix}"


def append(folder: Path, text: str, suffix: str) -> Path:
    """Append a text to this process's file of a journal, in one write; returns the file.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = own(folder, suffix)
    with path.open("ab") as file:
        file.write(text.encode())
    return path


def files(folder: Path, suffix: str) -> list[Path]:
    """The files of a journal, sorted by name; none where there is no such folder."""
    return sorted(folder.glob(f"*{suffix}"))


def lines(folder: Path, suffix: str, *older: Path) -> list[str]:
    """The lines of all files of a journal, after those of older files; half a line of a killed process may be one."""
    paths = [*(path for path in older if path.is_file()), *files(folder, suffix)]
    return [line for path in paths for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]


class Tail:
    """The lines of a journal as they come: each look reads what was appended since the last."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder, self._suffix = folder, suffix
        self._given: dict[Path, int] = {}  # bytes of each file whose lines were given

    def fresh(self) -> list[str]:
        """The lines since the last look; half a line is given once it is whole. Raises OSError: a file is gone."""
        several: list[str] = []
        for path in files(self._folder, self._suffix):
            before = self._given.get(path, 0)
            with path.open("rb") as file:
                file.seek(before)
                text = file.read()
            end = text.rfind(b"\n") + 1
            several += text[:end].decode(errors="replace").splitlines()
            self._given[path] = before + end
        return several
