"""What `trainable()` of an upstream returns: a network that is called with waveforms or texts, as the upstream is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic

import torch
from torch import nn

from upstreams.halves import Halves, Input


class Trainable(nn.Module, Generic[Input]):
    """A network, and the function that runs it: `run(network, inputs)` returns a (L, T, D) tensor for each."""

    def __init__(
        self,
        network: nn.Module,
        run: Callable[[nn.Module, list[Input]], list[torch.Tensor]],
        front: Sequence[str] = (),
        split: Callable[[nn.Module, int], Halves[Input]] | None = None,
    ) -> None:
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

    def forward(self, inputs: list[Input]) -> list[torch.Tensor]:
        """Inputs -> (L, T, D) each."""
        return self.run(self.network, inputs)
