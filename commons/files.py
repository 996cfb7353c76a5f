"""Writing files completely or not at all, even if the program is killed."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO
from urllib.parse import quote

from commons import claims

try:
    import fcntl
except ImportError:  # a system without such locks: the age of temporary files decides
    fcntl = None  # type: ignore[assignment]

LONGEST = 150  # bytes of an encoded name; file systems allow 255, with suffixes
STALE = 86400.0  # s; an older temporary file is abandoned
YOUNG = 2.0  # s; a younger temporary file may not be locked yet
SUFFIX = ".tmp"
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = ".lock"  # in a folder that processes lock: an empty file

_turn: dict[tuple[int, Path], Lock] = {}  # of the threads of a process that lock a folder
_turns = Lock()
_swept: set[Path] = set()  # folders in which this process has removed abandoned files


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that is flushed to disk and renamed to `path` at the end; it is removed where that fails.

    The first call for a folder also removes temporary files of killed processes there. The writer holds a lock on its
    temporary file, which shows others that it is alive. A device or a pipe (/dev/stdout) is written to directly.

    Raises:
        OSError: the file cannot be written.
    """
    if path.exists() and not path.is_file():  # a rename would replace it by a file
        with open(path, "wb") as file:
            yield file
        return
    if path.parent not in _swept and sweep(path.parent):
        _swept.add(path.parent)
    aside = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:12]}{SUFFIX}")
    try:
        with open(aside, "xb") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # before the lock ends with the file: a file without lock counts as abandoned
                os.replace(aside, path)
        if fcntl is None:
            os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a file completely or not at all, as `whole` does.

    Raises:
        OSError: the file cannot be written.
    """
    with whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sweep(folder: Path) -> bool:
    """Remove temporary files of killed processes from a folder; False where some are too young to know."""
    all_known = True
    for path in [*folder.glob(f".*{SUFFIX}"), *folder.glob(".tmp-*")]:  # the second form is that of earlier versions
        with suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if age <= YOUNG:
                all_known = False
            elif age > STALE or abandoned(path):
                path.unlink()
    return all_known


def _lock(file: BinaryIO) -> None:
    """Lock a file until the process ends; without effect on a file system without locks."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def announced(path: Path, content: str) -> Iterator[None]:
    """In this context a file with this content is there, whose lock shows others that this process is alive.

    A process that is killed leaves the file, for which `abandoned` is then true. Nothing happens where it cannot be
    written.
    """
    file = None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "wb")  # noqa: SIM115
        _lock(file)
        file.write(content.encode())
        file.flush()
    try:
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                file.close()


def abandoned(path: Path) -> bool:
    """Whether no process holds the lock of a file; False where that cannot be known.

    It asks for a shared lock: NFS gives an exclusive one of files that are open for writing alone.
    """
    if fcntl is None:
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """In this context, other threads and processes that lock the same folder wait; the folder is made if it is absent.

    Between processes the lock is a claim in a file of the folder: on NFS the lock of a folder itself holds on one
    machine alone. That of a process that is killed ends with it.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _turns:
        turn = _turn.setdefault((os.getpid(), folder.resolve()), Lock())
    with turn, claims.claimed(folder / LOCK, "the folder"):  # a claim excludes no thread of its process
        yield


def encode(name: str) -> str:
    """A name as one part of a path: percent-encoded, never `.` or `..`.

    A name that is too long for a file system is cut, and ends with `+` and a hash; no other encoded name has a `+`.

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


def unwritten(path: Path, error: OSError, options: str = "--results") -> str:
    """That a file cannot be written, why, and what to do; `options`: those that name another place."""
    space = "free some space, or " * (error.errno in FULL)
    return f"{path}: cannot be written ({error.strerror or error}); {space}name another place with {options}"
