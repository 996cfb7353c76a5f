"""`attentive`, `ecapa` and `mscnn`: networks on frozen frames. Other heads on frames are trained by the same loop.

Frames are standardised by the mean and deviation of the fold's training frames. AdamW on batches of 32 under a warm-up
and a cosine, cross-entropy. Dev is scored after every epoch; the best epoch of the best rate predicts. In training an
utterance is its first 3000 frames, so that a long recording does not take all memory; dev and test are taken whole.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.fitted import Answers, Fitted
from commons.corridors.predictions import Choice, Predictions
from commons.corridors.problem import Fold, Problem
from commons.progress import Progress
from downstreams import chance, choosing, own_classes, part_weights, schedule
from downstreams.assembly import FoldResult, assemble
from downstreams.checks import check_dev, fitting
from downstreams.class_loss import ClassLoss
from downstreams.errors import Diverged
from downstreams.frame_head import Aggregator, FrameHead, OnFrames, mean_of, norms_anew, padded
from downstreams.held_frames import HeldFrames
from downstreams.kept_folds import RESULT, as_state, of_state
from downstreams.parallel import one_core_each, reported, shared
from downstreams.settings import FrameHead as Settings
from downstreams.settings import FrameTraining, Sizes, SpeechEq
from downstreams.shelf import Shelf, State, within

N = TypeVar("N", bound=OnFrames)
LONGEST = 3000  # frames of an utterance in training
PART = 16384  # frames, with padding, that are predicted at once


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
    work: Path | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.FrameHead.

    Args:
        work: folder for the results of folds, with which a killed run goes on; None: they are kept in memory.

    Raises:
        DownstreamError: the features are not those of the problem, not finite or none of an utterance; a fold has no
            dev part; training overflows at every rate.
    """
    started = time.perf_counter()
    results = each_fold(of_fold, features, problem, Settings.model_validate(settings), seeds, device, progress, work)
    return assemble(problem, results, time.perf_counter() - started)


def each_fold(
    of_one: Callable[..., FoldResult],
    features: Features,
    problem: Problem,
    settings: Settings | SpeechEq,
    seeds: Sequence[int],
    device: str,
    progress: Progress | None,
    work: Path | None,
) -> list[FoldResult]:
    """What `of_one` gives for every fold and seed, folds side by side: it is called as `of_fold` is.

    What a fold gave, and each rate of one that is not done, is in the folder `work` and is not trained again. Where a
    fold fails, the others end after their epoch.

    Raises:
        DownstreamError: as `evaluate`.
    """
    check_dev(problem, settings.network)
    given, last = fitting(features.frames, problem, "frames"), settings.layers == "last"
    frames = HeldFrames(given, problem.ids, device, last, features.parts)
    jobs = [(seed, fold) for seed in seeds for fold in problem.folds]
    stop = Event()
    advance = reported(progress, len(jobs) * len(settings.rates), stop)
    train = partial(of_one, frames, problem=problem, settings=settings, advance=advance)

    def done(job: tuple[int, Fold]) -> FoldResult:
        seed, fold = job
        folder = within(work, f"{fold.name} seed {seed}")
        shelf, rates = Shelf(folder), Shelf(within(folder, "rates"))
        state = shelf.get(RESULT)
        if state is None:
            state = as_state(train(seed, fold, shelf=rates))
            shelf.put(RESULT, state)
        else:
            advance(len(settings.rates))
        rates.clear()
        return of_state(fold, seed, state)

    with one_core_each(device) as pool:
        return shared(pool, jobs, done, None, str, stop)


