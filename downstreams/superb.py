"""`superb`: SUPERB's recipe for its emotion head (s3prl's `downstream/emotion`), see weighted_sum.py.

Adam on batches of 32 (s3prl: 8 times 4, accumulated, so that batches run on across epochs), gradients clipped to norm
1, cross-entropy, features as they are: nothing is standardised. Of 30 evaluations of every learning rate, the best on
dev is taken, fold by fold (see choosing.py). Heads of a fold and seed that differ in the rate share start, batches and
their one gather.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from pydantic import JsonValue
from torch.optim.adam import adam

from commons.corridors.features import Features
from commons.corridors.fitted import Answers, Fitted
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Fold, Problem
from commons.progress import Progress
from downstreams import chance, choosing, own_classes, weighted_sum
from downstreams.assembly import FoldResult, assemble
from downstreams.checks import check_dev, check_finite, fitting
from downstreams.class_loss import ClassLoss, Mix
from downstreams.parallel import one_core_each, reported
from downstreams.settings import Superb
from downstreams.weighted_sum import Heads

BLOCK = 600_000  # weights that a core trains in step: their state should stay in its caches
NEAR = 0.1  # SUPERB gives folds of 3432 to 3606 utterances the same number of steps


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.Superb.

    Raises:
        DownstreamError: the features are not those of the problem or not finite, a fold has no dev part, or
            training overflows at every rate.
    """
    started = time.perf_counter()
    own = Superb.model_validate(settings)
    pooled = fitting(features.pooled, problem, "pooled features")
    check_dev(problem, "superb")
    means = np.ascontiguousarray(pooled[:, 0])
    for layer in range(means.shape[1]):
        check_finite(means[:, layer], problem.ids, f"layer {layer}")
    x, y = torch.as_tensor(means, device=device), torch.tensor(problem.targets, device=device)

    size = len(problem.folds)
    if torch.device(device).type == "cpu":
        size = max(1, BLOCK // (len(own.rates) * own.projector * x.shape[2]))
    jobs = [(seed, problem.folds[i : i + size]) for seed in seeds for i in range(0, len(problem.folds), size)]
    advance = reported(progress, len(seeds) * len(problem.folds) * len(own.rates))
    with one_core_each(device) as pool:
        train = partial(_train, x, y, problem=problem, settings=own, advance=advance)
        results = [result for part in pool.map(lambda job: train(*job), jobs) for result in part]
    return assemble(problem, results, time.perf_counter() - started)


def schedule(n: int, settings: Superb) -> tuple[int, int]:
    """Steps of a fold with n training utterances, and after how many of them dev is scored."""
    steps = settings.epochs * n / settings.batch
    if abs(steps - settings.steps) <= NEAR * settings.steps:
        steps = settings.steps
    every = max(1, round(steps / settings.evaluations))
    return every * settings.evaluations, every


class Training:
    """Adam (torch's defaults) on heads (R, Q, ...) in place, each of the R with a learning rate of its own."""

    def __init__(self, heads: Heads, rates: list[float], clip: float) -> None:
        self.heads, self.rates, self.clip = heads, rates, clip
        self._first, self._second = (Heads(*map(torch.zeros_like, heads)) for _ in range(2))
        self._counts = [[torch.zeros((), device=part.device) for part in heads] for _ in rates]

    def step(
        self,
        x: torch.Tensor,
        targets: torch.Tensor,
        factors: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
        loss: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """One step on a batch of each problem, (Q, n, L, D) and (Q, n); `factors` (Q, n) of the losses, None: 1.

        `allowed` (Q, n, C): the classes that each utterance may have; None: all. `loss`: as that of Heads.gradients.
        """
        gradients = self.heads.gradients(x, targets, self.clip, factors, allowed, loss)
        for r, rate in enumerate(self.rates):
            state = ([part[r] for part in parts] for parts in (self.heads, gradients, self._first, self._second))
            adam(*state, [], self._counts[r], fused=True, lr=rate, beta1=0.9, beta2=0.999, eps=1e-8,
                 weight_decay=0.0, amsgrad=False, maximize=False)  # fmt: skip


def _train(
    x: torch.Tensor,
    y: torch.Tensor,
    seed: int,
    folds: Sequence[Fold],
    *,
    problem: Problem,
    settings: Superb,
    advance: Callable[[float], None],
) -> list[FoldResult]:
    """The heads of some folds with one seed, all rates, in step; a fold that is done early runs on without effect."""
    rates, batch = settings.rates, settings.batch
    plans = [schedule(len(fold.train), settings) for fold in folds]
    last = max(steps for steps, _ in plans)
    generators = [chance.generator(fold.name, seed) for fold in folds]
    depth, width = x.shape[1:]
    heads = weighted_sum.initial(generators, len(rates), depth, width, settings.projector, len(problem.classes))
    heads = Heads(*(part.to(x.device) for part in heads))
    streams = [chance.stream(fold.train, last * batch, g) for fold, g in zip(folds, generators, strict=True)]
    # Of their own: what the streams take of the others depends on which folds are trained together.
    mixing = [chance.generator(f"{fold.name}\nmix", seed) for fold in folds]
    order = torch.stack(streams).to(x.device).view(len(folds), last, batch).transpose(0, 1).contiguous()

    losses = [ClassLoss.of_fold(problem, fold, settings, x.device) for fold in folds]
    ones = torch.ones(len(problem.classes), device=x.device)
    weights = torch.stack([ones if own.weights is None else own.weights for own in losses])
    allowed = own_classes.of_rows(problem, np.arange(len(y)), x.device)
    problems = torch.arange(len(folds), device=x.device)[:, None]
    training = Training(heads, rates, settings.clip)
    best = Heads(*map(torch.clone, heads))
    figures = np.full((len(rates), len(folds)), -np.inf)
    best_steps = np.zeros(figures.shape, dtype=int)
    for step, rows in enumerate(order, start=1):
        inputs = x.index_select(0, rows.view(-1)).view(*rows.shape, *x.shape[1:])
        inputs, loss = _other_loss(inputs, rows, losses, mixing)
        training.step(inputs, y[rows], weights[problems, y[rows]], None if allowed is None else allowed[rows], loss)
        for q, (fold, (steps_of, every)) in enumerate(zip(folds, plans, strict=True)):
            if step % every or step > steps_of:
                continue
            logits = heads.problem(q).logits(_rows(x, fold.dev))[:, 0]
            scores = choosing.figures(problem, fold, logits.cpu().numpy())
            for r in np.flatnonzero(scores > figures[:, q]):
                figures[r, q], best_steps[r, q] = scores[r], step
                for kept, now in zip(best, heads, strict=True):
                    kept[r, q] = now[r, q]
            advance(len(rates) * every / steps_of)
    return [
        _result(x, problem, fold, seed, best.problem(q), figures[:, q], best_steps[:, q], rates)
        for q, fold in enumerate(folds)
    ]


def _other_loss(
    inputs: torch.Tensor, rows: torch.Tensor, losses: Sequence[ClassLoss], generators: Sequence[torch.Generator]
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor] | None]:
    """The inputs (Q, n, L, D) of a step, mixed where utterances are, and their loss; None where it is cross-entropy.

    The head is affine, so mixing its inputs mixes what it makes of them anywhere on the way to the logits.
    """
    if not (losses[0].focal or losses[0].mixup):
        return inputs, None
    mixes: list[Mix | None] = [own.mix(rows.shape[1], draws) for own, draws in zip(losses, generators, strict=True)]
    mixed = torch.stack([own if mix is None else mix(own) for own, mix in zip(inputs, mixes, strict=True)])

    def loss(logits: torch.Tensor) -> torch.Tensor:
        each = [
            own(logits[r, q], rows[q].cpu().numpy(), mix)
            for q, (own, mix) in enumerate(zip(losses, mixes, strict=True))
            for r in range(len(logits))
        ]
        return torch.stack(each).sum() / rows.shape[1]

    return mixed, loss


def _rows(x: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """Features (1, n, L, D) of n utterances, from those of all, on the same device."""
    return x[torch.as_tensor(rows, device=x.device)][None]


def _result(
    x: torch.Tensor,
    problem: Problem,
    fold: Fold,
    seed: int,
    heads: Heads,
    figures: np.ndarray,
    best_steps: np.ndarray,
    rates: Sequence[float],
) -> FoldResult:
    """What the best of the heads (R, 1, ...) gives for test; figures and best_steps are (R,)."""
    r = int(np.argmax(figures))  # the lowest rate of equals; the step is the first of equals
    tests = [_rows(x, own) for own in fold.tests]
    return FoldResult(
        fold=fold,
        seed=seed,
        choice={**choosing.of_grid(rates[r], rates), "step": int(best_steps[r])},
        figure=float(figures[r]),
        probabilities=own_classes.probabilities(
            np.concatenate([heads.logits(rows)[r, 0].cpu().numpy() for rows in tests]), problem, fold.tested
        ),
        outputs=np.concatenate([heads.projected(rows)[r, 0].cpu().numpy() for rows in tests]),
        layer_weights=heads.layers[r, 0].softmax(-1).tolist(),
        dev=own_classes.probabilities(heads.logits(_rows(x, fold.dev))[r, 0].cpu().numpy(), problem, fold.dev),
        fitted=Fitted(fold.name, seed, {}, heads.arrays(r)),
    )


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fitted head; `settings` are not needed: its weights say all.

    Raises:
        DownstreamError: a feature is not finite.
    """
    assert features.pooled is not None
    means = np.ascontiguousarray(features.pooled[:, 0])
    check_finite(means, features.ids, "a layer")
    heads = Heads.of_arrays(own.arrays, device)
    return Answers(heads.logits(torch.as_tensor(means, device=device)[None])[0, 0].softmax(-1).cpu().numpy())
