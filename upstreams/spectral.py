"""FBANK and MFCC as Kaldi defines them: 25 ms Povey windows every 10 ms, no dither."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from upstreams.fingerprints import recipe, version
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    import torch

FULL_SCALE = 32768.0  # Kaldi's constants (energy floor, log offsets) are meant for 16-bit integers


class Spectral:
    """What both have in common. `settings` go to torchaudio's Kaldi functions and into the fingerprint.

    There is no mean normalisation, which would make the time-mean of an utterance zero, and heads read that mean.
    Windows of five minutes bound the memory: 20 minutes at once take over a gigabyte.
    """

    sample_rate, hop, depth, min_samples, max_seconds = 16000, 160, 1, 400, 300.0
    seen: ClassVar[dict[str, str]] = {}
    settings: ClassVar[dict[str, float]]

    def fingerprint(self) -> str:
        return recipe(
            kind=type(self).__name__, settings=self.settings, scale=FULL_SCALE, torchaudio=version("torchaudio")
        )

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        repair()
        from torchaudio.compliance import kaldi

        return [self.frames(kaldi, waveform[None] * FULL_SCALE)[None] for waveform in waveforms]

    def frames(self, kaldi: ModuleType, waveform: torch.Tensor) -> torch.Tensor:
        """(1, samples) at 16-bit scale -> (T, D)."""
        raise NotImplementedError


class Fbank(Spectral):
    """80 log-mel energies."""

    title, width = "FBANK", 80
    settings: ClassVar[dict[str, float]] = {"num_mel_bins": 80, "dither": 0.0, "sample_frequency": 16000.0}

    def frames(self, kaldi: ModuleType, waveform: torch.Tensor) -> torch.Tensor:
        return kaldi.fbank(waveform, **self.settings)


class Mfcc(Spectral):
    """13 mel-frequency cepstral coefficients, their first and second differences (regression over 5 frames)."""

    title, width = "MFCC", 39
    settings: ClassVar[dict[str, float]] = {
        "num_ceps": 13,
        "num_mel_bins": 23,
        "dither": 0.0,
        "sample_frequency": 16000.0,
    }

    def frames(self, kaldi: ModuleType, waveform: torch.Tensor) -> torch.Tensor:
        import torch
        from torchaudio.functional import compute_deltas

        static = kaldi.mfcc(waveform, **self.settings).T  # (13, T)
        change = compute_deltas(static)
        return torch.cat([static, change, compute_deltas(change)]).T
