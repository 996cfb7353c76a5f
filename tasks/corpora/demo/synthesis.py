"""The embedded corpus: a source-filter synthesiser that speaks short strings in eight voices and four moods.

Glottal pulses (or noise, for breath and consonants) run through formant resonators (Klatt 1980, a cascade of
second-order sections). A mood shifts pitch, its range and slope, tempo, loudness, spectral tilt and breath, more so at
high intensity; voices differ in the same quantities, and every utterance scatters, so that the moods overlap.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from commons.errors import Notice
from tasks.errors import TaskError

HASHES = "SHA256SUMS"  # as sha256sum writes and checks them
VERSION = 1  # of the audio and metadata; changed with any change of either
RATE = 16000
EMOTIONS = ("anger", "happiness", "neutral", "sadness")
PAIRS, DIALOGUES, TURNS = 4, 8, 10  # of each pair a woman and a man; dialogues of a pair; turns of a dialogue
STICKINESS = 0.6  # chance that a turn keeps the mood of the one before
SENTENCES = {
    "s1": "b a d i g u",
    "s2": "m o n a l i",
    "s3": "s a t e k o",
    "s4": "d u l e m i s a",
    "s5": "k i b o n u",
    "s6": "l a s o d e",
    "s7": "g e m a t u n i",
    "s8": "t o l u b a",
}
# Formants in Hz of a man's voice.
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
# Nasals and liquids are voiced and soft; the others are noise around a centre in Hz, s long, stops short.
SOFT = {"m": (250, 1100, 2200), "n": (250, 1500, 2400), "l": (360, 1300, 2700)}
NOISES = {"s": 5200, "t": 4200, "k": 2200, "b": 700, "d": 3200, "g": 1600}


class Utterance(TypedDict):
    """Metadata of an utterance; `path` is relative to the corpus's folder, `turn` counts from 0."""

    id: str
    path: str
    speaker: str
    gender: str
    language: str
    emotion: str
    intensity: str
    valence: float
    arousal: float
    sentence: str
    phonemes: str
    dialogue: str
    turn: int
    session: str


@dataclass(frozen=True)
class Manner:
    """How something is said; moods, voices and chance add up.

    Attributes:
        pitch: octaves above the voice's own; span: octaves of the accents; slope: octaves from start to end.
        tempo: log of the speed; level: dB; tilt: share of the glottal source that is smoothed away; breath: share of
            noise in the source.
    """

    pitch: float = 0.0
    span: float = 0.0
    slope: float = 0.0
    tempo: float = 0.0
    level: float = 0.0
    tilt: float = 0.0
    breath: float = 0.0

    def plus(self, other: Manner, times: float = 1.0) -> Manner:
        """This manner and another, `times` as strong."""
        return Manner(*(getattr(self, f) + times * getattr(other, f) for f in self.__dataclass_fields__))


NORMAL = Manner(pitch=0.0, span=0.25, slope=-0.15, tempo=0.0, level=-24.0, tilt=0.80, breath=0.05)
MOODS = {
    "anger": Manner(pitch=0.25, span=0.15, slope=-0.10, tempo=0.12, level=5.0, tilt=-0.16, breath=0.0),
    "happiness": Manner(pitch=0.38, span=0.30, slope=0.15, tempo=0.06, level=2.5, tilt=-0.04, breath=0.02),
    "neutral": Manner(),
    "sadness": Manner(pitch=-0.08, span=-0.14, slope=-0.05, tempo=-0.20, level=-4.0, tilt=0.07, breath=0.10),
}
SPREAD = Manner(pitch=0.07, span=0.05, slope=0.05, tempo=0.04, level=1.5, tilt=0.03, breath=0.02)
STRENGTHS = {"normal": 0.9, "strong": 1.3}
# Valence and arousal of the moods on IEMOCAP's scale, 1 to 5.
FEELINGS = {"anger": (1.9, 4.1), "happiness": (4.1, 3.7), "neutral": (3.0, 2.7), "sadness": (2.0, 1.9)}


def write(cache: Path) -> Path:
    """The folder of the embedded corpus under `cache`; made whole or not at all, if absent or damaged.

    Raises:
        TaskError: the cache cannot be written.
    """
    folder = cache / f"demo-{VERSION}"
    if _whole(folder):
        return folder
    workplace = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
        new = workplace / "new"
        _fill(new)
        if folder.exists() and not _whole(folder):
            warnings.warn(f"damaged embedded corpus {folder} is made anew", Notice, stacklevel=2)
            os.rename(folder, workplace / "damaged")
        os.rename(new, folder)
    except OSError as error:
        if not _whole(folder):  # else another process was quicker, with the same files
            raise TaskError(
                f"cannot write the embedded corpus to {cache} ({error.strerror or error}); free space, allow writing, "
                "or name another folder with --cache"
            ) from error
    finally:
        if workplace is not None:
            shutil.rmtree(workplace, ignore_errors=True)
    return folder


