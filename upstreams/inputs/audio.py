"""Audio as an upstream takes it: a part of a file, one channel, resampled, perhaps changed, padded or in windows."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from commons import perturbations
from commons.corridors.utterances import ROUNDING
from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import pandas as pd
    import soundfile

RULE = "soundfile; one channel, else the mean of all; soxr HQ; float32; 1"  # how files are decoded; part of every key


@dataclass(frozen=True)
class AudioFormat:
    """The audio that an upstream takes.

    Attributes:
        sample_rate: Hz.
        hop: samples between frames; None: one frame for each utterance.
        min_samples: receptive field in samples; shorter audio is zero-padded.
        max_seconds: longer audio is cut into windows, s; None: any length is taken whole.
    """

    sample_rate: int
    hop: int | None
    min_samples: int
    max_seconds: float | None

    @property
    def one_frame(self) -> bool:
        """Whether the upstream gives one frame for each utterance."""
        return self.hop is None

    @property
    def facts(self) -> tuple[object, ...]:
        """What enters the fingerprint of an upstream."""
        return self.sample_rate, self.hop, self.min_samples, self.max_seconds

    def alike(self, inputs: Sequence[Sized]) -> bool:
        """Whether inputs may be in one call of an upstream that is not `ragged`: those of one length may."""
        return len({len(one) for one in inputs}) <= 1


@dataclass(frozen=True)
class Segment:
    """The audio of one utterance.

    Attributes:
        sha256: of the whole file.
        start, end: bounds within the file, s; None: the file's own.
        channel: from 0; None: the mean of all channels.
        seconds: length of the utterance.
        perturbation: KIND@LEVEL, a change of the samples at the upstream's rate; empty: none.
        noise: path and sha256 of each recording that is mixed in.
    """

    path: str
    sha256: str
    start: float | None
    end: float | None
    channel: int | None
    seconds: float
    perturbation: str = ""
    noise: tuple[tuple[str, str], ...] = ()
    rule: ClassVar[str] = RULE
    chunk: ClassVar[int] = 64  # utterances in one file of the store at most
    chunk_length: ClassVar[float] = 256.0  # s of audio in it: bounds a job's memory, and what a killed run can lose

    @property
    def clean(self) -> tuple[str, float | None, float | None, int | None]:
        """What identifies the recording, before any change."""
        return self.sha256, self.start, self.end, self.channel

    @property
    def content(self) -> tuple[object, ...]:
        """All facts of the utterance that its features depend on."""
        if not self.perturbation:
            return self.clean
        change = perturbations.parse(self.perturbation).content
        return *self.clean, *change, *(sha256 for _, sha256 in self.noise)

    @property
    def name(self) -> str:
        """What messages call it: its file, and how that is changed."""
        return f"{self.path} ({self.perturbation})" if self.perturbation else self.path

    @property
    def length(self) -> float:
        """Seconds."""
        return self.seconds

    @property
    def amount(self) -> float:
        """What progress counts: seconds."""
        return self.seconds


def segments(utterances: pd.DataFrame) -> list[Segment]:
    """One Segment a row. Raises UpstreamError for a table that lacks what extraction needs."""
    lacking = [column for column in ("path", "sha256", "duration") if column not in utterances.columns]
    if lacking:
        raise UpstreamError(f"the utterance table has no column {', '.join(lacking)}")

    def column(name: str) -> list[float | None]:
        if name not in utterances.columns:
            return [None] * len(utterances)
        return [None if value is None or value != value else float(value) for value in utterances[name]]

    rows = zip(
        utterances["path"], utterances["sha256"], column("start"), column("end"), column("channel"),
        utterances["duration"], _changes(utterances), strict=True,
    )  # fmt: skip
    return [
        Segment(str(path), str(sha256), start, end, None if channel is None else int(channel), float(seconds), *change)
        for path, sha256, start, end, channel, seconds, change in rows
    ]


def _changes(utterances: pd.DataFrame) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """For each row its perturbation, empty where there is none, and the recordings that are mixed in."""
    if "perturbation" not in utterances.columns:
        return [("", ())] * len(utterances)
    names = utterances["perturbation"].fillna("").tolist()
    noises = utterances["noise"].tolist() if "noise" in utterances.columns else [()] * len(names)
    return [
        (name, tuple((str(path), str(sha256)) for path, sha256 in noise) if isinstance(noise, tuple) else ())
        for name, noise in zip(names, noises, strict=True)
    ]


def load(segment: Segment, audio: AudioFormat, longest: float | None = None) -> list[np.ndarray]:
    """The waveforms of an utterance, or of its first `longest` s, as an upstream takes them; errors as in `decode`."""
    most = None if longest is None else max(1, round(longest * audio.sample_rate))
    return windows(decode(segment, audio.sample_rate)[:most], audio)


def windows(samples: np.ndarray, audio: AudioFormat) -> list[np.ndarray]:
    """A waveform as it is, zero-padded to the receptive field, or cut into windows of almost equal length."""
    if len(samples) < audio.min_samples:
        return [np.pad(samples, (0, audio.min_samples - len(samples)))]
    limit = None if audio.max_seconds is None else audio.max_seconds * audio.sample_rate
    if limit is None or len(samples) <= limit:
        return [samples]
    count, hop = int(np.ceil(len(samples) / limit)), audio.hop or 1
    bounds = [round(i * len(samples) / count / hop) * hop for i in range(count)] + [len(samples)]
    return [samples[start:stop] for start, stop in pairwise(bounds)]


def decode(segment: Segment, rate: int) -> np.ndarray:
    """(samples,) float32 at `rate` Hz, changed where the segment says so. Raises UpstreamError naming the file.

    A whole file is read and hashed in one go: should the file change between hashing and decoding, its features would
    be stored under the hash of other audio. Of a part of a file only that part is read.
    """
    import soundfile

    try:
        if segment.start is None and segment.end is None:
            with open(segment.path, "rb") as file:
                content = file.read()
            if hashlib.sha256(content).hexdigest() != segment.sha256:
                raise UpstreamError(
                    f"{segment.path}: the file changed after it was hashed; run again. If this message comes again, "
                    f"the change kept the time stamp of the file: touch {segment.path}"
                )
            with soundfile.SoundFile(io.BytesIO(content)) as sound:
                samples, own_rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
        else:
            with soundfile.SoundFile(segment.path) as sound:
                samples, own_rate = _part(sound, segment), sound.samplerate
    except (OSError, soundfile.LibsndfileError) as error:
        raise UpstreamError(f"{segment.path}: cannot be decoded ({_why(error)}); check or replace the file") from error
    waveform = _one_channel(samples, segment)
    if not len(waveform):
        raise UpstreamError(f"{segment.path}: holds no samples{_bounds(segment)}")
    if not np.isfinite(waveform).all():
        raise UpstreamError(f"{segment.path}: holds NaN or infinite samples{_bounds(segment)}; replace the file")
    if own_rate != rate:
        import soxr

        waveform = soxr.resample(waveform, own_rate, rate, quality="HQ")
        if not len(waveform):  # under half a sample: silence, padded later
            waveform = np.zeros(1, dtype=np.float32)
    return _changed(waveform, segment, rate) if segment.perturbation else waveform


def _changed(samples: np.ndarray, segment: Segment, rate: int) -> np.ndarray:
    """The samples after the segment's perturbation. Raises UpstreamError naming the file."""
    from upstreams.inputs.perturbing import Change, changed

    def recording(index: int) -> np.ndarray:
        return _noise(*segment.noise[index], rate)

    change = Change(perturbations.parse(segment.perturbation), segment.clean, len(segment.noise), recording)
    try:
        return changed(samples, rate, change)
    except UpstreamError as error:
        raise UpstreamError(f"{segment.path}: {error}") from error


