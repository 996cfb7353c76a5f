"""Log-mel energies of waveforms, for methods that train on spectra."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from upstreams.pretraining.batches import MEL_BINS, MEL_FFT, MEL_HOP, MEL_WINDOW, SAMPLE_RATE

MEL_FLOOR, MEL_MEAN, MEL_SCALE = 1e-6, -6.5, 4.6  # of speech at large; fixed, so that an utterance's level stays in


class LogMel(nn.Module):
    """80 log-mel energies every 10 ms, shifted and scaled by constants: (B, n) -> (B, T, 80)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(MEL_WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = torch.fft.rfft(waveforms.float().unfold(1, MEL_WINDOW, MEL_HOP) * self.window, MEL_FFT)
            energies = (spectrum.real.square() + spectrum.imag.square()) @ self.filters
            return (torch.log(energies + MEL_FLOOR) - MEL_MEAN) / MEL_SCALE


def mel_filters() -> Tensor:
    """(257, 80) triangles, equally spaced from 20 Hz to 8 kHz on the mel scale 2595 log10(1 + f / 700)."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (20, SAMPLE_RATE / 2))
    edges = 700 * (10 ** (torch.linspace(low, high, MEL_BINS + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, MEL_FFT // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()
