"""Audio through a codec of libsndfile and back, as long as before."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from upstreams.errors import UpstreamError


@dataclass(frozen=True)
class Codec:
    """A codec: its names in libsndfile, and the rates that it takes, Hz, ascending."""

    format: str
    subtype: str
    rates: tuple[int, ...]


CODECS = {
    "opus": Codec("OGG", "OPUS", (8000, 12000, 16000, 24000, 48000)),
    "mp3": Codec("MP3", "MPEG_LAYER_III", (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "mulaw": Codec("WAV", "ULAW", (8000,)),
    "gsm": Codec("WAV", "GSM610", (8000,)),
}


def coded(samples: np.ndarray, rate: int, name: str, level: float | None) -> tuple[np.ndarray, float]:
    """The samples after the codec, and its bit rate, kbit/s of the file that it wrote.

    The codec works at the lowest of its rates that is not below that of the samples, or at its highest.

    Args:
        level: libsndfile's compression level, from 0 (largest files) to 1; None: the codec has none.

    Raises:
        UpstreamError: libsndfile lacks the codec, or refuses the level.
    """
    codec = CODECS[name]
    sizes: list[int] = []

    def there_and_back(low: np.ndarray) -> np.ndarray:
        made, size = _written(low, own, codec, level)
        sizes.append(size)
        return made

    own = next((one for one in codec.rates if one >= rate), codec.rates[-1])
    made = through_rate(samples, rate, own, there_and_back)
    return made, 8 * sizes[0] / (len(samples) / rate) / 1000


def through_rate(samples: np.ndarray, rate: int, own: int, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The samples, changed at another rate; as many as before."""
    import soxr

    if own == rate:
        return _fitted(change(samples), len(samples))
    low = soxr.resample(samples, rate, own, quality="HQ")
    if not len(low):
        return np.zeros_like(samples)
    return _fitted(soxr.resample(_fitted(change(low), len(low)), own, rate, quality="HQ"), len(samples))


def _written(samples: np.ndarray, rate: int, codec: Codec, level: float | None) -> tuple[np.ndarray, int]:
    """What a decoder makes of the file that the codec writes, and the size of that file in bytes."""
    import soundfile

    file = io.BytesIO()
    try:
        with soundfile.SoundFile(
            file, "w", rate, 1, codec.subtype, format=codec.format, compression_level=level
        ) as sound:
            sound.write(samples.clip(-1, 1))  # codecs of whole numbers wrap around beyond it
        size = len(file.getvalue())
        file.seek(0)
        return soundfile.read(file, dtype="float32")[0], size
    except (soundfile.LibsndfileError, ValueError) as error:
        known = f"libsndfile {soundfile.__libsndfile_version__}"
        what = f"{codec.subtype}" + ("" if level is None else f" at compression {level:g}")
        raise UpstreamError(
            f"{known} cannot write {what} at {rate} Hz ({error}); update it, or leave this out"
        ) from error


def _fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """So many samples: the end is cut off, or zeros follow it."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
