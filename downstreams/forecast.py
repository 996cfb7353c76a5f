"""What a long training will take, before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.problem import Problem
from commons.device import forget_peak, peak_memory
from downstreams import schedule, second_stage
from downstreams.checks import check_dev, fitting
from downstreams.course import Setup, grid
from downstreams.finetuning import is_done, live_of
from downstreams.settings import of_finetuning
from downstreams.tuned_network import Batch, draws_of


@dataclass(frozen=True)
class Forecast:
    """Trainings of one cell, each of a fold and a seed.

    Attributes:
        trainings: how many there are; done: how many of them are done already.
        steps: of those that are not done, with the trials of rates.
        seconds: that one step takes, measured; 0 where all are done.
        then_steps, then_seconds: the same of the second stage of heads that have one; 0 of others.
        side_by_side: how many trainings run at once.
        memory: MB at its highest after steps of one training: of this process, or on the GPU; 0 where all are done.
    """

    trainings: int
    done: int
    steps: int
    seconds: float
    side_by_side: int
    memory: float = 0.0
    then_steps: int = 0
    then_seconds: float = 0.0

    @property
    def core_seconds(self) -> float:
        """What is left, s of one core; scoring dev and test is not in it."""
        return self.steps * self.seconds + self.then_steps * self.then_seconds

    @property
    def hours(self) -> float:
        """What is left, h, side by side."""
        return self.core_seconds / 3600 / self.side_by_side

    def __str__(self) -> str:
        left = self.trainings - self.done
        text = f"{self.trainings} trainings (folds x seeds), {self.done} of them done"
        if not left:
            return text
        then = f", then {self.then_steps:,} of the second stage of {self.then_seconds:.2g} s" if self.then_steps else ""
        return (
            f"{text}; {self.steps:,} steps of {self.seconds:.2g} s{then}, {min(left, self.side_by_side)} side by side: "
            f"about {self.hours:.1f} h; memory with one of them: {self.memory / 1024:.1f} GB"
        )


def forecast(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    work: Path | None = None,
    keep: Collection[str] = (),
) -> Forecast:
    """The forecast for these seeds; one step of each stage is done for it. Arguments and errors as those of
    `finetuning.evaluate`."""
    own = of_finetuning(settings)
    check_dev(problem, "finetune")
    live = live_of(fitting(features.live, problem, "the network itself, with waveforms or texts"), own)
    _, rates = grid(live, own)
    trials = len(rates) * own.trial if len(rates) > 1 else 0.0
    setups = [Setup(live, problem, fold, seed, own, device) for seed in seeds for fold in problem.folds]
    left = [setup for setup in setups if not is_done(work, setup, keep)]
    steps = sum(round(setup.steps() * (1 + trials)) for setup in left)
    workers = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    side_by_side = max(1, min(workers, len(left)))
    forget_peak(device)
    seconds, then_seconds = _step(left[0]) if left else (0.0, 0.0)
    memory = peak_memory(device) if left else 0.0
    then_steps = sum(second_stage.steps(setup) for setup in left)
    return Forecast(
        len(setups), len(setups) - len(left), steps, seconds, side_by_side, memory, then_steps, then_seconds
    )


def _step(setup: Setup) -> tuple[float, float]:
    """How long a step takes on one core, s, and one of the second stage; 0 where there is none."""
    network = setup.network()
    draws = draws_of(setup.fold.name, setup.seed, "batches")
    rows = schedule.batches(setup.fold.train, 1, setup.settings.batch, draws)[0].numpy()  # the first of the training
    loss, threads = setup.loss(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        seconds = _second_of_two(lambda: network.backward(Batch(rows, loss), None))
        there = second_stage.steps(setup) > 0
        return seconds, _second_of_two(second_stage.step(network, setup, rows)) if there else 0.0
    finally:
        torch.set_num_threads(threads)


def _second_of_two(step: Callable[[], object]) -> float:
    """How long the second of two calls takes, s."""
    step()
    started = time.perf_counter()
    step()
    return time.perf_counter() - started
