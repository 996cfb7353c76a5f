"""An upstream of s3prl as fine-tuning takes it: a torch module that gives the features with their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class Trainable(nn.Module):
    """Waveforms of one length -> (L, T, D) of each.

    Attributes:
        front: the convolutional front ends, by the name that s3prl's models give them; they stay frozen.
    """

    def __init__(self, expert: nn.Module, layers: Callable[[Sequence[Tensor]], Tensor]) -> None:
        """`layers`: joins the hidden states of all layers to (B, L, T, D)."""
        super().__init__()
        self.expert, self._layers = expert, layers
        self.front = tuple(name for name, _ in self.named_modules() if name.rpartition(".")[2] == "feature_extractor")

    def forward(self, waveforms: list[Tensor]) -> list[Tensor]:
        """Raises UpstreamError: layers differ in width."""
        return list(self._layers(self.expert(waveforms)["hidden_states"]))
