"""Waveforms of utterances: decoded with soundfile, one channel, resampled with soxr."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import pandas as pd
    import soundfile

ROUNDING = 0.05  # s that a corpus's times may run over the end of a file
RULE = "soundfile; one channel, else the mean of all; soxr HQ; float32; 1"  # part of every key


@dataclass(frozen=True)
class Segment:
    """The audio of an utterance. `start` and `end` in s; None: the file's own bounds; channel None: the mean of all."""

    path: str
    sha256: str
    start: float | None
    end: float | None
    channel: int | None
    seconds: float


def segments(utterances: pd.DataFrame) -> list[Segment]:
    """One Segment a row. Raises UpstreamError for a table that lacks what extraction needs."""
    lacking = [column for column in ("path", "sha256", "duration") if column not in utterances.columns]
    if lacking or not len(utterances):
        raise UpstreamError(f"the utterance table has {'no column ' + ', '.join(lacking) if lacking else 'no rows'}")
    if not utterances.index.is_unique:
        twice = utterances.index[utterances.index.duplicated()][0]
        raise UpstreamError(f"the utterance table holds the id {twice!r} more than once")

    def column(name: str) -> list[float | None]:
        if name not in utterances.columns:
            return [None] * len(utterances)
        return [None if value is None or value != value else float(value) for value in utterances[name]]

    rows = zip(
        utterances["path"], utterances["sha256"], column("start"), column("end"), column("channel"),
        utterances["duration"], strict=True,
    )  # fmt: skip
    return [
        Segment(str(path), str(sha256), start, end, None if channel is None else int(channel), float(seconds))
        for path, sha256, start, end, channel, seconds in rows
    ]


def decode(segment: Segment, rate: int) -> np.ndarray:
    """(samples,) float32 at `rate` Hz. Raises UpstreamError naming the file.

    A whole file is hashed as it is read, so that its features can never be filed under other bytes than its own. Of
    a segment only its part is read.
    """
    import soundfile

    try:
        if segment.start is None and segment.end is None:
            with open(segment.path, "rb") as file:
                content = file.read()
            if hashlib.sha256(content).hexdigest() != segment.sha256:
                raise UpstreamError(
                    f"{segment.path}: changed since it was hashed; run again, and if it then says so again, the change "
                    f"kept the file's time stamp: touch {segment.path}"
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
    if own_rate == rate:
        return waveform
    import soxr

    resampled = soxr.resample(waveform, own_rate, rate, quality="HQ")
    return resampled if len(resampled) else np.zeros(1, dtype=np.float32)  # under half a sample: silence, padded later


def _why(error: Exception) -> str:
    """What libsndfile says, without the object that it read from."""
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
