"""Changes of a waveform, by kind (commons/perturbations.py has their names, units and suites).

A change depends on the utterance's content, on kind and level alone: on no batch, order or process. Random numbers are
those of numpy's RandomState, whose stream is frozen, seeded by a hash of the content and the kind. So an utterance gets
the same noise at all levels of a kind.

The level of noise is SNR = 10 log10(P_speech / P_noise). P_noise is the mean square of the noise over the utterance.
P_speech is the mean square of the speech over its active frames: those of 20 ms whose mean square is at most 30 dB
below that of the loudest frame. So pauses do not make noise weaker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from commons.perturbations import Perturbation
from upstreams.errors import UpstreamError
from upstreams.inputs import codecs, rooms

FRAME, ACTIVE = 0.020, 30.0  # s, dB
BAND = (300.0, 3400.0)  # Hz, of a telephone


@dataclass(frozen=True)
class Change:
    """A perturbation of one utterance.

    Attributes:
        content: what identifies the utterance, for the draws.
        recordings: how many recordings of other speech are mixed in; `recording` gives the samples of one.
    """

    perturbation: Perturbation
    content: tuple[object, ...]
    recordings: int = 0
    recording: Callable[[int], np.ndarray] = field(default=lambda index: np.zeros(1, np.float32))

    @property
    def level(self) -> float:
        """The level; of a kind without levels 0."""
        return self.perturbation.level or 0.0

    def numbers(self, salt: str = "") -> np.random.RandomState:
        """A stream of random numbers of this utterance and kind."""
        digest = _digest(self.content, self.perturbation.kind, salt)
        return np.random.RandomState(np.frombuffer(digest, dtype="<u4").copy())


def changed(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    """(samples,) float32 after the change; at least one sample.

    Raises:
        UpstreamError: the change cannot be made here, such as a codec that libsndfile lacks.
    """
    made = CHANGES[change.perturbation.kind](samples, rate, change)
    if not np.isfinite(made).all():
        raise UpstreamError(f"{change.perturbation.name} gives samples that are not finite")
    return np.ascontiguousarray(made, dtype=np.float32)


def active_power(samples: np.ndarray, rate: int) -> float:
    """The mean square over the active frames, see above; 0 for silence."""
    frame = max(1, min(round(FRAME * rate), len(samples)))
    powers = np.square(samples[: len(samples) // frame * frame], dtype=np.float64).reshape(-1, frame).mean(1)
    return float(powers[powers >= powers.max() * 10 ** (-ACTIVE / 10)].mean())


def with_noise(samples: np.ndarray, noise: np.ndarray, rate: int, level: float) -> np.ndarray:
    """Speech and noise of the same length, at a level in dB."""
    own = float(np.square(noise, dtype=np.float64).mean())
    if own == 0:
        return samples
    factor = np.sqrt(active_power(samples, rate) / own * 10 ** (-level / 10))
    return samples + factor * noise


def _digest(content: tuple[object, ...], *more: str) -> bytes:
    return hashlib.sha256(repr((*content, *more)).encode()).digest()


def _white(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    return with_noise(samples, change.numbers().standard_normal(len(samples)), rate, change.level)


def _pink(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    """White noise whose spectrum is divided by the square root of the frequency, from 20 Hz up."""
    spectrum = np.fft.rfft(change.numbers().standard_normal(len(samples)))
    frequency = np.fft.rfftfreq(len(samples), 1 / rate)
    shaped = np.where(frequency >= 20, spectrum / np.sqrt(np.maximum(frequency, 20)), 0)
    return with_noise(samples, np.fft.irfft(shaped, len(samples)), rate, change.level)


def _babble(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    """Recordings of equal active power, each from a place of its own on, repeated to the length of the utterance."""
    places = change.numbers("places")
    noise = np.zeros(len(samples))
    for index in range(change.recordings):
        voice = change.recording(index)
        start = int(places.random_sample() * len(voice))
        if power := active_power(voice, rate):
            noise += np.resize(np.roll(voice, -start), len(samples)) / np.sqrt(power)
    return with_noise(samples, noise, rate, change.level)


def _reverb(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    """In one of the rooms of that reverberation time, as long and as loud as before."""
    from scipy.signal import fftconvolve

    room = int.from_bytes(_digest(change.content, "reverb")[:4], "big") % rooms.ROOMS
    wet = fftconvolve(samples.astype(np.float64), rooms.response(change.level, room, rate))[: len(samples)]
    before, after = (np.square(one, dtype=np.float64).sum() for one in (samples, wet))
    return wet * np.sqrt(before / after) if after else wet


def _telephone(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    """A Butterworth band-pass of order 4, there and back, so that no phase changes."""
    from scipy.signal import butter, sosfiltfilt

    high = min(BAND[1], 0.49 * rate)
    sections = butter(4, (BAND[0], high), "bandpass", fs=rate, output="sos")
    return sosfiltfilt(sections, samples.astype(np.float64), padlen=min(len(samples) - 1, 27))


def _resampled(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    return codecs.through_rate(samples, rate, round(change.level), lambda low: low)


def _gain(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    return samples * np.float32(10 ** (change.level / 20))


def _clip(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    top = np.quantile(np.abs(samples), 1 - change.level / 100)
    return samples.clip(-top, top)


def _cut(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    gone = min(round(change.level * rate / 1000), len(samples) // 2)
    return samples[gone:] if change.perturbation.kind == "cut-start" else samples[: len(samples) - gone]


def _zeros(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    return np.pad(samples, round(change.level * rate / 1000))


def _speed(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    import soxr

    made = soxr.resample(samples, rate * change.level, rate, quality="HQ")
    return made if len(made) else samples[:1]


def _coded(samples: np.ndarray, rate: int, change: Change) -> np.ndarray:
    kind = change.perturbation.kind
    return codecs.coded(samples, rate, kind, change.perturbation.level)[0]


CHANGES: dict[str, Callable[[np.ndarray, int, Change], np.ndarray]] = {
    "white": _white,
    "pink": _pink,
    "babble": _babble,
    "reverb": _reverb,
    "telephone": _telephone,
    "resampled": _resampled,
    "opus": _coded,
    "mp3": _coded,
    "mulaw": _coded,
    "gsm": _coded,
    "gain": _gain,
    "clip": _clip,
    "cut-start": _cut,
    "cut-end": _cut,
    "zeros": _zeros,
    "speed": _speed,
}
