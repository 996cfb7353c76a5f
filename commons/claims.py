"""Claims: of several processes that are about to do the same work, one does it and the others wait.

A claim is a lock of one byte of one file, at a place that the work's name decides. Such locks work on shared file
systems, too, and end with the process that holds them, however it ends. Within a process claims exclude nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without such locks: nothing is excluded
    fcntl = None  # type: ignore[assignment]

PLACES = 1 << 62  # of bytes, most of them beyond the end of the file, which stays empty

_open: dict[tuple[int, Path], int] = {}  # (process, file) -> descriptor; to close one would end all claims in its file
_held: Counter[tuple[int, Path, int]] = Counter()


def _descriptor(file: Path) -> int:
    key = os.getpid(), file
    if key not in _open:
        file.parent.mkdir(parents=True, exist_ok=True)
        _open[key] = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _open[key]


def _place(work: str) -> int:
    return int.from_bytes(hashlib.sha256(work.encode()).digest()[:8]) % PLACES


@contextmanager
def claimed(file: Path, work: str) -> Iterator[None]:
    """In this context no other process claims the same work; it begins when none does any more.

    Without effect where the file system has no locks, or the file cannot be made.
    """
    key = os.getpid(), file, _place(work)
    if fcntl is not None and not _held[key]:
        with suppress(OSError):
            fcntl.lockf(_descriptor(file), fcntl.LOCK_EX, 1, key[2])
    _held[key] += 1
    try:
        yield
    finally:
        _held[key] -= 1
        if fcntl is not None and not _held[key]:
            with suppress(OSError):
                fcntl.lockf(_descriptor(file), fcntl.LOCK_UN, 1, key[2])


def is_free(file: Path, work: str) -> bool:
    """Whether no other process holds the claim at this moment."""
    key = os.getpid(), file, _place(work)
    if fcntl is None or _held[key] or not file.exists():
        return True
    try:
        fcntl.lockf(_descriptor(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key[2])
    except (BlockingIOError, PermissionError):  # which of the two depends on the system
        return False
    except OSError:
        return True
    fcntl.lockf(_descriptor(file), fcntl.LOCK_UN, 1, key[2])
    return True
