"""Claims: of several processes that are about to do the same work, one does it and the others wait.

A claim is a lock of one byte of one file, at a place that the work's name decides. Such locks work on shared file
systems, too, and end with the process that holds them, however it ends. Within a process claims exclude nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

try:
    import fcntl
except ImportError:  # a system without such locks: nothing is excluded
    fcntl = None  # type: ignore[assignment]

SHORTEST, LONGEST = 0.02, 1.0  # s between two attempts to claim what another process claims
PLACES = 1 << 62  # of bytes, most of them beyond the end of the file, which stays empty

_open: dict[tuple[int, Path], int] = {}  # (process, file) -> descriptor; to close one would end all claims in its file
_lock = Lock()
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
    pause = SHORTEST
    while not _taken(file, work):
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)
    try:
        yield
    finally:
        _let_go(file, work)


@contextmanager
def attempted(file: Path, work: str) -> Iterator[bool]:
    """In this context the work is claimed, unless another process claims it; gives whether it is."""
    taken = _taken(file, work)
    try:
        yield taken
    finally:
        if taken:
            _let_go(file, work)


def _taken(file: Path, work: str) -> bool:
    """Claim the work for this process; False where another one claims it.

    No call waits in the system: it takes a process whose threads wait for each other's claims for a deadlock.
    """
    key = os.getpid(), file, _place(work)
    with _lock:
        if fcntl is not None and not _held[key]:
            try:
                fcntl.lockf(_descriptor(file), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key[2])
            except (BlockingIOError, PermissionError):  # which of the two depends on the system
                return False
            except OSError:
                pass
        _held[key] += 1
        return True


def _let_go(file: Path, work: str) -> None:
    key = os.getpid(), file, _place(work)
    with _lock, suppress(OSError):
        _held[key] -= 1
        if fcntl is not None and not _held[key]:
            fcntl.lockf(_descriptor(file), fcntl.LOCK_UN, 1, key[2])


def is_free(file: Path, work: str) -> bool:
    """Whether no other process holds the claim at this moment."""
    key = os.getpid(), file, _place(work)
    if fcntl is None or _held[key] or not file.exists():
        return True
    free = _taken(file, work)
    if free:
        _let_go(file, work)
    return free
