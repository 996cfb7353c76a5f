"""Memory of the process while it extracts: a setting of the C library."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT = 1 << 30  # bytes
TOP = 1 << 26


def keep_memory() -> None:
    """Let glibc keep the memory that one layer frees for the next layer.

    A model takes and frees the same memory many times a second; without this glibc returns it to the system each
    time. The peak stays the same. Nothing is done under other C libraries.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, size in ((MMAP_THRESHOLD, KEPT), (TRIM_THRESHOLD, KEPT), (TOP_PAD, TOP)):
        mallopt(parameter, size)
