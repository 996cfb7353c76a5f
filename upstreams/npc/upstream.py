"""NPC as an upstream: of a run here, a file of s3prl, or with random weights.

Layers: each block's output and that of the masked convolution after it, in turn; last, the sum of the masked
convolutions before it is quantised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstreams import acoustic_upstream
from upstreams.acoustic import padded
from upstreams.npc.config import PRESETS, ModelConfig

if TYPE_CHECKING:
    import torch


class Encoder(acoustic_upstream.Encoder):
    method, called = "npc", "NPC"
    kind = ModelConfig

    @staticmethod
    def run(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        config: ModelConfig = network.config  # type: ignore[assignment]
        spectra = [config.acoustic.measure(waveform) for waveform in waveforms]
        together, valid = padded(spectra)
        layers = torch.stack(network(together, valid), dim=1)
        return [one[:, : len(spectrum)] for one, spectrum in zip(layers, spectra, strict=True)]


class Trained(Encoder, acoustic_upstream.Trained):
    @staticmethod
    def reader() -> acoustic_upstream.Reader:
        from upstreams.npc import checkpoint

        return checkpoint


class Random(Encoder, acoustic_upstream.Random):
    presets = PRESETS

    def initial(self) -> torch.nn.Module:
        from upstreams.npc.model import Npc

        assert isinstance(self.config, ModelConfig)
        return Npc(self.config)
