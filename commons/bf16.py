"""bf16 on a processor: convolutions that come out right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LEAST_CHANNELS = 16  # of a group


def right_convolutions(device: str, rounded: bool = True) -> AbstractContextManager[object]:
    """Within it, convolutions that processors with AMX get wrong in bf16 are computed in fp32, and rounded then.

    oneDNN 3.12, which comes with torch 2.13, has code for AMX that gives values far off, or not finite, without a word:
    where a group has fewer than 16 channels and the kernel is 16, 32, ... long, and where a convolution with a stride
    has one output along its last axis (pytorch issue 169688). Dilated ones can spoil the process's memory. So those of
    fewer channels, with dilation, or with such an output are computed in fp32, and so are their gradients. Processors
    without AMX do the same, so that the numbers do not depend on the processor more than they must.

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
        if func in _CONVOLUTIONS:
            return _convolved(func, *args, **(kwargs or {}))  # type: ignore[arg-type]
        return func(*args, **(kwargs or {}))


_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_Each = int | Sequence[int]


def _convolved(
    func: Callable[..., object],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Each = 1,
    padding: str | _Each = 0,
    dilation: _Each = 1,
    groups: int = 1,
) -> object:
    """`func` of these, which have torch's names."""
    if not _is_rounded(input) or _is_right(input, weight, stride, padding, dilation):
        return func(input, weight, bias, stride, padding, dilation, groups)
    with torch.autocast("cpu", enabled=False):
        exact = func(
            input.float(), weight.float(), bias if bias is None else bias.float(), stride, padding, dilation, groups
        )
    assert isinstance(exact, Tensor)
    return exact.to(torch.bfloat16)


def _is_rounded(input: Tensor) -> bool:
    """Whether a convolution of it would be one in bf16."""
    if input.device.type != "cpu" or input.dtype not in (torch.float32, torch.bfloat16):
        return False
    asked = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return asked or input.dtype == torch.bfloat16


def _is_right(input: Tensor, weight: Tensor, stride: _Each, padding: str | _Each, dilation: _Each) -> bool:
    if weight.shape[1] < LEAST_CHANNELS or any(one > 1 for one in _each(dilation)):
        return False
    step = _each(stride)[-1]
    if step == 1 or padding == "same":
        return True
    around = 0 if isinstance(padding, str) else _each(padding)[-1]
    return input.shape[-1] + 2 * around - weight.shape[-1] >= step


def _each(value: _Each) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value