def _fill(folder: Path) -> None:
    """Write wav/, metadata.csv and the hashes of all these files."""
    import soundfile

    (folder / "wav").mkdir(parents=True)
    rows = list(utterances())
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    hashes = {"metadata.csv": _put(folder / "metadata.csv", table.getvalue().encode())}
    for row in rows:
        audio = io.BytesIO()
        soundfile.write(audio, speak(row), RATE, subtype="PCM_16", format="WAV")
        hashes[row["path"]] = _put(folder / row["path"], audio.getvalue())
    _put(folder / HASHES, "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode())


def _put(path: Path, data: bytes) -> str:
    """Write a file; the hash of what it should hold. Unlike libsndfile, this tells of a full disk."""
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _whole(folder: Path) -> bool:
    """Whether every file of the corpus is there as it was written."""
    try:
        lines = (folder / HASHES).read_text(encoding="utf-8").splitlines()
        listed = [line.split("  ", 1) for line in lines]
        return len(listed) == 1 + PAIRS * DIALOGUES * TURNS and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for digest, name in listed
        )
    except (OSError, ValueError):
        return False


def utterances() -> Iterator[Utterance]:
    """Metadata of every utterance; each pair's dialogues hold each emotion of each speaker equally often."""
    for pair in range(1, PAIRS + 1):
        chance = np.random.RandomState(1000 + pair)
        speakers = (f"f{pair}", f"m{pair}")
        left = {speaker: dict.fromkeys(EMOTIONS, DIALOGUES * TURNS // 2 // len(EMOTIONS)) for speaker in speakers}
        mood = EMOTIONS[chance.randint(len(EMOTIONS))]
        for dialogue in range(1, DIALOGUES + 1):
            for turn in range(TURNS):
                speaker = speakers[(turn + dialogue) % 2]
                there = [emotion for emotion in EMOTIONS if left[speaker][emotion]]
                if mood not in there or chance.random_sample() > STICKINESS:
                    weights = np.array([left[speaker][emotion] for emotion in there], dtype=float)
                    mood = there[int(np.searchsorted(np.cumsum(weights / weights.sum()), chance.random_sample()))]
                left[speaker][mood] -= 1
                intensity = list(STRENGTHS)[chance.randint(2)]
                sentence = list(SENTENCES)[chance.randint(len(SENTENCES))]
                valence, arousal = _feeling(mood, STRENGTHS[intensity], chance)
                name = f"d{pair}{dialogue}_{turn:02d}_{speaker}"
                yield {
                    "id": name,
                    "path": f"wav/{name}.wav",
                    "speaker": speaker,
                    "gender": "female" if speaker.startswith("f") else "male",
                    "language": "und",
                    "emotion": mood,
                    "intensity": intensity,
                    "valence": valence,
                    "arousal": arousal,
                    "sentence": sentence,
                    "phonemes": SENTENCES[sentence],
                    "dialogue": f"d{pair}{dialogue}",
                    "turn": turn,
                    "session": str(pair),
                }


def _feeling(mood: str, strength: float, chance: np.random.RandomState) -> tuple[float, float]:
    """Valence and arousal, 1 to 5: the mood's, further from the middle the stronger it is, with scatter."""
    pulled = (3 + strength * (value - 3) + 0.25 * chance.randn() for value in FEELINGS[mood])
    valence, arousal = (round(float(np.clip(value, 1, 5)), 2) for value in pulled)
    return valence, arousal


def _voice(speaker: str) -> tuple[float, float, Manner]:
    """A speaker's mean pitch in Hz, formant scale and habits."""
    chance = np.random.RandomState(zlib.crc32(speaker.encode()))
    woman = speaker.startswith("f")
    pitch = (205.0 if woman else 112.0) * 2 ** (0.12 * chance.randn())
    scale = (1.16 if woman else 1.0) * (1 + 0.03 * chance.randn())
    habits = Manner(*(0.5 * getattr(SPREAD, f) * chance.randn() for f in SPREAD.__dataclass_fields__))
    return pitch, scale, habits


def speak(row: Utterance) -> np.ndarray:
    """Synthesise an utterance: (samples,) float64 in -1 to 1, at 16 kHz, 0.8 to 1.6 s."""
    chance = np.random.RandomState(zlib.crc32(row["id"].encode()))
    base, scale, habits = _voice(row["speaker"])
    scatter = Manner(*(getattr(SPREAD, f) * chance.randn() for f in SPREAD.__dataclass_fields__))
    manner = NORMAL.plus(habits).plus(scatter).plus(MOODS[row["emotion"]], STRENGTHS[row["intensity"]])
    phonemes = row["phonemes"].split()
    weights = np.array([1.0 if p in VOWELS else 0.5 for p in phonemes]) * (1 + 0.1 * chance.rand(len(phonemes)))
    seconds = float(np.clip(0.19 * weights.sum() * np.exp(-manner.tempo) + 0.2, 0.8, 1.6))
    bounds = np.round(np.r_[0, np.cumsum(weights / weights.sum())] * seconds * RATE).astype(int)
    pitch = base * 2 ** (manner.pitch + _contour(bounds, phonemes, manner, chance))
    source = _source(pitch, manner, chance)
    sound = np.zeros(bounds[-1])
    for phoneme, start, end in zip(phonemes, bounds[:-1], bounds[1:], strict=True):
        sound[start:end] += _phoneme(phoneme, source[start:end], scale, chance)
    sound *= _fade(len(sound), 0.02)
    sound *= 10 ** (min(manner.level, -14.0) / 20) / np.sqrt(np.mean(sound**2))
    return np.clip(sound + 10 ** (-60 / 20) * chance.randn(len(sound)), -1, 1)


def _contour(bounds: np.ndarray, phonemes: list[str], manner: Manner, chance: np.random.RandomState) -> np.ndarray:
    """(samples,) octaves around the mean: a slope, and accents on the vowels, smooth between."""
    middles = (bounds[:-1] + bounds[1:]) / 2
    accents = np.array([1.0 if p in VOWELS else -0.3 for p in phonemes]) * (0.4 + 0.6 * chance.rand(len(phonemes)))
    time = np.arange(bounds[-1])
    accents = np.interp(time, middles, accents - accents.mean()) * max(manner.span, 0.02)
    return accents + manner.slope * (time / bounds[-1] - 0.5)


def _source(pitch: np.ndarray, manner: Manner, chance: np.random.RandomState) -> np.ndarray:
    """(samples,) glottal pulses of a pitch contour in Hz, with breath, smoothed by the tilt."""
    from scipy.signal import lfilter

    phase = np.cumsum(pitch / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    pulses *= np.sqrt(RATE / pitch) * (1 + 0.05 * chance.randn(len(pulses)))
    noise = chance.randn(len(pulses))
    breath = float(np.clip(manner.breath, 0.01, 0.6))
    tilt = float(np.clip(manner.tilt, 0.4, 0.96))
    return lfilter([1 - tilt], [1, -tilt], (1 - breath) * pulses + breath * noise)


def _phoneme(phoneme: str, source: np.ndarray, scale: float, chance: np.random.RandomState) -> np.ndarray:
    """(samples,) one phoneme from its stretch of the source."""
    from scipy.signal import lfilter

    if phoneme in NOISES:
        noise = lfilter(*_resonator(NOISES[phoneme], 900.0), chance.randn(len(source)))
        if phoneme != "s":  # a stop: silence, then a short burst
            noise *= np.arange(len(noise)) > 0.6 * len(noise)
        return 0.5 * np.sqrt(np.mean(source**2)) * noise / np.sqrt(np.mean(noise**2) + 1e-12) * _fade(len(noise), 0.004)
    sound = source
    for formant, width in zip((VOWELS | SOFT)[phoneme], (80.0, 100.0, 140.0), strict=True):
        sound = lfilter(*_resonator(formant * scale, width), sound)
    return sound * _fade(len(sound), 0.008) * (0.4 if phoneme in SOFT else 1.0)


def _resonator(centre: float, width: float) -> tuple[list[float], list[float]]:
    """Filter coefficients of a formant: centre and bandwidth in Hz, unit gain at 0 Hz."""
    radius = np.exp(-np.pi * width / RATE)
    b, c = 2 * radius * np.cos(2 * np.pi * centre / RATE), -(radius**2)
    return [1 - b - c], [1, -b, -c]


def _fade(samples: int, seconds: float) -> np.ndarray:
    """(samples,) an envelope that rises and falls within the seconds given."""
    edge = max(1, min(samples // 2, round(seconds * RATE)))
    from_edge = np.minimum(np.arange(samples), np.arange(samples)[::-1])
    return np.clip((from_edge + 1) / edge, 0, 1)
