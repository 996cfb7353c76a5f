"""What a long training will take, before it begins."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.problem import Problem
from commons.device import peak_memory
from downstreams.checks import check_dev, fitting
from downstreams.course import Setup
from downstreams.finetuning import is_done, live_of, rates_of
from downstreams.settings import of_finetuning
from downstreams.tuned_network import Batch


@dataclass(frozen=True)
class Forecast:
    """Trainings of one cell, each of a fold and a seed.

    Attributes:
        trainings: how many there are; done: how many of them are done already.
        steps: of those that are not done, with the trials of rates.
        seconds: that one step takes, measured; 0 where all are done.
        side_by_side: how many trainings run at once.
        memory: MB at its highest after steps of one training: of this process, or on the GPU; 0 where all are done.
    """

    trainings: int
    done: int
    steps: int
    seconds: float
    side_by_side: int
    memory: float = 0.0

    @property
    def hours(self) -> float:
        """What is left, h; scoring dev and test is not in it."""
        return self.steps * self.seconds / 3600 / self.side_by_side

    def __str__(self) -> str:
        left = self.trainings - self.done
        text = f"{self.trainings} trainings (folds x seeds), {self.done} of them done"
        if not left:
            return text
        return (
            f"{text}; {self.steps:,} steps of {self.seconds:.2g} s, {min(left, self.side_by_side)} side by side: "
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
    """The forecast for these seeds; one step is done for it. Arguments and errors as those of `finetuning.evaluate`."""
    own = of_finetuning(settings)
    check_dev(problem, "finetune")
    live = live_of(fitting(features.live, problem, "the network itself, with waveforms or texts"), own)
    rates = rates_of(live, own)
    trials = len(rates) * own.trial if len(rates) > 1 else 0.0
    setups = [Setup(live, problem, fold, seed, own, device) for seed in seeds for fold in problem.folds]
    left = [setup for setup in setups if not is_done(work, setup, keep)]
    steps = sum(round(setup.steps() * (1 + trials)) for setup in left)
    workers = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    side_by_side = max(1, min(workers, len(left)))
    seconds = _step(left[0], workers) if left else 0.0
    memory = peak_memory(device) if left else 0.0
    return Forecast(len(setups), len(setups) - len(left), steps, seconds, side_by_side, memory)


def _step(setup: Setup, workers: int) -> float:
    """How long one step takes on one of `workers` cores, s: the second of two."""
    network = setup.network()
    rows = np.resize(setup.fold.train, setup.settings.batch)
    loss = setup.loss()
    seconds = 0.0
    try:
        torch.set_num_threads(1)
        for _ in range(2):
            started = time.perf_counter()
            network.backward(Batch(rows, loss), None)
            seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(workers)
    return seconds
