"""Functionals of openSMILE: one vector of fixed size for each utterance, the usual baseline of paralinguistics."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

from upstreams.errors import UpstreamError
from upstreams.fingerprints import recipe, version

if TYPE_CHECKING:
    import numpy as np
    import torch


class Functionals:
    """An openSMILE feature set at the level of functionals, computed from audio at 16 kHz."""

    sample_rate, hop, depth, max_seconds = 16000, None, 1, None
    min_samples = 960  # 60 ms, its longest frame: for shorter audio openSMILE gives no value
    seen: ClassVar[dict[str, str]] = {}
    licence = "openSMILE's own, for research, not for products"

    def __init__(self, feature_set: str, title: str, width: int) -> None:
        self.feature_set, self.title, self.width = feature_set, title, width
        self._smile: Callable[[np.ndarray, int], np.ndarray] | None = None

    def fingerprint(self) -> str:
        try:
            return recipe(kind="opensmile", feature_set=self.feature_set, opensmile=version("opensmile"))
        except ModuleNotFoundError:
            raise UpstreamError(
                f"{self.title} needs the package opensmile, which is not installed; run: pip install -e .[opensmile]"
            ) from None

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        if self._smile is None:
            import opensmile

            sets, level = opensmile.FeatureSet, opensmile.FeatureLevel.Functionals
            self._smile = opensmile.Smile(sets[self.feature_set], level)
        smile = self._smile
        # openSMILE calls back into Python. In the main thread a signal would interrupt that callback, where Python can
        # only print the exception; in another thread it never does.
        with ThreadPoolExecutor(1) as thread:
            outputs = [thread.submit(smile, waveform.numpy(), self.sample_rate).result() for waveform in waveforms]
        return [torch.from_numpy(output).transpose(1, 2) for output in outputs]  # from (1, D, 1)


def egemaps() -> Functionals:
    """eGeMAPSv02, 88 functionals (Eyben et al., 2016)."""
    return Functionals("eGeMAPSv02", "openSMILE eGeMAPSv02", 88)


def compare() -> Functionals:
    """ComParE 2016, 6373 functionals (Schuller et al., 2016)."""
    return Functionals("ComParE_2016", "openSMILE ComParE 2016", 6373)
