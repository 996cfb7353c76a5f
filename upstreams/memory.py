"""Memory that a model's layers take and give back many times a second."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT = 1 << 30  # bytes
TOP = 1 << 26


def keep() -> None:
    """Have glibc keep freed memory for the next layer, where it would hand it back only to fault it in again.

    For the whole process; its peak stays what it was. Other allocators do as they do.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, size in ((MMAP_THRESHOLD, KEPT), (TRIM_THRESHOLD, KEPT), (TOP_PAD, TOP)):
        mallopt(parameter, size)