@dataclass(frozen=True)
class Scaled:
    """Frames standardised by the training part of a fold, the parts of a fusion weighed alike.

    `mean` and `scale` are (L', D).
    """

    frames: HeldFrames
    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def by(cls, frames: HeldFrames, rows: np.ndarray) -> Scaled:
        """Standardised by the frames of the utterances `rows`; what is constant in them is only centred."""
        total, squares, count = 0.0, 0.0, 0
        for own in frames.each(rows):
            exact = own.double()
            total, squares, count = total + exact.sum(0), squares + exact.square().sum(0), count + len(own)
        mean = torch.as_tensor(total) / count
        variance = (torch.as_tensor(squares) / count - mean.square()).clamp(min=0)
        flat = variance <= 1e-8 * mean.square() + 1e-20  # rounding of float16 alone
        scale = torch.where(flat, torch.ones_like(variance), variance).rsqrt()
        factors = part_weights.factors(part_weights.owners(frames.widths or (frames.width,)))
        return cls(frames, mean.float(), scale.float() if factors is None else scale.float() * factors.to(scale.device))

    @classmethod
    def of(cls, own: Fitted, frames: HeldFrames) -> Scaled:
        """Standardised as a fitted head says."""
        mean, scale = (torch.tensor(own.arrays[f"scaled.{name}"], device=frames.device) for name in ("mean", "scale"))
        return cls(frames, mean, scale)

    def arrays(self) -> dict[str, np.ndarray]:
        """Mean and scale."""
        return {"scaled.mean": _plain(self.mean), "scaled.scale": _plain(self.scale)}

    def batch(self, rows: np.ndarray, longest: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, L', D) float32 of some utterances, padded, and where they are, (B, T)."""
        return padded([(own[:longest].float() - self.mean) * self.scale for own in self.frames.each(rows)])


@dataclass(frozen=True)
class Plan(Generic[N]):
    """What is trained on a fold.

    Attributes:
        network: makes a new network; random numbers are drawn from the generator.
        loss: of a network, with gradients, on padded frames (B, T, L', D), of which (B, T) are valid, of the utterances
            (B,) of a step. Dropout draws from the generator.
        shelf: for what each rate gave.
        averaged: how many epochs of a rate, the best on dev, are averaged; 1: the best one is taken as it is.
    """

    network: Callable[[torch.Generator], N]
    loss: Callable[[N, torch.Tensor, torch.Tensor, np.ndarray, torch.Generator], torch.Tensor]
    shelf: Shelf
    averaged: int = 1


@dataclass(frozen=True)
class Best(Generic[N]):
    """The network of the best rate and epoch on dev: `figure` is its figure there, `choice` is for the record."""

    network: N
    figure: float
    choice: Choice


def of_fold(
    frames: HeldFrames,
    seed: int,
    fold: Fold,
    *,
    problem: Problem,
    settings: Settings,
    advance: Callable[[float], None],
    shelf: Shelf,
    averaged: int = 1,
) -> FoldResult:
    """The head of one fold and seed, at its best rate and epoch on dev.

    Args:
        shelf: for what each rate gave; a rate that is there is not trained again.
        averaged: how many epochs of the best rate are averaged.
    """
    scaled, classes = Scaled.by(frames, fold.train), len(problem.classes)
    of_classes = ClassLoss.of_fold(problem, fold, settings, frames.device)

    def network(draws: torch.Generator) -> FrameHead:
        return FrameHead(settings.network, frames.depth, frames.width, classes, settings, draws)

    plan = Plan(network, partial(loss, of_classes), shelf, averaged)
    best = trained(scaled, seed, fold, problem, settings, plan, advance)
    own = (predicted(best.network, scaled, rows) for rows in fold.tests)
    logits, vectors = map(np.concatenate, zip(*own, strict=True))
    return FoldResult(
        fold,
        seed,
        best.choice,
        best.figure,
        own_classes.probabilities(logits, problem, fold.tested),
        vectors,
        best.network.layer_weights(),
        own_classes.probabilities(predicted(best.network, scaled, fold.dev)[0], problem, fold.dev),
        Fitted(fold.name, seed, {}, arrays_of(best.network) | scaled.arrays()),
    )


def loss(
    of_classes: ClassLoss,
    network: FrameHead,
    x: torch.Tensor,
    valid: torch.Tensor,
    rows: np.ndarray,
    draws: torch.Generator,
) -> torch.Tensor:
    """The loss of a network on some utterances, their mean, as `Plan` has it."""
    mix = of_classes.mix(len(rows), draws)
    return of_classes(network(x, valid, draws, mix)[0], rows, mix) / len(rows)


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fitted head.

    Raises:
        DownstreamError: an utterance has no frames, or one that is not finite.
    """
    assert features.frames is not None
    sizes = Settings.model_validate(settings)
    frames = HeldFrames(features.frames, features.ids, device, sizes.layers == "last")
    return of_frames(own, sizes.network, sizes, frames)


def of_frames(own: Fitted, network: Aggregator, sizes: Sizes, frames: HeldFrames) -> Answers:
    """The answers to all frames that are held, by a network of frame_head.py."""
    state = state_of(own)
    made = FrameHead(network, frames.depth, frames.width, len(state["classifier.bias"]), sizes, torch.Generator())
    made.load_state_dict(state)
    logits, _ = predicted(made.to(frames.device), Scaled.of(own, frames), np.arange(len(frames.lengths)))
    return Answers(torch.as_tensor(logits).softmax(1).numpy())


def arrays_of(network: OnFrames) -> dict[str, np.ndarray]:
    """The weights of a network, and the statistics of its batch norms."""
    return {f"head.{name}": _plain(own) for name, own in network.state_dict().items()}


def state_of(own: Fitted) -> dict[str, torch.Tensor]:
    """What such arrays of a fitted head say of its network."""
    return {name.removeprefix("head."): torch.tensor(one) for name, one in own.arrays.items() if name[:5] == "head."}


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def trained(
    frames: Scaled,
    seed: int,
    fold: Fold,
    problem: Problem,
    settings: FrameTraining,
    plan: Plan[N],
    advance: Callable[[float], None],
) -> Best[N]:
    """The network at its best rate and epoch on dev, each rate tried for all epochs; or the average of its best epochs.

    Raises:
        Diverged: at every rate, before the first score on dev.
    """
    tried = [_of_rate(frames, seed, fold, rate, problem, settings, plan, advance) for rate in settings.rates]
    figures = [max(cast(list[float], own["figures"]), default=-np.inf) for own in tried]
    chosen = figures.index(max(figures))  # the lowest rate of equals
    if not np.isfinite(figures[chosen]):
        rates = ", ".join(f"{rate:g}" for rate in settings.rates)
        raise Diverged(f"{tried[0]['fault']} (tried, and none is finite: {rates})")
    own, network = tried[chosen], plan.network(chance.generator(fold.name, seed)).to(frames.frames.device)
    states, epochs = cast(list[dict[str, torch.Tensor]], own["states"]), cast(list[int], own["epochs"])
    choice = {**choosing.of_grid(settings.rates[chosen], settings.rates), "epoch": epochs[0]}
    if len(states) == 1:
        network.load_state_dict(states[0])
        return Best(network, figures[chosen], choice)
    network.load_state_dict(mean_of(states))
    passes = schedule.one_pass(fold.train, settings.batch, chance.generator(f"{fold.name}\nnorms", seed))
    norms_anew(network, (frames.batch(rows, LONGEST) for rows in passes))
    figure = choosing.figures(problem, fold, predicted(network, frames, fold.dev)[0][None])[0]
    return Best(network, float(figure), {**choice, "averaged": " ".join(map(str, epochs))})


def _of_rate(
    frames: Scaled,
    seed: int,
    fold: Fold,
    rate: float,
    problem: Problem,
    settings: FrameTraining,
    plan: Plan[N],
    advance: Callable[[float], None],
) -> State:
    """What one rate gave: the best epochs, best first, with their figures and states; and why it ended early."""
    name = f"rate {rate!r}"
    state = plan.shelf.get(name)
    if state is not None:
        advance(1)
        return state
    best: list[tuple[float, int, dict[str, torch.Tensor]]] = []
    fault, epoch = "", 0
    try:
        for epoch, (figure, network) in enumerate(_epochs(frames, seed, fold, rate, problem, settings, plan), start=1):
            best.append((figure, epoch, copy.deepcopy(network.state_dict())))
            best = sorted(best, key=lambda one: -one[0])[: plan.averaged]  # of equals the earlier
            advance(1 / settings.epochs)
    except Diverged as error:
        fault = str(error)
    advance(1 - epoch / settings.epochs)
    figures, epochs, states = (list(own) for own in zip(*best, strict=True)) if best else ([], [], [])
    state = {"figures": figures, "epochs": epochs, "states": states, "fault": fault}
    plan.shelf.put(name, state)
    return state


def steps_of(settings: FrameTraining, utterances: int) -> int:
    """Steps of a training on so many utterances at one rate."""
    return max(settings.epochs, round(settings.epochs * utterances / settings.batch))


def _epochs(
    frames: Scaled, seed: int, fold: Fold, rate: float, problem: Problem, settings: FrameTraining, plan: Plan[N]
) -> Iterator[tuple[float, N]]:
    """(figure on dev, network) after every epoch at one rate. Raises Diverged: a value is not finite."""
    draws = chance.generator(fold.name, seed)
    network = plan.network(draws).to(frames.frames.device)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=settings.decay)
    steps = steps_of(settings, len(fold.train))
    scored = schedule.rounds(steps, settings.epochs)
    for step, rows in enumerate(schedule.batches(fold.train, steps, settings.batch, draws), start=1):
        schedule.set_rates(optimiser, [rate * schedule.factor(step, steps, settings.warmup)])
        loss = plan.loss(network.train(), *frames.batch(rows.numpy(), LONGEST), rows.numpy(), draws)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        finite = bool(loss.isfinite() & norm.isfinite())
        if finite:
            optimiser.step()
            optimiser.zero_grad()
        if finite and step in scored:
            figure = float(choosing.figures(problem, fold, predicted(network, frames, fold.dev)[0][None])[0])
            finite = bool(np.isfinite(figure))
            if finite:
                yield figure, network
        if not finite:
            raise Diverged(
                f"fold '{fold.name}': a loss, gradient or output is not finite at step {step} of {steps}, at rate "
                f"{rate:g}: training overflows; set smaller `rates`"
            )


@torch.no_grad()
def predicted(network: OnFrames, frames: Scaled, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, C), and vectors (n, P) before the classifier, of some utterances."""
    network.eval()
    ordered = schedule.parts(rows, frames.frames.lengths, PART)
    outputs = [network(*frames.batch(part)) for part in ordered]
    place = np.argsort(np.concatenate(ordered), kind="stable")[np.argsort(np.argsort(rows, kind="stable"))]
    logits, vectors = (torch.cat(own).cpu().numpy()[place] for own in zip(*outputs, strict=True))
    return logits, vectors
