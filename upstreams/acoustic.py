"""Spectra of one utterance as methods that reconstruct them take them: log-mel energies, differences, normalised.

Every utterance is measured alone, so nothing that it gets depends on its batch. Imports torch when it measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import MEL_FFT, MEL_HOP, MEL_WINDOW, SAMPLE_RATE
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

LEAST_FRAMES = 2  # of one frame there is no deviation
FLAT = 1e-3  # a smaller deviation is rounding: of digital silence, for example
LINEAR_BINS = 201  # of an STFT of 400 samples
EPS = 1e-10
Config = TypeVar("Config")  # a dataclass with the field `acoustic`


@dataclass(frozen=True)
class Acoustic:
    """What is measured, 25 ms every 10 ms.

    Attributes:
        kind: fbank, Kaldi's log-mel energies; log_mel, those of a centred STFT with a Hann window.
        bins: number of energies.
        window: of fbank.
        differences: how many orders follow the energies (regression over 5 frames).
        normalise: every value has mean 0 and deviation 1 over the utterance.
        level: the waveform is brought to so many dB of full scale first; None: it is taken as it is.
    """

    kind: Literal["fbank", "log_mel"] = "fbank"
    bins: int = 80
    window: Literal["povey", "hamming"] = "povey"
    differences: int = 2
    normalise: bool = True
    level: float | None = None

    @property
    def width(self) -> int:
        """Values in a frame."""
        return self.bins * (1 + self.differences)

    hop, min_samples = MEL_HOP, MEL_WINDOW

    @property
    def flops(self) -> int:
        """Operations of the mel filters, for one frame."""
        return 2 * self.bins * (MEL_FFT // 2 + 1 if self.kind == "fbank" else LINEAR_BINS)

    @property
    def least_samples(self) -> int:
        """The shortest audio that can be normalised."""
        return self.min_samples + (LEAST_FRAMES - 1) * self.hop

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """How many frames so many samples have."""
        return samples // self.hop + 1 if self.kind == "log_mel" else (samples - self.min_samples) // self.hop + 1

    def measure(self, waveform: Tensor) -> Tensor:
        """(samples,) in [-1, 1] -> (T, width) float32, whatever the precision around the call."""
        import torch

        repair()
        from torchaudio.functional import compute_deltas

        with torch.autocast(waveform.device.type, enabled=False):
            waveform = waveform.float()
            if self.level is not None:
                waveform = waveform * (10 ** (self.level / 20) / (waveform.square().mean().sqrt() + EPS))
            orders = [self._fbank(waveform) if self.kind == "fbank" else self._log_mel(waveform)]  # (bins, T)
            for _ in range(self.differences):
                orders.append(compute_deltas(orders[-1]))
            values = torch.cat(orders).T
            if self.normalise:
                values = (values - values.mean(0)) / values.std(0).clamp(min=FLAT)
            return values

    def _fbank(self, waveform: Tensor) -> Tensor:
        from torchaudio.compliance import kaldi

        return kaldi.fbank(
            waveform[None], num_mel_bins=self.bins, sample_frequency=float(SAMPLE_RATE), window_type=self.window
        ).T

    def _log_mel(self, waveform: Tensor) -> Tensor:
        import torch
        from torchaudio.functional import melscale_fbanks

        window = torch.hann_window(MEL_WINDOW, device=waveform.device)
        spectrum = torch.stft(waveform, MEL_WINDOW, self.hop, window=window, return_complex=True).abs().square()
        filters = melscale_fbanks(LINEAR_BINS, 0.0, SAMPLE_RATE / 2, self.bins, SAMPLE_RATE)
        return (filters.to(spectrum.device).T @ spectrum + EPS).log()


def padded(spectra: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """(B, T, D) of several utterances with zeros behind the shorter ones, and (B, T) True for frames of the utterance;
    None where nothing is padded."""
    import torch

    lengths = [len(one) for one in spectra]
    together = torch.nn.utils.rnn.pad_sequence(list(spectra), batch_first=True)
    if min(lengths) == max(lengths):
        return together, None
    device = together.device
    return together, torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device)[:, None]


def config_of(kind: type[Config], content: Mapping[str, object]) -> Config:
    """A network's configuration, of this dataclass, from a checkpoint's header.

    Raises:
        TypeError, ValueError, UpstreamError: the header is that of another network.
    """
    acoustic = content.get("acoustic")
    if not isinstance(acoustic, dict):
        raise ValueError("it has no `acoustic`")
    return kind(**{**content, "acoustic": Acoustic(**acoustic)})


def config_of_file(kind: type[Config], content: Mapping[str, object], path: Path) -> Config:
    """The same, of the file `path`. Raises UpstreamError that names the file."""
    try:
        return config_of(kind, content)
    except (TypeError, ValueError, UpstreamError) as error:
        raise UpstreamError(f"{path}: the configuration in its header cannot be used ({error})") from error
