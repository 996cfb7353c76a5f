"""One job: decode some utterances, run the upstream on them, write one chunk file for each kind of feature."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from commons.errors import EmorepError
from upstreams.errors import UpstreamError
from upstreams.extraction.store import Kept, Row, write_chunk
from upstreams.frozen import Frozen, out_of_memory
from upstreams.inputs.audio import AudioFormat, Segment, decode, windows

if TYPE_CHECKING:
    import torch

A = TypeVar("A")
B = TypeVar("B")

CHUNK_SECONDS = 256.0  # of audio in a job: bounds its memory, and what a killed run can lose


class Limits(NamedTuple):
    """How much one batch holds at most: utterances, and seconds of audio with the padding."""

    utterances: int
    seconds: float


ON_GPU = Limits(32, 240.0)
ON_CPU = Limits(1, float("inf"))  # larger batches gain nothing there


@dataclass(frozen=True)
class Job:
    """Utterances and what to keep of their features. Its values are plain, so that it can go to another process."""

    segments: tuple[Segment, ...]
    kept: tuple[Kept, ...]

    @property
    def seconds(self) -> float:
        return sum(segment.seconds for segment in self.segments)


@dataclass(frozen=True)
class Report:
    """What a job did: seconds of each phase, utterances and seconds of audio, parameters of the upstream."""

    decode: float
    forward: float
    write: float
    utterances: int
    audio: float
    parameters: int | None


class Piece(NamedTuple):
    """A waveform to run in one go: an utterance or a window of one; `owner`: the number of the utterance in the job."""

    owner: int
    samples: np.ndarray


@dataclass
class Result:
    """What is known so far of one utterance of a job."""

    padded: bool = False
    windowed: bool = False
    moments: Moments | None = None
    frames: dict[str, list[np.ndarray]] = field(default_factory=dict)  # kind -> (T, L', D) a window


def chunks(rows: Iterable[int], segments: Sequence[Segment], most: int) -> Iterator[list[int]]:
    """Rows of `segments` in groups, one for each job: at most so many utterances and CHUNK_SECONDS of audio in each."""
    chunk: list[int] = []
    seconds = 0.0
    for row in rows:
        if chunk and (len(chunk) >= most or seconds + segments[row].seconds > CHUNK_SECONDS):
            yield chunk
            chunk, seconds = [], 0.0
        chunk.append(row)
        seconds += segments[row].seconds
    if chunk:
        yield chunk


def run(job: Job, upstream: Frozen, cache: Path, threads: int = 0, limits: Limits | None = None) -> Report:
    """Do a job; returns what it did.

    Args:
        threads: threads that decode files while the model computes; 0: a file is decoded when the model needs it.
        limits: of a batch; None: those of the upstream's device.

    Raises:
        UpstreamError: a file cannot be decoded or the upstream fails on it; the message names the file.
    """
    clock = {"decode": 0.0, "forward": 0.0, "write": 0.0}
    results = [Result() for _ in job.segments]

    def timed_decode(segment: Segment) -> tuple[np.ndarray, float]:
        started = time.perf_counter()
        return decode(segment, upstream.audio.sample_rate), time.perf_counter() - started

    def pieces() -> Iterator[Piece]:
        for owner, (samples, seconds) in enumerate(ahead(timed_decode, job.segments, threads)):
            clock["decode"] += seconds
            waveforms = windows(samples, upstream.audio)
            results[owner].padded = len(samples) < upstream.audio.min_samples
            results[owner].windowed = len(waveforms) > 1
            yield from (Piece(owner, waveform) for waveform in waveforms)

    limits = limits or (ON_CPU if upstream.device == "cpu" else ON_GPU)
    for batch in batches(pieces(), limits, upstream.audio, upstream.ragged):
        started = time.perf_counter()
        _forward(batch, job, upstream, results)
        clock["forward"] += time.perf_counter() - started
    started = time.perf_counter()
    for kept in job.kept:
        rows = [Row(kept.key(s), r.padded, r.windowed) for s, r in zip(job.segments, results, strict=True)]
        write_chunk(kept.folder(cache), rows, _tensors(kept, job, results))
    clock["write"] += time.perf_counter() - started
    return Report(**clock, utterances=len(job.segments), audio=job.seconds, parameters=upstream.parameters)


def batches(pieces: Iterable[Piece], limits: Limits, audio: AudioFormat, ragged: bool) -> Iterator[list[Piece]]:
    """Pieces that follow each other, in batches: of any lengths where the upstream is `ragged`, else of one length.

    The utterances of a job are sorted by length, which keeps the padding short.
    """
    batch: list[Piece] = []
    longest = 0
    for piece in pieces:
        samples = len(piece.samples)
        padded = max(longest, samples)
        most = min(limits.utterances, limits.seconds * audio.sample_rate / padded)
        if batch and (len(batch) >= most or (samples != longest and not ragged)):
            yield batch
            batch, padded = [], samples
        batch.append(piece)
        longest = padded
    if batch:
        yield batch


def forward(waveforms: list[torch.Tensor], upstream: Frozen, keep: Callable[[torch.Tensor], A]) -> list[A]:
    """What `keep` returns for the output (L, T, D) of each waveform. A batch too large for the GPU's memory is halved.

    Raises UpstreamError: the memory is too small for a single waveform.
    """
    import torch

    try:
        return [keep(output) for output in upstream(waveforms)]
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        if len(waveforms) == 1:
            seconds = len(waveforms[0]) / upstream.audio.sample_rate
            raise UpstreamError(
                f"{upstream.name}: the GPU's memory does not hold {seconds:.1f} s of audio; free some of it, use "
                "--precision bf16 or --device cpu, or lower the upstream's max_seconds"
            ) from error
    torch.cuda.empty_cache()
    half = len(waveforms) // 2
    return forward(waveforms[:half], upstream, keep) + forward(waveforms[half:], upstream, keep)


def _forward(batch: list[Piece], job: Job, upstream: Frozen, results: list[Result]) -> None:
    import torch

    def keep(output: torch.Tensor) -> list[Moments | np.ndarray]:
        """One for each kind that is kept."""
        return [
            Moments.of(output.float())
            if kept.kind == "pooled"
            else output[list(kept.layers)].transpose(0, 1).to(torch.float16).cpu().numpy()
            for kept in job.kept
        ]

    names = ", ".join(dict.fromkeys(job.segments[piece.owner].path for piece in batch))
    try:
        outputs = forward([torch.from_numpy(piece.samples) for piece in batch], upstream, keep)
    except EmorepError as error:
        raise UpstreamError(f"{error} [on {names}]") from error
    for piece, output in zip(batch, outputs, strict=True):
        result = results[piece.owner]
        for kept, part in zip(job.kept, output, strict=True):
            if isinstance(part, Moments):
                result.moments = part if result.moments is None else result.moments.joined(part)
            else:
                result.frames.setdefault(kept.kind, []).append(part)


def _tensors(kept: Kept, job: Job, results: list[Result]) -> dict[str, np.ndarray]:
    if kept.kind == "pooled":
        import torch

        stacked = [result.moments.pooled() for result in results if result.moments is not None]  # each (2, L, D)
        pooled = torch.stack(stacked, dim=2).numpy()  # (2, L, n, D): one layer of all utterances is contiguous
        _check_finite(np.isfinite(pooled).all(axis=(0, 1, 3)), kept, job)
        return {"pooled": pooled}
    frames = [np.concatenate(result.frames[kept.kind]) for result in results]
    _check_finite(np.array([np.isfinite(frame).all() for frame in frames]), kept, job)
    lengths = np.array([len(frame) for frame in frames], dtype=np.int64)
    return {"frames": np.concatenate(frames), "lengths": lengths}


def _check_finite(good: np.ndarray, kept: Kept, job: Job) -> None:
    if good.all():
        return
    bad = [segment.path for segment, fine in zip(job.segments, good, strict=True) if not fine]
    limit = "" if kept.kind == "pooled" else ", or too large for float16"
    raise UpstreamError(f"{kept.upstream} gave features that are not finite{limit}, on {', '.join(bad[:3])}")


@dataclass(frozen=True)
class Moments:
    """The number of frames, their mean and sum of squared deviations: (L, D) float32, on the upstream's device."""

    count: int
    mean: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def of(cls, frames: torch.Tensor) -> Moments:
        """(L, T, D) -> its moments, in two passes."""
        mean = frames.mean(dim=1)
        return cls(frames.shape[1], mean, (frames - mean[:, None]).square().sum(dim=1))

    def joined(self, other: Moments) -> Moments:
        """The moments of all frames of both (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        change = other.mean - self.mean
        mean = self.mean + change * (other.count / count)
        squares = self.squares + other.squares + change.square() * (self.count * other.count / count)
        return Moments(count, mean, squares)

    def pooled(self) -> torch.Tensor:
        """(2, L, D), on the CPU: mean and population standard deviation."""
        import torch

        return torch.stack([self.mean.cpu(), (self.squares.cpu() / self.count).sqrt()])


def ahead(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """map(function, items) in order, computed a little ahead in threads."""
    if not threads:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
