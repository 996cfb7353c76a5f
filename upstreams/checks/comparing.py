"""What the checks of audio and of text share: an upstream on a GPU and in bf16, and faults put in words."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING

from upstreams.build import build
from upstreams.errors import UpstreamError
from upstreams.frozen import MOVE_ALL, Frozen
from upstreams.named import Named

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3  # of the layer's largest value: between an utterance alone and in a batch, or run twice
STRICT = 1e-5  # the same for an upstream with `ragged`


def counted(number: int, what: str) -> str:
    """A number of things: `1 layer`, `13 layers`."""
    return f"{number} {what}" + "s" * (number != 1)


def precisions(named: Named, one: Sized, fp32: torch.Tensor) -> Iterator[str]:
    """Lines about bf16 and the GPU, compared with the features of an input in fp32 on the CPU."""
    import torch

    yield in_bf16(named, one, fp32)
    if torch.cuda.is_available():
        yield on_cuda(named, one, fp32)


def in_bf16(named: Named, one: Sized, fp32: torch.Tensor) -> str:
    half = build(named, precision="bf16")
    output = half([one])[0].float()
    finite(half, output, "an input in bf16")
    error = float((output - fp32).abs().max() / fp32.abs().max())
    return f"  --precision bf16: off by {error:.1e} of the largest value"


def on_cuda(named: Named, one: Sized, cpu: torch.Tensor) -> str:
    moved = build(named, "cuda")
    output = moved([one])[0]
    on_its_device(moved, output)
    off = same(
        output.cpu(),
        cpu,
        f"{named.name} gives other features on the GPU",
        mend="does its `to(device)` move everything?",
    )
    return f"  --device cuda: off by {off:.1e} of the largest value"


def finite(upstream: Frozen, output: torch.Tensor, what: str) -> None:
    if not output.isfinite().all():
        raise UpstreamError(
            f"{upstream.name} gives features that are not finite for {what}; look for a division by a sum, a maximum "
            "or a deviation that can be 0, or a logarithm of 0"
        )


def on_its_device(upstream: Frozen, output: torch.Tensor) -> None:
    if output.device.type != upstream.device.partition(":")[0]:
        raise UpstreamError(
            f"{upstream.name} gives features on {output.device}, and was moved to {upstream.device}; {MOVE_ALL}"
        )


def same(
    one: torch.Tensor, other: torch.Tensor, fault: str, tolerance: float = TOLERANCE, mend: str = "is it in eval mode?"
) -> float:
    """The largest difference, relative to the largest value of its layer."""
    if one.shape != other.shape:
        raise UpstreamError(f"{fault}: {tuple(one.shape)} against {tuple(other.shape)}; {mend}")
    scale = other.abs().amax((1, 2)).clamp(min=1e-30)
    difference = float(((one - other).abs().amax((1, 2)) / scale).max())
    if not difference <= tolerance:
        raise UpstreamError(f"{fault}: they differ by {difference:.1e} of the largest value; {mend}")
    return difference
