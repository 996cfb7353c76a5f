"""What the log says of a run: losses, the learner's own figures, speed, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from commons.device import peak_memory
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.method import Learner
from upstreams.pretraining.recipe_sections import Recipe

Clock = Callable[[], float]  # seconds
Line = dict[str, float]  # of the log: name -> figure

SIZES = {"cpu": 1536, "cuda": 8192}  # of the matrices that the peak is measured with
REPEATS = 5


class Sums:
    """What processes add up after a step, in one tensor: each micro-batch's losses, and the learner's statistics."""

    def __init__(self, micro_batches: int, terms: int, statistics: int, device: torch.device) -> None:
        self.flat = torch.zeros(terms * micro_batches + statistics, dtype=torch.float64, device=device)
        self.losses = self.flat[: terms * micro_batches].view(micro_batches, terms)
        self.statistics = self.flat[terms * micro_batches :]

    def add(self, number: int, losses: Tensor, statistics: Tensor) -> None:
        """Add micro-batch `number`."""
        self.losses[number] += losses.detach()
        self.statistics += statistics


class Meter:
    """Averages over the steps since the last line of the log."""

    def __init__(self, recipe: Recipe, learner: Learner, device: torch.device, processes: int) -> None:
        self.recipe, self.learner, self.device, self.processes = recipe, learner, device, processes
        self._clock = clock_of(device)
        self._begin()

    def line(
        self, at: Position, after: Position, step: Sequence[MicroBatch], sums: Sums, moved: dict[str, float]
    ) -> Line | None:
        """The log's line after a step, every `log_every` steps: losses and speed are those since the last line."""
        self._losses.append(sums.losses.sum(0))
        self._frames += sum(int(self.learner.framing.frames(micro.samples).sum()) for micro in step)
        self._flops += self.learner.flops(step)
        if after.step % self.recipe.log_every and after.step != self.recipe.optimiser.steps:
            return None
        terms = dict(zip(self.learner.weights, torch.stack(self._losses).mean(0).tolist(), strict=True))
        seconds, busy = time.perf_counter() - self._since, self._clock() - self._busy_since
        line = {
            "step": after.step,
            "epoch": at.epoch,
            "loss": sum(weight * terms[name] for name, weight in self.learner.weights.items()),
            **terms,
            **self.learner.figures(sums.statistics, step),
            **moved,
            "frames_per_second": self._frames / seconds,
            **self._share_of_peak(busy),
            "memory_mb": peak_memory(str(self.device)),
            "seconds": seconds,
        }
        self._begin()
        return {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in line.items()}

    def _share_of_peak(self, seconds: float) -> dict[str, float]:
        if not self._flops:
            return {}
        peak = matrix_peak(self.device, self.recipe.precision, self._clock)
        return {"share_of_peak": self._flops / seconds / (self.processes * peak)}

    def _begin(self) -> None:
        self._losses: list[Tensor] = []
        self._frames, self._flops = 0, 0.0
        self._since, self._busy_since = time.perf_counter(), self._clock()


@torch.no_grad()
def moments(x: Tensor) -> Tensor:
    """(2, D) float64: sums of the rows of (N, D) and of their squares."""
    return torch.stack([x.sum(0, dtype=torch.float64), x.float().square().sum(0, dtype=torch.float64)])


def spread(sums: Tensor, count: int) -> float:
    """data2vec's measure of collapse: the standard deviation over `count` rows, averaged over channels.

    sums: of these rows, as `moments` gives them.
    """
    total, squares = sums
    variance = (squares - total.square() / count) / max(count - 1, 1)
    return float((variance.clamp(min=0) + 1e-6).sqrt().mean())


def clock_of(device: torch.device) -> Clock:
    """What work on a device is timed by: on a CPU all threads' processor time, in which other programs hardly count."""
    return time.process_time if device.type == "cpu" else time.perf_counter


@cache
def matrix_peak(device: torch.device, precision: str, clock: Clock) -> float:
    """FLOP/s of products of square matrices, the fastest of a few, measured once: how fast this machine can be.

    It is measured in this precision, with the threads that torch has at that time.
    """
    size = SIZES[device.type]
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(REPEATS + 1):
        synchronize(device)
        started = clock()
        torch.mm(a, b)
        synchronize(device)
        seconds.append(clock() - started)
    return 2 * size**3 / min(seconds[1:])


def synchronize(device: torch.device) -> None:
    """Wait until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
