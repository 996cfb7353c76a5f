"""Products of fp32 matrices by the one of torch's two libraries that is faster on this processor, and no less exact.

On processors of AMD, MKL has no code for AVX-512, which oneDNN uses: it takes about half the time there. torch gives
oneDNN a product of fp32 matrices only where the inputs may be rounded to bf16. oneDNN has code for such rounding for
processors with AMX alone, so elsewhere nothing is rounded. That is not taken on trust: the permission is given only
where products that are tried first come out as exact as in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

SIZES = ((1, 384, 1536), (149, 768, 768), (600, 64, 600), (1200, 1536, 384))  # rows, inner size, columns
EXACT = 3e-5  # of the largest value: fp32 is off by about 1e-6, TF32 and bf16 by 1e-3 and more


@contextmanager
def fast() -> Iterator[None]:
    """A context in which torch computes products on the processor so, where that gains anything; else it does nothing.

    It is of the whole process. Where the precision was changed from torch's default before, it stays.
    """
    import torch

    if not _gains() or torch.get_float32_matmul_precision() != "highest":
        yield
        return
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@cache
def _gains() -> bool:
    """Whether this is a processor on which it is faster, and on which products stay exact."""
    import torch

    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not _of_amd():
        return False
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        return exact()
    finally:
        torch.set_float32_matmul_precision(before)


def exact() -> bool:
    """Whether products of fp32 matrices are as exact as in fp32, under the settings that torch has now."""
    import torch

    draws = torch.Generator().manual_seed(0)

    def off(rows: int, inner: int, columns: int) -> float:
        a, b = (torch.randn(size, generator=draws) for size in ((rows, inner), (columns, inner)))
        wanted = a.double() @ b.double().T
        made = (torch.nn.functional.linear(a, b, torch.zeros(columns)), torch.bmm(a[None], b.T[None])[0])
        return max(float((own - wanted).abs().max() / wanted.abs().max()) for own in made)

    with torch.inference_mode():
        return max(off(*size) for size in SIZES) < EXACT


def _of_amd() -> bool:
    with suppress(OSError):
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return False
