"""What `trainable()` of an upstream returns: a network that is called with waveforms or texts, as the upstream is."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Generic, TypeVar

import torch
from torch import nn

Input = TypeVar("Input", bound=Sized)


class Trainable(nn.Module, Generic[Input]):
    """A network, and the function that runs it: `run(network, inputs)` returns a (L, T, D) tensor for each."""

    def __init__(self, network: nn.Module, run: Callable[[nn.Module, list[Input]], list[torch.Tensor]]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, inputs: list[Input]) -> list[torch.Tensor]:
        """Inputs -> (L, T, D) each."""
        return self.run(self.network, inputs)
