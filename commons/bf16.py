"""bf16 on a processor: autocast, and convolutions that come out right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LEAST_CHANNELS = 16  # of a group


@contextmanager
def autocast(device: str, enabled: bool, cache: bool = True) -> Iterator[None]:
    """torch's autocast to bf16, with right convolutions; `cache`: whether weights in bf16 are kept while it lasts."""
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16, enabled, cache), right_convolutions(kind, enabled):
        yield


def right_convolutions(device: str, rounded: bool) -> AbstractContextManager[object]:
    """Within it, convolutions that processors with AMX get wrong in bf16 are computed in fp32, and rounded then.

    oneDNN 3.12, which comes with torch 2.13, has code for AMX that gives values or gradients far off, or not finite,
    without a word: where channels are few, and, with a stride, where the input is short as well (pytorch issue 169688
    is one such case). Dilated and transposed ones go wrong, too. Where any of this could be, values and gradients are
    those of fp32. Processors without AMX do the same, so that numbers depend on the processor no more than they must.

    It does not reach into TorchScript, other threads, or a second pass of torch's checkpointing, which needs its own.

    Args:
        rounded: whether anything is computed in bf16; if not, this does nothing.
    """
    return _RightConvolutions() if rounded and torch.device(device).type == "cpu" else nullcontext()


class _RightConvolutions(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        own = kwargs or {}
        if func in _CONVOLUTIONS and not _is_right(*args, **own):  # type: ignore[arg-type]
            return _in_fp32(func, *args, **own)  # type: ignore[arg-type]
        if func in _TRANSPOSED:
            return _in_fp32(func, *args, **own)  # type: ignore[arg-type]
        return func(*args, **own)


_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
_Each = int | Sequence[int]


def _is_right(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Each = 1,
    padding: str | _Each = 0,
    dilation: _Each = 1,
    groups: int = 1,
) -> bool:
    """Whether a convolution is right in bf16. With a stride, that takes twice the channels, and an input that without
    its padding holds the kernel and a step more: so there are two outputs, and all of the kernel meets it."""
    if weight.shape[1] < LEAST_CHANNELS or any(one > 1 for one in _each(dilation)):
        return False
    step = _each(stride)[-1]
    return step == 1 or (weight.shape[1] >= 2 * LEAST_CHANNELS and input.shape[-1] >= weight.shape[-1] + step)


def _in_fp32(
    func: Callable[..., object], input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: object, **own: object
) -> object:
    """A convolution in fp32, rounded then, where torch would compute it in bf16; else as torch does."""
    asked = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    rounded = input.dtype == torch.bfloat16 or (asked and input.dtype != torch.float64)
    if input.device.type != "cpu" or not rounded:
        return func(input, weight, bias, *args, **own)
    with torch.autocast("cpu", enabled=False):
        exact = func(input.float(), weight.float(), bias if bias is None else bias.float(), *args, **own)
    assert isinstance(exact, Tensor)
    return exact.to(torch.bfloat16)


def _each(value: _Each) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value
