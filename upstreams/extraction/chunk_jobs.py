"""One job: load some utterances, run the upstream on them, write one chunk file for each kind of feature."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from commons.device import out_of_memory
from commons.errors import EmorepError, some
from upstreams.errors import UpstreamError
from upstreams.extraction import pooling, products
from upstreams.extraction.store import Kept, Row, write_chunk
from upstreams.frozen import Frozen
from upstreams.inputs import Format, Input
from upstreams.inputs.audio import AudioFormat, Segment, decode, windows
from upstreams.inputs.text import Text

if TYPE_CHECKING:
    import torch

A = TypeVar("A")
B = TypeVar("B")


class Limits(NamedTuple):
    """How much one batch holds at most: utterances, and samples or word pieces with the padding."""

    utterances: int
    size: float


def limits_of(takes: Format, device: str) -> Limits:
    """The largest batches for an upstream on a device."""
    if isinstance(takes, AudioFormat):  # on a CPU larger batches gain nothing
        return Limits(1, float("inf")) if device == "cpu" else Limits(32, 240.0 * takes.sample_rate)
    return Limits(32, 2048) if device == "cpu" else Limits(256, 32_768)


@dataclass(frozen=True)
class Job:
    """Utterances and what to keep of their features. Its values are plain, so that it can go to another process."""

    inputs: tuple[Input, ...]
    kept: tuple[Kept, ...]

    @property
    def amount(self) -> float:
        """Seconds of audio, or texts."""
        return sum(one.amount for one in self.inputs)


@dataclass(frozen=True)
class Report:
    """What a job did.

    Attributes:
        decode, forward, write: seconds of each phase.
        amount: seconds of audio, or texts.
        parameters: of the upstream.
    """

    decode: float
    forward: float
    write: float
    utterances: int
    amount: float
    parameters: int | None


class Piece(NamedTuple):
    """What is run in one go: an utterance or a window of one.

    Attributes:
        owner: the number of the utterance in the job.
        content: a waveform, or a text as the upstream takes it.
        chosen: of a waveform, the samples over which a kind of features is pooled; all where the kind is not there.
    """

    owner: int
    content: Sized
    chosen: Mapping[str, np.ndarray] = MappingProxyType({})


@dataclass
class Result:
    """What is known so far of one utterance of a job."""

    padded: bool = False
    windowed: bool = False
    moments: dict[str, Moments] = field(default_factory=dict)  # by kind
    frames: dict[str, list[np.ndarray]] = field(default_factory=dict)  # kind -> (T, L', D) a window


def chunks(rows: Iterable[int], inputs: Sequence[Input], most: int = 0) -> Iterator[list[int]]:
    """Rows of `inputs` in groups, one for each job. A group holds at most `most` utterances, 0: the modality's default,
    and at most the modality's sum of lengths."""
    chunk: list[int] = []
    length = 0.0
    for row in rows:
        one = inputs[row]
        if chunk and (len(chunk) >= (most or one.chunk) or length + one.length > one.chunk_length):
            yield chunk
            chunk, length = [], 0.0
        chunk.append(row)
        length += one.length
    if chunk:
        yield chunk


def run(job: Job, upstream: Frozen, cache: Path, threads: int = 0, limits: Limits | None = None) -> Report:
    """Do a job; returns what it did.

    Args:
        threads: threads that decode audio while the model computes; 0: a file is decoded when the model needs it.
        limits: of a batch; None: those of the upstream's device.

    Raises:
        UpstreamError: a file cannot be decoded or the upstream fails on it; the message names the file.
    """
    clock = {"decode": 0.0, "forward": 0.0, "write": 0.0}
    results = [Result() for _ in job.inputs]
    load = _texts if upstream.modality == "text" else _waveforms
    pieces = load(job, upstream, results, clock, threads)
    for batch in batches(pieces, limits or limits_of(upstream.takes, upstream.device), upstream.ragged):
        started = time.perf_counter()
        _forward(batch, job, upstream, results)
        clock["forward"] += time.perf_counter() - started
    started = time.perf_counter()
    for kept in job.kept:
        rows = [Row(kept.key(one), r.padded, r.windowed) for one, r in zip(job.inputs, results, strict=True)]
        write_chunk(kept.folder(cache), kept, rows, _tensors(kept, job, results))
    clock["write"] += time.perf_counter() - started
    return Report(**clock, utterances=len(job.inputs), amount=job.amount, parameters=upstream.parameters)


Clock = dict[str, float]


