"""A network that is called with waveforms, as its upstream is: what `trainable()` of an upstream gives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Run = Callable[[nn.Module, list[torch.Tensor]], list[torch.Tensor]]


class Trainable(nn.Module):
    """A network and how waveforms run through it: `run(network, waveforms)` gives a (L, T, D) tensor for each."""

    def __init__(self, network: nn.Module, run: Run) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """1-D waveforms -> (L, T, D) each."""
        return self.run(self.network, waveforms)
