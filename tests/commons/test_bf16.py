"""Convolutions in bf16 give what they give in fp32, but for rounding, whatever the processor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from commons.bf16 import autocast, right_convolutions

# Input, weight, arguments: shapes that oneDNN's code for AMX gets wrong.
WRONG = {
    "few channels of a group": ((1, 32, 34), (32, 2, 128), {"padding": 64, "groups": 16}),
    "few channels": ((2, 8, 40), (8, 8, 8), {}),
    "few channels and steps": ((2, 16, 84), (32, 16, 4), {"stride": 4}),
    "steps over a short input": ((2, 64, 2), (64, 64, 7), {"stride": 3, "padding": 6}),
    "steps, one output, in 2-D": ((4, 64, 31, 3), (64, 64, 3, 3), {"stride": (1, 3), "padding": 1}),
    "steps, one output, in 3-D": ((2, 32, 4, 5, 3), (32, 32, 3, 3, 3), {"stride": (1, 1, 2)}),
    "dilated": ((2, 64, 60), (64, 64, 3), {"dilation": 4, "padding": 4}),
}
# Shapes of networks that are used.
RIGHT = {
    "positions of emotion2vec": ((2, 384, 60), (384, 24, 19), {"padding": 9, "groups": 16}),
    "positions of wav2vec 2.0": ((1, 768, 60), (768, 48, 128), {"padding": 64, "groups": 16}),
    "second of wav2vec 2.0": ((1, 512, 99), (512, 512, 3), {"stride": 2}),
    "second of Whisper": ((1, 384, 300), (384, 384, 3), {"stride": 2, "padding": 1}),
    "padded by a name": ((2, 64, 60), (64, 64, 5), {"padding": "same"}),
}
CONVOLUTIONS: dict[int, Callable[..., torch.Tensor]] = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}


def drawn(*shapes: tuple[int, ...], transposed: bool = False) -> list[torch.Tensor]:
    """Input, weight and bias, whose values bf16 holds; transposed: as of networks whose channels lie together."""
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shapes[0]), torch.randn(shapes[1]), torch.randn(shapes[1][0])
    x, weight, bias = (one.bfloat16().float() for one in (x, weight / weight[0].numel() ** 0.5, bias))
    return [x.movedim(1, -1).contiguous().movedim(-1, 1) if transposed else x, weight, bias]


@pytest.mark.parametrize("name", [*WRONG, *RIGHT])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("cast", [False, True])
def test_values_and_gradients_are_those_of_fp32(name: str, transposed: bool, cast: bool) -> None:
    shape, of_weight, how = (WRONG | RIGHT)[name]
    convolve, values = CONVOLUTIONS[len(shape)], drawn(shape, of_weight, transposed=transposed)
    full = [one.clone().requires_grad_() for one in values]
    wanted = convolve(*full, **how)
    rough = [(one if cast else one.bfloat16()).clone().requires_grad_() for one in values]
    with autocast("cpu", cast), right_convolutions("cpu", True):
        got = convolve(*rough, **how)
    if name in WRONG:
        assert torch.equal(got, wanted.bfloat16())
    towards = torch.randn_like(wanted).bfloat16()
    wanted.backward(towards.float())
    got.backward(towards)
    assert got.dtype == torch.bfloat16 and error(got, wanted) < 0.01
    for own, other in zip(rough, full, strict=True):
        assert own.grad is not None and other.grad is not None
        assert error(own.grad, other.grad) < 0.01


def test_so_are_those_of_transposed_ones() -> None:
    x, weight, _ = drawn((1, 64, 20), (64, 16, 32))
    full, rough = x.clone().requires_grad_(), x.clone().requires_grad_()
    wanted = F.conv_transpose1d(full, weight, stride=4)
    with autocast("cpu", True):
        got = F.conv_transpose1d(rough, weight, stride=4)
    assert torch.equal(got, wanted.bfloat16())
    towards = torch.randn_like(wanted).bfloat16()
    wanted.backward(towards.float())
    got.backward(towards)
    assert full.grad is not None and rough.grad is not None
    assert error(rough.grad, full.grad) < 0.01


def test_nothing_changes_but_bf16() -> None:
    x, weight, bias = drawn((1, 4, 40), (4, 4, 16))
    with right_convolutions("cpu", True):
        assert torch.equal(F.conv1d(x, weight, bias), torch.conv1d(*drawn((1, 4, 40), (4, 4, 16))))
        assert F.conv1d(x, weight, bias).dtype == torch.float32
    with autocast("cpu", True):
        assert F.conv1d(x.double(), weight.double()).dtype == torch.float64
        assert torch.equal(F.conv1d(x.half(), weight, bias), F.conv1d(x.half().float(), weight, bias))
    with autocast("cpu", False):
        assert F.conv1d(x, weight).dtype == torch.float32


def error(rough: torch.Tensor, full: torch.Tensor) -> float:
    """Relative L2."""
    return float((rough.float() - full).detach().norm() / full.detach().norm())
