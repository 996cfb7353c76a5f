"""Functionals of openSMILE: one vector of fixed size for each utterance, the usual baseline of paralinguistics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Protocol

from upstreams.errors import UpstreamError
from upstreams.fingerprints import recipe, version

if TYPE_CHECKING:
    import numpy as np
    import torch


# What the name of a functional begins with -> its family; the first that fits, in the order of the list.
FAMILIES = (
    ("pitch", ("F0",)),
    ("voice quality", ("jitter", "shimmer", "HNR", "logHNR", "logRelF0", "voicing")),
    ("formants", ("F1", "F2", "F3")),
    ("cepstrum", ("mfcc",)),
    ("loudness", ("loudness", "equivalentSoundLevel", "audspec_lengthL1norm", "pcm_RMSenergy")),
    ("tempo", ("VoicedSegments", "MeanVoiced", "StddevVoiced", "MeanUnvoiced", "StddevUnvoiced")),
    ("spectrum", ("alphaRatio", "hammarberg", "slope", "spectralFlux", "audSpec", "audspec", "pcm_fft", "pcm_zcr")),
)


class Smile(Protocol):
    """What is used of opensmile.Smile."""

    feature_names: list[str]

    def __call__(self, waveform: np.ndarray, rate: int) -> np.ndarray: ...


def family(name: str) -> str:
    """The family of a functional by its name in eGeMAPS or ComParE; `other` where none fits.

    >>> family("F0semitoneFrom27.5Hz_sma3nz_amean"), family("loudnessPeaksPerSec"), family("mfcc1V_sma3nz_amean")
    ('pitch', 'tempo', 'cepstrum')
    """
    if name == "loudnessPeaksPerSec":
        return "tempo"
    return next((own for own, beginnings in FAMILIES if name.startswith(beginnings)), "other")


class Functionals:
    """An openSMILE feature set at the level of functionals, computed from audio at 16 kHz."""

    sample_rate, hop, depth, max_seconds = 16000, None, 1, None
    min_samples = 960  # 60 ms, its longest frame: for shorter audio openSMILE gives no value
    seen: ClassVar[dict[str, str]] = {}
    licence = "openSMILE's own, for research, not for products"

    def __init__(self, feature_set: str, title: str, width: int) -> None:
        self.feature_set, self.title, self.width = feature_set, title, width
        self._smile: Smile | None = None

    def fingerprint(self) -> str:
        try:
            return recipe(kind="opensmile", feature_set=self.feature_set, opensmile=version("opensmile"))
        except ModuleNotFoundError:
            raise UpstreamError(
                f"{self.title} needs the package opensmile, which is not installed; run: pip install -e .[opensmile]"
            ) from None

    @property
    def value_names(self) -> list[str]:
        """openSMILE's names of the functionals, each after its family."""
        return [f"{family(name)}: {name}" for name in self._opened().feature_names]

    def _opened(self) -> Smile:
        if self._smile is None:
            import opensmile

            sets, level = opensmile.FeatureSet, opensmile.FeatureLevel.Functionals
            self._smile = opensmile.Smile(sets[self.feature_set], level)
        return self._smile

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        import torch

        smile = self._opened()
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
