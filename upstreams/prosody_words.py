"""How an utterance sounds, in words that a text encoder can read: level, pitch, its variation, tempo.

After the idea of SpeechCueLLM, which gives such words to a language model. The thresholds are fixed and the same for
all: the fifths of every twelfth utterance of nEMO (a development corpus), rounded. Nothing is normalised by speaker or
recording, so a low voice is called low whoever speaks, and a quiet recording quiet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from commons.files import write
from commons.hashing import of_file
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.inputs.audio import Segment, decode
from upstreams.prosody import Prosody

DECIBEL = 10 / np.log(10)  # of a natural log of power
SPOKEN = 30.0  # dB below the loudest frame, beyond which a frame is silence
SMOOTHED = 9  # frames of 10 ms over which energy is averaged before its peaks are counted
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
DIP = 1.0  # dB between two peaks that are two syllables


@dataclass(frozen=True)
class Scale:
    """A quantity in words: `words[i]` below `limits[i]`, the last word above all limits."""

    unit: str
    limits: tuple[float, ...]
    words: tuple[str, ...]

    def word(self, value: float) -> str:
        """The word for a value."""
        return self.words[int(np.searchsorted(self.limits, value, side="right"))]


DEGREES = ("very low", "low", "medium", "high", "very high")
SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "level": Scale(
            "dB", (-26.0, -24.0, -22.0, -20.0), ("very quiet", "quiet", "of medium level", "loud", "very loud")
        ),
        "pitch": Scale("Hz", (120.0, 150.0, 190.0, 215.0), DEGREES),
        "variation": Scale(
            "semitones",
            (1.6, 2.1, 2.6, 3.6),
            ("hardly varies", "varies little", "varies", "varies much", "varies a lot"),
        ),
        "tempo": Scale("peaks/s", (5.1, 5.5, 5.9, 6.3), ("very slow", "slow", "medium", "fast", "very fast")),
    }
)


def written(places: Sequence[Path], output: Path, progress: Progress | None = None) -> int:
    """Write a table with columns id and text, for `--text CORPUS=FILE`; returns the number of rows.

    The id of a file is its name without ending, as in most corpora.

    Args:
        places: audio files, or folders of them.

    Raises:
        UpstreamError: a file cannot be decoded, two have one name, or there is none.
    """
    files: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if place.is_dir() and path.suffix.lower() not in SUFFIXES:
                continue
            if (other := files.setdefault(path.stem, path)) != path:
                raise UpstreamError(f"{other} and {path} have one name, which is their id; give one of the two folders")
    if not files:
        raise UpstreamError(f"{', '.join(map(str, places))}: no audio there (known: {' '.join(SUFFIXES)})")
    rows = [("id", "text")]
    for done, (name, path) in enumerate(sorted(files.items()), start=1):
        rows.append((name, described(measured(_waveform(path)))))
        if progress:
            progress(done, len(files))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write(output, text.getvalue())
    return len(files)


def _waveform(path: Path) -> np.ndarray:
    try:
        sha256 = of_file(path)
    except OSError as error:
        raise UpstreamError(f"{path}: cannot be read ({error.strerror})") from error
    samples = decode(Segment(str(path), sha256, None, None, None, 0.0), Prosody.sample_rate)
    return np.pad(samples, (0, max(0, Prosody.min_samples - len(samples))))


def measured(waveform: np.ndarray) -> dict[str, float]:
    """Level, pitch, its variation and tempo of an utterance; NaN for what it does not tell (no voiced frame).

    level: dB of the mean power of frames that are not silence; pitch: median Hz of voiced frames; variation: half the
    range of the middle 68 % of voiced frames, semitones; tempo: peaks of energy for each second from the first frame
    that is not silence to the last.

    Args:
        waveform: (samples,) float32 at 16 kHz.
    """
    prosody = Prosody()
    f0 = prosody.f0(waveform.astype(np.float64))
    level = DECIBEL * prosody.log_energy(waveform, len(f0))
    spoken = level > level.max() - SPOKEN
    voiced = f0[(f0 > 0) & spoken]
    where = np.flatnonzero(spoken)
    seconds = (where[-1] - where[0] + 1) * prosody.hop / prosody.sample_rate
    low, high = np.percentile(voiced, (16, 84)) if len(voiced) else (np.nan, np.nan)
    return {
        "level": float(10 * np.log10(np.mean(10 ** (level[spoken] / 10)))),
        "pitch": float(np.median(voiced)) if len(voiced) else np.nan,
        "variation": float(6 * np.log2(high / low)),
        "tempo": _peaks(level[where[0] : where[-1] + 1]) / seconds,
    }


def _peaks(level: np.ndarray) -> int:
    """Number of peaks of a smoothed curve of level in dB, between which it falls by `DIP` at least."""
    kernel = np.hanning(SMOOTHED + 2)[1:-1]
    smooth = np.convolve(level, kernel / kernel.sum(), mode="same")
    peaks, top, bottom, rising = 0, smooth[0], smooth[0], True
    for value in smooth:
        top, bottom = max(top, value), min(bottom, value)
        if rising and value < top - DIP:
            peaks, bottom, rising = peaks + 1, value, False
        elif not rising and value > bottom + DIP:
            top, rising = value, True
    return peaks + rising


def described(values: Mapping[str, float]) -> str:
    """A sentence or two on an utterance, from `measured`.

    >>> described({"level": -20.0, "pitch": 130.0, "variation": 5.0, "tempo": 2.0})
    'The voice is very loud. Its pitch is low and varies a lot. The tempo is very slow.'
    """
    words = {name: scale.word(values[name]) for name, scale in SCALES.items() if np.isfinite(values[name])}
    pitch = f" Its pitch is {words['pitch']} and {words['variation']}." if "pitch" in words else " It has no pitch."
    return f"The voice is {words['level']}.{pitch} The tempo is {words['tempo']}."


def thresholds(several: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The fifths of some utterances, by quantity: how the limits of `SCALES` were found."""
    return {
        name: [float(one) for one in np.nanpercentile([values[name] for values in several], (20, 40, 60, 80))]
        for name in SCALES
    }
