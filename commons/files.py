"""How a file is written: whole or not at all, whatever kills the program."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

try:
    import fcntl
except ImportError:  # no such locks there: temporary files go by their age
    fcntl = None  # type: ignore[assignment]

LONGEST = 150  # bytes of an encoded name; file systems allow 255, and suffixes add to it
STALE = 86400.0  # s; a temporary file this old has lost its writer
YOUNG = 2.0  # s; one this young may not be locked yet by its writer
SUFFIX = ".tmp"

_swept: set[Path] = set()  # folders where this process looked for what killed writers left


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that is written aside, flushed to disk and renamed to `path`; nothing of it is left where that fails.

    The first in a folder also removes there what killed writers left. The writer holds a lock on the file aside, so
    that others know that it lives.

    Raises:
        OSError: it cannot be written.
    """
    if path.parent not in _swept and sweep(path.parent):
        _swept.add(path.parent)
    aside = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:12]}{SUFFIX}")
    try:
        with open(aside, "xb") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; what is no file but a device or a pipe (/dev/stdout) is written to.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():  # renaming onto it would put a file in its place
        path.write_bytes(data)
        return
    with whole(path) as file:
        file.write(data)


def sweep(folder: Path) -> bool:
    """Remove temporary files of a folder whose writers were killed; False: some are too young to tell."""
    all_told = True
    for path in [*folder.glob(f".*{SUFFIX}"), *folder.glob(".tmp-*")]:  # the second form: of earlier versions
        with suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if age <= YOUNG:
                all_told = False
            elif age > STALE or _abandoned(path):
                path.unlink()
    return all_told


def _lock(file: BinaryIO) -> None:
    """Take a file's lock, which ends with the process; a file system without locks goes without."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _abandoned(path: Path) -> bool:
    """Whether no living process holds a temporary file's lock; False where that cannot be known."""
    if fcntl is None:
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder, which is made if need be; none wait for the dead.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if fcntl is not None else -1
    try:
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks goes without
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def encode(name: str) -> str:
    """A name as one part of a path: percent-encoded, never `.` or `..`.

    What is too long for a file system is cut and gets a hash of the name after a `+`, which no encoded name has.

    Raises:
        ValueError: the name is empty.
    """
    part = quote(name, safe="")
    if not part:
        raise ValueError("an empty name")
    if not part.strip("."):
        part = f"%{ord(part[0]):02X}{part[1:]}"
    if len(part) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        part = f"{part[: LONGEST - 1 - len(digest)]}+{digest}"
    return part
