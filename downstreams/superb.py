"""`superb`: SUPERB's recipe for its emotion head (s3prl's `downstream/emotion`), see weighted_sum.py.

Adam on batches of 32 (s3prl: 8 times 4, accumulated, so that batches run on across epochs), gradients clipped to norm
1, cross-entropy, features as they are: nothing is standardised. Of 30 evaluations of every learning rate, the best on
dev is taken, fold by fold (see choosing.py). Heads of a fold and seed that differ in the rate share start, batches and
their one gather.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim.adam import adam

from downstreams import chance, choosing, weighted_sum
from downstreams.inputs import check_dev, check_finite, fitting
from downstreams.parallel import one_core_each, reported
from downstreams.predictions import Predictions, Reading, collected
from downstreams.weighted_sum import Heads

BLOCK = 600_000  # weights that a core trains in step: their state should stay in its caches
NEAR = 0.1  # SUPERB gives folds of 3432 to 3606 utterances the same number of steps


def evaluate(
    features: Any, problem: Any, settings: dict[str, Any], seeds: list[int], device: str, progress: Any = None
) -> Predictions:
    """The head's predictions; `settings` has `projector`, `batch`, `clip`, `rates` (ascending), `epochs`, `steps`
    (SUPERB's number, taken where the epochs come near it) and `evaluations`.

    Raises:
        DownstreamError: the features are not those of the problem or not finite, a fold has no dev part, or
            training overflows at every rate.
    """
    started = time.perf_counter()
    pooled = fitting(features.pooled, problem, "pooled features")
    check_dev(problem, "superb")
    means = np.ascontiguousarray(pooled[:, 0])
    for layer in range(means.shape[1]):
        check_finite(means[:, layer], problem.ids, f"layer {layer}")
    x, y = torch.as_tensor(means, device=device), torch.tensor(problem.targets, device=device)

    size = len(problem.folds)
    if torch.device(device).type == "cpu":
        size = max(1, BLOCK // (len(settings["rates"]) * settings["projector"] * x.shape[2]))
    jobs = [(seed, problem.folds[i : i + size]) for seed in seeds for i in range(0, len(problem.folds), size)]
    advance = reported(progress, len(seeds) * len(problem.folds) * len(settings["rates"]))
    with one_core_each(device) as pool:
        train = partial(_train, x, y, problem=problem, settings=settings, advance=advance)
        readings = [reading for part in pool.map(lambda job: train(*job), jobs) for reading in part]
    return collected(problem, readings, time.perf_counter() - started)


def schedule(n: int, settings: dict[str, Any]) -> tuple[int, int]:
    """Steps of a fold with n training utterances, and after how many of them dev is scored."""
    steps = settings["epochs"] * n / settings["batch"]
    if abs(steps - settings["steps"]) <= NEAR * settings["steps"]:
        steps = settings["steps"]
    every = max(1, round(steps / settings["evaluations"]))
    return every * settings["evaluations"], every


class Training:
    """Adam (torch's defaults) on heads (R, Q, ...) in place, each of the R with a learning rate of its own."""

    def __init__(self, heads: Heads, rates: list[float], clip: float) -> None:
        self.heads, self.rates, self.clip = heads, rates, clip
        self._first, self._second = (Heads(*map(torch.zeros_like, heads)) for _ in range(2))
        self._counts = [[torch.zeros((), device=part.device) for part in heads] for _ in rates]

    def step(self, x: torch.Tensor, targets: torch.Tensor) -> None:
        """One step on a batch of each problem, (Q, n, L, D) and (Q, n)."""
        gradients = self.heads.gradients(x, targets, self.clip)
        for r, rate in enumerate(self.rates):
            state = ([part[r] for part in parts] for parts in (self.heads, gradients, self._first, self._second))
            adam(*state, [], self._counts[r], fused=True, lr=rate, beta1=0.9, beta2=0.999, eps=1e-8,
                 weight_decay=0.0, amsgrad=False, maximize=False)  # fmt: skip


def _train(
    x: torch.Tensor,
    y: torch.Tensor,
    seed: int,
    folds: tuple[Any, ...],
    *,
    problem: Any,
    settings: dict[str, Any],
    advance: Callable[[float], None],
) -> list[Reading]:
    """The heads of some folds with one seed, all rates, in step; a fold that is done before others runs on unheard."""
    rates, batch = settings["rates"], settings["batch"]
    plans = [schedule(len(fold.train), settings) for fold in folds]
    last = max(steps for steps, _ in plans)
    generators = [chance.generator(fold.name, seed) for fold in folds]
    depth, width = x.shape[1:]
    heads = weighted_sum.initial(generators, len(rates), depth, width, settings["projector"], len(problem.classes))
    heads = Heads(*(part.to(x.device) for part in heads))
    streams = [chance.stream(fold.train, last * batch, g) for fold, g in zip(folds, generators, strict=True)]
    order = torch.stack(streams).to(x.device).view(len(folds), last, batch).transpose(0, 1).contiguous()

    training = Training(heads, rates, settings["clip"])
    best = Heads(*map(torch.clone, heads))
    figures = np.full((len(rates), len(folds)), -np.inf)
    found = np.zeros(figures.shape, dtype=int)
    for step, rows in enumerate(order, start=1):
        inputs = x.index_select(0, rows.view(-1)).view(*rows.shape, *x.shape[1:])
        training.step(inputs, y[rows])
        for q, (fold, (steps_of, every)) in enumerate(zip(folds, plans, strict=True)):
            if step % every or step > steps_of:
                continue
            logits = heads.problem(q).logits(_rows(x, fold.dev))[:, 0]
            scores = choosing.figures(problem, fold, logits.cpu().numpy())
            for r in np.flatnonzero(scores > figures[:, q]):
                figures[r, q], found[r, q] = scores[r], step
                for kept, now in zip(best, heads, strict=True):
                    kept[r, q] = now[r, q]
            advance(len(rates) * every / steps_of)
    return [_reading(x, fold, seed, best.problem(q), figures[:, q], found[:, q], rates) for q, fold in enumerate(folds)]


def _rows(x: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
    """(1, n, L, D)."""
    return x[torch.as_tensor(rows, device=x.device)][None]


def _reading(
    x: torch.Tensor, fold: Any, seed: int, heads: Heads, figures: np.ndarray, found: np.ndarray, rates: list[float]
) -> Reading:
    r = int(np.argmax(figures))  # the lowest rate of equals; the step is the first of equals
    rows = _rows(x, fold.test)
    return Reading(
        fold=fold,
        seed=seed,
        chosen={**choosing.of_grid(rates[r], rates), "step": int(found[r])},
        figure=float(figures[r]),
        weights=heads.layers[r, 0].softmax(-1).tolist(),
        test=heads.logits(rows)[r, 0].softmax(-1).cpu().numpy(),
        outputs=heads.projected(rows)[r, 0].cpu().numpy(),
    )
