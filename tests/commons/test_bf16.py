"""Convolutions in bf16 give what they give in fp32, but for rounding, whatever the processor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from commons.bf16 import right_convolutions

# Input, weight, arguments: shapes that oneDNN's code for AMX gets wrong, and shapes of networks that are used.
SHAPES = {
    "few channels of a group, 128 long": ((1, 32, 34), (32, 2, 128), {"padding": 64, "groups": 16}),
    "few channels, 16 long": ((3, 12, 50), (24, 12, 16), {"padding": 8}),
    "one channel": ((2, 1, 400), (16, 1, 10), {"stride": 5}),
    "steps, one output": ((2, 32, 3), (32, 32, 3), {"stride": 2}),
    "steps, padded by a name, one output": ((2, 32, 3), (32, 32, 3), {"stride": 2, "padding": "valid"}),
    "steps along frequency, one output": ((4, 64, 31, 3), (64, 64, 3, 3), {"stride": (1, 3), "padding": 1}),
    "dilated": ((2, 64, 60), (64, 64, 3), {"dilation": 4, "padding": 4}),
    "each channel alone": ((2, 64, 60), (64, 1, 31), {"padding": "same", "groups": 64}),
    "positions of emotion2vec": ((2, 384, 60), (384, 24, 19), {"padding": 9, "groups": 16}),
    "second of wav2vec 2.0": ((1, 512, 99), (512, 512, 3), {"stride": 2}),
}
CONVOLUTIONS: dict[int, Callable[..., torch.Tensor]] = {3: F.conv1d, 4: F.conv2d}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_values_and_gradients_are_those_of_fp32(name: str, transposed: bool, autocast: bool) -> None:
    shape, of_weight, how = SHAPES[name]
    convolve = CONVOLUTIONS[len(shape)]
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(of_weight), torch.randn(of_weight[0])
    weight /= weight[0].numel() ** 0.5
    x, weight, bias = (one.bfloat16().float() for one in (x, weight, bias))
    if transposed:  # as networks do whose frames lie one after another
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    full = [one.clone().requires_grad_() for one in (x, weight, bias)]
    wanted = convolve(*full, **how)
    rough = [(one if autocast else one.bfloat16()).clone().requires_grad_() for one in (x, weight, bias)]
    with right_convolutions("cpu"), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        got = convolve(*rough, **how)
    assert got.dtype == torch.bfloat16
    towards = torch.randn_like(wanted).bfloat16()
    wanted.backward(towards.float())
    got.backward(towards)
    assert error(got, wanted) < 0.01
    for own, other in zip(rough, full, strict=True):
        assert own.grad is not None and other.grad is not None
        assert error(own.grad, other.grad) < 0.01


def test_what_is_in_fp32_stays_in_fp32() -> None:
    x, weight = torch.randn(1, 4, 40), torch.randn(4, 4, 16)
    with right_convolutions("cpu"):
        assert torch.equal(F.conv1d(x, weight), F.conv1d(x, weight))
        assert F.conv1d(x.double(), weight.double()).dtype == torch.float64


def error(rough: torch.Tensor, full: torch.Tensor) -> float:
    """Relative L2."""
    return float((rough.float() - full).detach().norm() / full.detach().norm())