def _waveforms(job: Job, upstream: Frozen, results: list[Result], clock: Clock, threads: int) -> Iterator[Piece]:
    """The audio of a job, one file at a time; tells `results` what was padded and cut, and `clock` the time."""
    import torch

    def timed_decode(one: Input) -> tuple[np.ndarray, float]:
        assert isinstance(one, Segment)
        started = time.perf_counter()
        return decode(one, upstream.audio.sample_rate), time.perf_counter() - started

    for owner, (samples, seconds) in enumerate(ahead(timed_decode, job.inputs, threads)):
        clock["decode"] += seconds
        waveforms = windows(samples, upstream.audio)
        results[owner].padded = len(samples) < upstream.audio.min_samples
        results[owner].windowed = len(waveforms) > 1
        started = time.perf_counter()
        chosen = pooling.chosen((kept.kind for kept in job.kept), samples, upstream.audio.sample_rate)
        parts = {kind: windows(own, upstream.audio) for kind, own in chosen.items()}
        clock["decode"] += time.perf_counter() - started
        for number, waveform in enumerate(waveforms):
            yield Piece(owner, torch.from_numpy(waveform), {kind: own[number] for kind, own in parts.items()})


def _texts(job: Job, upstream: Frozen, results: list[Result], clock: Clock, threads: int) -> Iterator[Piece]:
    """All texts of a job, those of most word pieces first; else as `_waveforms`."""
    started = time.perf_counter()
    made = upstream.windows([one for one in job.inputs if isinstance(one, Text)])
    clock["decode"] += time.perf_counter() - started
    for owner in sorted(range(len(made)), key=lambda owner: -len(made[owner][0])):
        results[owner].windowed = len(made[owner]) > 1
        yield from (Piece(owner, window) for window in made[owner])


def batches(pieces: Iterable[Piece], limits: Limits, ragged: bool) -> Iterator[list[Piece]]:
    """Pieces that follow each other, in batches: of any lengths where the upstream is `ragged`, else of one length.

    The utterances of a job are sorted by length, which keeps the padding short.
    """
    batch: list[Piece] = []
    longest = 0
    for piece in pieces:
        size = len(piece.content)
        padded = max(longest, size)
        most = min(limits.utterances, limits.size / max(1, padded))
        if batch and (len(batch) >= most or (size != longest and not ragged)):
            yield batch
            batch, padded = [], size
        batch.append(piece)
        longest = padded
    if batch:
        yield batch


def forward(batch: Sequence[Piece], upstream: Frozen, keep: Callable[[Piece, torch.Tensor], A]) -> list[A]:
    """What `keep` returns for each piece and its output (L, T, D). A batch too large for the GPU's memory is halved.

    Raises UpstreamError: the memory is too small for a single input.
    """
    import torch

    try:
        with products.fast() if upstream.device == "cpu" and upstream.movable else nullcontext():
            outputs = upstream([piece.content for piece in batch])
        return [keep(piece, output) for piece, output in zip(batch, outputs, strict=True)]
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        if len(batch) == 1:
            what, lower = "this text", ""
            if isinstance(upstream.takes, AudioFormat):
                what = f"{len(batch[0].content) / upstream.takes.sample_rate:.1f} s of audio"
                lower = ", or lower the upstream's max_seconds"
            raise UpstreamError(
                f"{upstream.name}: the GPU's memory does not hold {what}; free some of it, use "
                f"--precision bf16 or --device cpu{lower}"
            ) from error
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return forward(batch[:half], upstream, keep) + forward(batch[half:], upstream, keep)


def _forward(batch: list[Piece], job: Job, upstream: Frozen, results: list[Result]) -> None:
    import torch

    def keep(piece: Piece, output: torch.Tensor) -> list[Moments | np.ndarray | None]:
        """One for each kind that is kept; None where the piece has no frame that it is pooled over."""
        return [
            _pooled(piece, kept.kind, output, upstream)
            if kept.kind.startswith("pooled")
            else output[list(kept.layers)].transpose(0, 1).to(torch.float16).cpu().numpy()
            for kept in job.kept
        ]

    try:
        outputs = forward(batch, upstream, keep)
    except EmorepError as error:
        names = list(dict.fromkeys(job.inputs[piece.owner].name for piece in batch))
        raise UpstreamError(f"{error} [on {some(names)}]") from error
    for piece, output in zip(batch, outputs, strict=True):
        result = results[piece.owner]
        for kept, part in zip(job.kept, output, strict=True):
            if isinstance(part, Moments):
                before = result.moments.get(kept.kind)
                result.moments[kept.kind] = part if before is None else before.joined(part)
            elif part is not None:
                result.frames.setdefault(kept.kind, []).append(part)


def _pooled(piece: Piece, kind: str, output: torch.Tensor, upstream: Frozen) -> Moments | None:
    import torch

    if (chosen := piece.chosen.get(kind)) is None:
        return Moments.of(output.float())
    own = pooling.frames_of(chosen, output.shape[1], upstream.audio.hop or len(chosen))
    return Moments.of(output[:, torch.from_numpy(own).to(output.device)].float()) if own.any() else None


def _tensors(kept: Kept, job: Job, results: list[Result]) -> dict[str, np.ndarray]:
    if kept.kind.startswith("pooled"):
        import torch

        stacked = [result.moments[kept.kind].pooled() for result in results]  # each (2, L, D)
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
    bad = [one.name for one, fine in zip(job.inputs, good, strict=True) if not fine]
    limit = "" if kept.kind.startswith("pooled") else ", or too large for float16"
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
