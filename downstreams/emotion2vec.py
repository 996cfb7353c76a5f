"""`emotion2vec`: the head of Ma et al. (2024) on frames: Linear, ReLU, mean over time, Linear.

As their published code trains it: RMSprop with momentum under a triangular learning rate that is stepped by the epoch,
cross-entropy, batches of 128, 100 epochs, the best epoch on dev. Frames of a batch are concatenated, without padding.
A long batch is computed in parts; their gradients add up to that of the whole batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.fitted import Answers, Fitted
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Fold, Problem
from commons.progress import Progress
from downstreams import chance, choosing, own_classes
from downstreams.assembly import FoldResult, assemble
from downstreams.checks import check_dev, fitting
from downstreams.class_loss import ClassLoss
from downstreams.held_frames import RESIDENT, HeldFrames
from downstreams.parallel import one_core_each, reported
from downstreams.settings import Emotion2vec
from downstreams.weighted_sum import linear

PART = 8192  # frames that the head computes at once, so that memory does not grow with the length of utterances


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.Emotion2vec.

    Raises:
        DownstreamError: the features are not those of the problem, not finite or none of an utterance; a fold has no
            dev part; training overflows in the first epoch.
    """
    started = time.perf_counter()
    own = Emotion2vec.model_validate(settings)
    check_dev(problem, "emotion2vec")
    frames = LastLayer(fitting(features.frames, problem, "frames"), problem.ids, device, resident=RESIDENT)
    jobs = [(seed, fold) for seed in seeds for fold in problem.folds]
    advance = reported(progress, len(jobs))
    with one_core_each(device) as pool:
        train = partial(_train, frames, problem=problem, settings=own, advance=advance)
        results = list(pool.map(lambda job: train(*job), jobs))
    return assemble(problem, results, time.perf_counter() - started)


class LastLayer(HeldFrames):
    """The last layer's frames of all utterances, by batches."""

    def parts(self, rows: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """The utterances `rows` in parts of few frames: rows (n,), their frames (sum of T, D) float32, lengths (n,)."""
        ends = np.cumsum(self.lengths[rows])
        for part in np.split(rows, np.flatnonzero(np.diff(ends // PART)) + 1):
            lengths = torch.as_tensor(self.lengths[part], device=self.device)
            yield torch.as_tensor(part, device=self.device), self._of(part).float(), lengths

    def _of(self, rows: np.ndarray) -> torch.Tensor:
        """The frames (sum of T, D) float16 of some utterances."""
        return torch.cat(list(self.each(rows)))[:, 0]


@dataclass(frozen=True)
class Head:
    """hidden: (H, D) and (H,); classifier: (C, H) and (C,)."""

    hidden: torch.Tensor
    hidden_bias: torch.Tensor
    classifier: torch.Tensor
    classifier_bias: torch.Tensor

    def means(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Time-means (n, H) of what the first layer gives for the frames (sum of T, D) of n utterances."""
        active = torch.addmm(self.hidden_bias, frames, self.hidden.T).relu()
        return torch.segment_reduce(active, "mean", lengths=lengths)

    def logits(self, means: torch.Tensor) -> torch.Tensor:
        """Logits (n, C) of the classes, from time-means (n, H)."""
        return means @ self.classifier.T + self.classifier_bias


def _train(
    frames: LastLayer,
    seed: int,
    fold: Fold,
    *,
    problem: Problem,
    settings: Emotion2vec,
    advance: Callable[[float], None],
) -> FoldResult:
    """The head of one fold and seed, as it was in its best epoch on dev."""
    draws = chance.generator(fold.name, seed)
    first = linear(settings.hidden, frames.width, draws)
    second = linear(len(problem.classes), settings.hidden, draws)
    parameters = [part.to(frames.device).requires_grad_() for part in (*first, *second)]
    head = Head(*parameters)
    loss = ClassLoss.of_fold(problem, fold, settings, frames.device)
    optimiser = torch.optim.RMSprop(parameters, lr=settings.rate, momentum=settings.momentum)
    # Their code leaves the cycling of momentum, which falls as the rate rises, at torch's default.
    rates = torch.optim.lr_scheduler.CyclicLR(
        optimiser, settings.rate, settings.top_rate, step_size_up=settings.rise,
        base_momentum=0.8, max_momentum=settings.momentum,
    )  # fmt: skip
    best, best_epoch, kept = -np.inf, 0, head
    for epoch in range(1, settings.epochs + 1):
        for rows in chance.stream(fold.train, len(fold.train), draws).split(settings.batch):
            _backward(frames, head, loss, rows.numpy(), draws)
            optimiser.step()
            optimiser.zero_grad()
        rates.step()
        figure = choosing.figures(problem, fold, _outputs(frames, head, fold.dev)[1][None])[0]
        if figure > best:
            best, best_epoch, kept = figure, epoch, Head(*(part.detach().clone() for part in parameters))
        advance(1 / settings.epochs)
    outputs, test = map(np.concatenate, zip(*(_outputs(frames, kept, own) for own in fold.tests), strict=True))
    probabilities = own_classes.probabilities(test, problem, fold.tested)
    dev = own_classes.probabilities(_outputs(frames, kept, fold.dev)[1], problem, fold.dev)
    arrays = {field.name: getattr(kept, field.name).detach().cpu().numpy() for field in fields(Head)}
    fitted = Fitted(fold.name, seed, {}, arrays)
    return FoldResult(fold, seed, {"epoch": best_epoch}, float(best), probabilities, outputs, dev=dev, fitted=fitted)


def _backward(frames: LastLayer, head: Head, loss: ClassLoss, rows: np.ndarray, draws: torch.Generator) -> None:
    """Add the gradients of a batch: part by part, or of all its utterances at once where these are mixed."""
    mix = loss.mix(len(rows), draws)
    if mix is not None:
        means = torch.cat([head.means(x, lengths) for _, x, lengths in frames.parts(rows)])
        (loss(head.logits(mix(means)), rows, mix) / len(rows)).backward()
        return
    for part, x, lengths in frames.parts(rows):
        (loss(head.logits(head.means(x, lengths)), part.cpu().numpy()) / len(rows)).backward()


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fitted head; `settings` are not needed: its weights say all.

    Raises:
        DownstreamError: an utterance has no frames, or one that is not finite.
    """
    assert features.frames is not None
    frames = LastLayer(features.frames, features.ids, device, resident=RESIDENT)
    head = Head(*(torch.tensor(own.arrays[field.name], device=device) for field in fields(Head)))
    return Answers(torch.as_tensor(_outputs(frames, head, np.arange(len(features.ids)))[1]).softmax(1).numpy())


@torch.no_grad()
def _outputs(frames: LastLayer, head: Head, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First-layer means (n, H) and logits (n, C) of some utterances."""
    means = torch.cat([head.means(x, lengths) for _, x, lengths in frames.parts(rows)])
    return means.cpu().numpy(), head.logits(means).cpu().numpy()