@lru_cache(maxsize=256)
def _noise(path: str, sha256: str, rate: int) -> np.ndarray:
    """The first ten seconds of a recording that is mixed in; many utterances share it."""
    return decode(Segment(path, sha256, None, None, None, 0.0), rate)[: 10 * rate]


def _why(error: Exception) -> str:
    """The message of libsndfile, without the object that it read from."""
    return str(getattr(error, "error_string", error))


def _part(sound: soundfile.SoundFile, segment: Segment) -> np.ndarray:
    start = round((segment.start or 0.0) * sound.samplerate)
    end = sound.frames if segment.end is None else round(segment.end * sound.samplerate)
    late = end - sound.frames > ROUNDING * sound.samplerate
    if not 0 <= start < end or start >= sound.frames or late:
        length = sound.frames / sound.samplerate
        raise UpstreamError(f"{segment.path}: lasts {length:.3f} s and has no part{_bounds(segment)}")
    sound.seek(start)
    return sound.read(end - start, dtype="float32", always_2d=True)


def _one_channel(samples: np.ndarray, segment: Segment) -> np.ndarray:
    channels = samples.shape[1]
    if segment.channel is None:
        return samples[:, 0] if channels == 1 else samples.mean(axis=1, dtype=np.float32)
    if not 0 <= segment.channel < channels:
        raise UpstreamError(f"{segment.path}: has {channels} channels, so no channel {segment.channel} (from 0)")
    return np.ascontiguousarray(samples[:, segment.channel])


def _bounds(segment: Segment) -> str:
    if segment.start is None and segment.end is None:
        return ""
    return f" from {segment.start or 0.0:g} s to {'its end' if segment.end is None else f'{segment.end:g} s'}"
