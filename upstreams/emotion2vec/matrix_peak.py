"""How fast this machine multiplies matrices: what the speed of training is measured against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache

import torch

SIZES = {"cpu": 1536, "cuda": 8192}
REPEATS = 5


@cache
def matrix_peak(device: torch.device, precision: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """FLOP/s of square products in this precision, with the threads torch has now; median of a few, taken once."""
    size = SIZES[device.type]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(REPEATS + 1):
        synchronize(device)
        started = clock()
        torch.mm(a, b)
        synchronize(device)
        seconds.append(clock() - started)
    return 2 * size**3 / statistics.median(seconds[1:])


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
