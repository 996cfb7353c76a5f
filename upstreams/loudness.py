"""Level in dB and nothing else: a reference. What a model knows beyond it is more than how loud an utterance is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from upstreams.fingerprints import recipe
from upstreams.prosody import ENERGY_FLOOR, WINDOW, Prosody

if TYPE_CHECKING:
    import torch

DECIBEL = 10 / np.log(10)  # of a natural log of power


class Loudness:
    """One value every 10 ms: the level of 25 ms in dB of full scale; `probe` reads its mean over an utterance."""

    title = "loudness (level in dB)"
    sample_rate, hop, depth, width, min_samples, max_seconds = 16000, 160, 1, 1, WINDOW, 300.0
    seen: ClassVar[dict[str, str]] = {}

    def fingerprint(self) -> str:
        return recipe(kind="Loudness", settings={"floor": ENERGY_FLOOR, "window": WINDOW, "revision": 1})

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        return [torch.from_numpy(self.frames(waveform.numpy()))[None] for waveform in waveforms]

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 16 kHz -> (T, 1) float32, T = samples // 160 + 1."""
        energy = Prosody().log_energy(waveform, len(waveform) // self.hop + 1)
        return (DECIBEL * energy[:, None]).astype(np.float32)
