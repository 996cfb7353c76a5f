"""A network in two halves: blocks that stay as they are, and the top blocks, which are trained on what those give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Input = TypeVar("Input", bound=Sized)  # what one call gets of an utterance


class Given(NamedTuple):
    """What the top blocks get of one input: a waveform, or numbers of word pieces."""

    x: Tensor  # (T', D): frames, and what else takes part in attention
    frames: int  # how many frames the features of the input have


class Halves(NamedTuple, Generic[Input]):
    """Both halves of a network.

    Attributes:
        lower: inputs -> what the top blocks get of each.
        upper: a module of the top blocks, called with a list of `Given`; returns the last layer's features (1, T, D) of
            each. It may have a `front`, names of modules of its own that stay frozen.
        join: copies the weights of such an upper module into the whole network; None: that is not offered.
    """

    lower: Callable[[list[Input]], list[Given]]
    upper: nn.Module
    join: Callable[[nn.Module, nn.Module], None] | None = None


class _Reached(Exception):
    """The block was reached."""


def input_of(block: nn.Module, run: Callable[[], object]) -> Tensor:
    """The first input that `block` gets in a call of `run`, which ends there."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        seen.append(inputs[0] if inputs else named["hidden_states"])
        raise _Reached

    handle = block.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        run()
    except _Reached:
        pass
    finally:
        handle.remove()
    return seen[0]


def load_each(blocks: Iterable[nn.Module], others: Iterable[nn.Module]) -> None:
    """Give blocks the weights of others, one by one. What the others have beyond theirs is left out."""
    for own, other in zip(blocks, others, strict=True):
        own.load_state_dict(other.state_dict(), strict=False)


def padded(given: list[Given]) -> tuple[Tensor, Tensor]:
    """(B, T', D) with zeros behind each, and their lengths (B,)."""
    lengths = torch.tensor([len(one.x) for one in given], device=given[0].x.device)
    return nn.utils.rnn.pad_sequence([one.x for one in given], batch_first=True), lengths
