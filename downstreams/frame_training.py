"""`attentive` and `ecapa`: networks on frozen frames.

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

import numpy as np
import torch
from pydantic import JsonValue
from torch.nn.functional import cross_entropy

from commons.corridors.features import Features
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Fold, Problem
from commons.progress import Progress
from downstreams import balance, chance, choosing, part_weights, schedule
from downstreams.assembly import FoldResult, assemble
from downstreams.checks import check_dev, fitting
from downstreams.frame_head import FrameHead, padded
from downstreams.held_frames import HeldFrames
from downstreams.parallel import one_core_each, reported
from downstreams.settings import ClassWeights
from downstreams.settings import FrameHead as Settings

LONGEST = 3000  # frames of an utterance in training
PART = 16384  # frames, with padding, that are predicted at once


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.FrameHead.

    Raises:
        DownstreamError: the features are not those of the problem, not finite or none of an utterance; a fold has no
            dev part; training overflows at every rate.
    """
    started = time.perf_counter()
    own = Settings.model_validate(settings)
    check_dev(problem, own.network)
    given, last = fitting(features.frames, problem, "frames"), own.layers == "last"
    frames = HeldFrames(given, problem.ids, device, last, features.parts)
    jobs = [(seed, fold) for seed in seeds for fold in problem.folds]
    advance = reported(progress, len(jobs) * len(own.rates))
    with one_core_each(device) as pool:
        train = partial(of_fold, frames, problem=problem, settings=own, advance=advance)
        results = list(pool.map(lambda job: train(*job), jobs))
    return assemble(problem, results, time.perf_counter() - started)


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

    def batch(self, rows: np.ndarray, longest: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, L', D) float32 of some utterances, padded, and where they are, (B, T)."""
        x, valid = padded([own[:longest].float() for own in self.frames.each(rows)])
        return (x - self.mean) * self.scale * valid[..., None, None], valid


def of_fold(
    frames: HeldFrames,
    seed: int,
    fold: Fold,
    *,
    problem: Problem,
    settings: Settings,
    advance: Callable[[float], None],
) -> FoldResult:
    """The head of one fold and seed, at its best rate and epoch on dev."""
    scaled, best, chosen, network = Scaled.by(frames, fold.train), -np.inf, 0, None
    epoch = 0
    for rate in settings.rates:
        for figure, after, trained in _trained(scaled, seed, fold, rate, problem, settings):
            advance(1 / settings.epochs)
            if network is None or figure > best:
                best, epoch, chosen, network = figure, after, settings.rates.index(rate), copy.deepcopy(trained)
    assert network is not None
    own = (predicted(network, scaled, rows) for rows in fold.tests)
    logits, vectors = map(np.concatenate, zip(*own, strict=True))
    return FoldResult(
        fold,
        seed,
        {**choosing.of_grid(settings.rates[chosen], settings.rates), "epoch": epoch},
        float(best),
        torch.as_tensor(logits).softmax(1).numpy(),
        vectors,
        network.layer_weights(),
    )


def _trained(
    frames: Scaled, seed: int, fold: Fold, rate: float, problem: Problem, settings: Settings
) -> Iterator[tuple[float, int, FrameHead]]:
    """(figure on dev, epoch, network) after every epoch at one rate. From a loss that is not finite on, it is -inf."""
    draws = chance.generator(fold.name, seed)
    held = frames.frames
    classes = len(problem.classes)
    network = FrameHead(settings.network, held.depth, held.width, classes, settings, draws).to(held.device)
    weights = class_weights(problem, fold, settings.class_weights, held.device)
    targets = torch.tensor(problem.targets, device=held.device)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=settings.decay)
    steps = max(settings.epochs, round(settings.epochs * len(fold.train) / settings.batch))
    scored = schedule.rounds(steps, settings.epochs)
    finite = True
    for step, rows in enumerate(schedule.batches(fold.train, steps, settings.batch, draws), start=1):
        if finite:
            schedule.set_rates(optimiser, [rate * schedule.factor(step, steps, settings.warmup)])
            logits, _ = network.train()(*frames.batch(rows.numpy(), LONGEST), draws)
            loss = weighted_loss(logits, targets[rows.to(held.device)], weights) / len(rows)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            finite = bool(torch.isfinite(norm))
            optimiser.step()
            optimiser.zero_grad()
        if step in scored:
            figure = choosing.figures(problem, fold, predicted(network, frames, fold.dev)[0][None])[0]
            yield (figure if finite else -np.inf), scored.index(step) + 1, network


def class_weights(problem: Problem, fold: Fold, setting: ClassWeights, device: torch.device) -> torch.Tensor | None:
    """(C,) weights of the classes in the loss; None where utterances weigh alike."""
    if not balance.balanced(setting, problem):
        return None
    return torch.as_tensor(balance.weights(problem.targets[fold.train], len(problem.classes)), device=device)


def weighted_loss(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The sum of the utterances' cross-entropies, each times the weight of its class."""
    return cross_entropy(logits, targets, weights, reduction="sum")


@torch.no_grad()
def predicted(network: FrameHead, frames: Scaled, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, C), and vectors (n, P) before the classifier, of some utterances."""
    network.eval()
    ordered = schedule.parts(rows, frames.frames.lengths, PART)
    outputs = [network(*frames.batch(part)) for part in ordered]
    place = np.argsort(np.concatenate(ordered), kind="stable")[np.argsort(np.argsort(rows, kind="stable"))]
    logits, vectors = (torch.cat(own).cpu().numpy()[place] for own in zip(*outputs, strict=True))
    return logits, vectors
