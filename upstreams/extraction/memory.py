"""What upstreams need of the whole process: settings of the C library and of cuDNN, which know no smaller scope.

Only who runs a model calls these: extraction, and the worker processes.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT = 1 << 30  # bytes
TOP = 1 << 26


def keep_memory() -> None:
    """Let glibc keep the memory that a layer frees for the next layer.

    A model takes and frees the same memory many times a second; without this glibc returns it to the system each
    time. The peak stays the same. Other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    for parameter, size in ((MMAP_THRESHOLD, KEPT), (TRIM_THRESHOLD, KEPT), (TOP_PAD, TOP)):
        mallopt(parameter, size)


def exact_convolutions() -> None:
    """Have cuDNN compute fp32 convolutions in fp32; torch's default is TF32, which keeps 10 bits of the mantissa."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
