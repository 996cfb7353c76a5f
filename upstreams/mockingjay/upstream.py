"""Mockingjay as an upstream: of a run here, a file of s3prl, or with random weights.

Layers: the embedding with its positions, and each block's output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstreams import acoustic_upstream
from upstreams.acoustic import padded
from upstreams.mockingjay.config import PRESETS, ModelConfig

if TYPE_CHECKING:
    import torch


class Encoder(acoustic_upstream.Encoder):
    method, called = "mockingjay", "Mockingjay"
    kind = ModelConfig

    @staticmethod
    def run(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """Long utterances go through in equal parts."""
        import torch

        config: ModelConfig = network.config  # type: ignore[assignment]
        spectra = [config.acoustic.measure(waveform) for waveform in waveforms]
        numbers = [-(-len(one) // config.longest) if config.longest else 1 for one in spectra]
        cut = [one.chunk(number) for one, number in zip(spectra, numbers, strict=True)]
        together, valid = padded([part for parts in cut for part in parts])
        hidden = torch.stack(network(together, valid), dim=1)
        rows = iter(hidden)
        return [torch.cat([next(rows)[:, : len(part)] for part in parts], dim=1) for parts in cut]


class Trained(Encoder, acoustic_upstream.Trained):
    @staticmethod
    def reader() -> acoustic_upstream.Reader:
        from upstreams.mockingjay import checkpoint

        return checkpoint


class Random(Encoder, acoustic_upstream.Random):
    presets = PRESETS

    def initial(self) -> torch.nn.Module:
        from upstreams.mockingjay.model import Mockingjay

        assert isinstance(self.config, ModelConfig)
        return Mockingjay(self.config)
