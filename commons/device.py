"""The device to compute on and what is fast there, the number of processor cores, and memory: its end, its highest."""

from __future__ import annotations

import os
import resource
import sys

from commons.errors import EmorepError

DEVICES = ("auto", "cpu", "cuda")
NO_MEMORY = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory(device: str = "cpu") -> float:
    """Memory at its highest, MB: of a GPU, what torch had on it; else of this process."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def forget_peak(device: str = "cuda") -> None:
    """From now on `peak_memory` of a GPU is of what comes; that of this process stays."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats(device)


def out_of_memory(error: BaseException) -> bool:
    """Whether the GPU's memory ran out: by torch's own error, or by those that its libraries raise."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)
    )


def bf16_pays(device: str) -> bool:
    """Whether torch is faster in bf16: on a GPU, and on a processor that has instructions for it."""
    if device.partition(":")[0] != "cpu":
        return True
    import torch

    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test() for test in tests if test is not None)


def choose(asked: str) -> str:
    """The torch device of a request: `auto` is a GPU if torch has one, else the CPU; others stay as they are.

    Raises:
        EmorepError: there is no such device, or a GPU is asked for and torch has none.
    """
    if asked == "cpu":
        return asked
    if asked != "auto" and not asked.startswith("cuda"):
        raise EmorepError(f"device {asked!r} is unknown; expected {', '.join(DEVICES)}")
    import torch

    if torch.cuda.is_available():
        return "cuda" if asked == "auto" else asked
    if asked == "auto":
        return "cpu"
    raise EmorepError(f"--device {asked}: torch finds no GPU; use --device cpu, or install a torch built for your GPU")
