"""Pitch, voicing and loudness, frame by frame: what the earliest work on vocal emotion measured."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from upstreams.fingerprints import recipe, version

if TYPE_CHECKING:
    import torch

F0_RANGE = (71.0, 800.0)  # Hz, WORLD's default range
ENERGY_FLOOR = 1e-8  # -80 dB of full scale, under the noise of any recording
WINDOW = 400  # samples, 25 ms


class Prosody:
    """Nine values every 10 ms: log F0 (Hz), voicing (0 or 1), log energy; their change from frame to frame; its size.

    F0 is computed by WORLD's DIO and StoneMask (Morise et al., 2016). Over unvoiced frames log F0 is interpolated
    linearly, so only the voicing marks them. An utterance without a voiced frame gets the lowest F0 of the range.
    Windows of five minutes bound the memory of DIO: 20 minutes at once take over two gigabytes.
    """

    title = "prosody (F0, energy, voicing)"
    sample_rate, hop, depth, width, min_samples, max_seconds = 16000, 160, 1, 9, WINDOW, 300.0
    seen: ClassVar[dict[str, str]] = {}

    def fingerprint(self) -> str:
        settings = {"f0": F0_RANGE, "floor": ENERGY_FLOOR, "window": WINDOW, "revision": 1}
        return recipe(kind="Prosody", settings=settings, pyworld=version("pyworld"))

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        return [torch.from_numpy(self.frames(waveform.numpy()))[None] for waveform in waveforms]

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 at 16 kHz -> (T, 9) float32, T = samples // 160 + 1."""
        log_f0, voiced = self.log_f0(waveform)
        static = np.stack([log_f0, voiced, self.log_energy(waveform, len(log_f0))], axis=1)
        change = np.gradient(static, axis=0)
        return np.concatenate([static, change, np.abs(change)], axis=1).astype(np.float32)

    def log_f0(self, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Natural log of F0 (Hz) every 10 ms, interpolated over unvoiced frames; and which frames are voiced."""
        f0 = self.f0(waveform.astype(np.float64))
        voiced = f0 > 0
        frame = np.arange(len(f0))
        log_f0 = np.full(len(f0), np.log(F0_RANGE[0]))
        if voiced.any():
            log_f0 = np.interp(frame, frame[voiced], np.log(f0[voiced]))
        return log_f0, voiced

    def f0(self, waveform: np.ndarray) -> np.ndarray:
        """Hz every 10 ms, 0 where unvoiced."""
        world = _pyworld()
        low, high = F0_RANGE
        rate, period = self.sample_rate, 1000.0 * self.hop / self.sample_rate
        coarse, times = world.dio(waveform, rate, f0_floor=low, f0_ceil=high, frame_period=period)
        return world.stonemask(waveform, coarse, times, rate)

    def log_energy(self, waveform: np.ndarray, frames: int) -> np.ndarray:
        """Natural log of the mean square under a 25 ms Hann window centred on every frame."""
        window = np.hanning(WINDOW).astype(np.float32)
        short = max(0, (frames - 1) * self.hop + WINDOW // 2 - len(waveform))
        power = np.pad(np.square(waveform), (WINDOW // 2, short))
        cut = np.lib.stride_tricks.sliding_window_view(power, WINDOW)[:: self.hop][:frames]
        # einsum reads the overlapping windows in place; a matrix product would copy them
        return np.log(np.einsum("tw,w->t", cut, window / window.sum()) + ENERGY_FLOOR)


def _pyworld() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld's import of pkg_resources warns
        import pyworld
    return pyworld
