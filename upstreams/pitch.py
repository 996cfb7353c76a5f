"""Pitch and nothing else: a reference. What a model knows beyond it is more than how high a voice is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from upstreams.fingerprints import recipe, version
from upstreams.prosody import F0_RANGE, WINDOW, Prosody

if TYPE_CHECKING:
    import torch

OCTAVE = 12 / np.log(2)  # semitones of a natural log of frequency
ZERO = 100.0  # Hz, the pitch of 0 semitones


class Pitch:
    """One value every 10 ms: F0 in semitones above 100 Hz; `probe` reads its mean over an utterance.

    F0 is WORLD's (see prosody.py), interpolated over unvoiced frames. Without a voiced frame it is the lowest F0.
    """

    title = "pitch (F0 in semitones)"
    sample_rate, hop, depth, width, min_samples, max_seconds = 16000, 160, 1, 1, WINDOW, 300.0
    seen: ClassVar[dict[str, str]] = {}

    def fingerprint(self) -> str:
        return recipe(kind="Pitch", settings={"f0": F0_RANGE, "zero": ZERO, "revision": 1}, pyworld=version("pyworld"))

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        return [torch.from_numpy(self.frames(waveform.numpy()))[None] for waveform in waveforms]

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 16 kHz -> (T, 1) float32, T = samples // 160 + 1."""
        log_f0 = Prosody().log_f0(waveform)[0]
        return (OCTAVE * (log_f0 - np.log(ZERO)))[:, None].astype(np.float32)
