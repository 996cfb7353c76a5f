"""What `trainable()` of an upstream returns: a network that is called with waveforms, as the upstream is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from upstreams.halves import Halves

Split = Callable[[nn.Module, int], Halves]
Run = Callable[[nn.Module, list[torch.Tensor]], list[torch.Tensor]]


class Trainable(nn.Module):
    """A network, and the function that runs it: `run(network, waveforms)` returns a (L, T, D) tensor for each."""

    def __init__(self, network: nn.Module, run: Run, front: Sequence[str] = (), split: Split | None = None) -> None:
        """
        Args:
            front: names, in the network, of the modules of its convolutional front end, which fine-tuning freezes.
            split: returns both halves of the network, for so many top blocks; None: it has none.
        """
        super().__init__()
        if split is not None:
            self.halves = partial(split, network)
        self.network, self.run = network, run
        self.front = tuple(f"network.{name}" for name in front)

    def forward(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """1-D waveforms -> (L, T, D) each."""
        return self.run(self.network, waveforms)
