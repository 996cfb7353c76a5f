"""Figures of trained heads on dev, by which a learning rate or an epoch is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from commons.corridors.predictions import Choice
from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS, recalls, sums


def of_grid(rate: float, rates: Sequence[float]) -> Choice:
    """The chosen learning rate for the record: `rate`, and `edge`: whether it is the first or last of several rates."""
    return {"rate": rate, "edge": len(rates) > 1 and rate in (rates[0], rates[-1])}


def edges(rates: Sequence[float], chosen: Sequence[float]) -> list[bool]:
    """For each fold of a seed whether the rate that it chose is an end of the grid, so that a wider one is to be tried.

    Of two rates each is an end: that says something only where several folds all choose the same one.
    """
    if len(rates) == 2:
        return [len(chosen) > 1 and len(set(chosen)) == 1] * len(chosen)
    return [len(rates) > 2 and rate in (rates[0], rates[-1]) for rate in chosen]


def figures(problem: Problem, fold: Fold, logits: np.ndarray) -> np.ndarray:
    """(R,) figures of R heads on the fold's dev part, in the metric `select_on`, from their logits (R, n, C).

    Each utterance is given one of the classes that it may have. If the dev part lacks a class, UA is undefined; then
    the figure is the mean recall over the classes that it has.
    A head with a logit that is not finite gets -inf, so that it is not chosen.
    """
    true = problem.targets[fold.dev]
    own = logits if problem.allowed is None else np.where(problem.allowed[fold.dev], logits, -np.inf)
    counts = np.concatenate([sums(true, each, n_classes=len(problem.classes)) for each in own.argmax(-1)])
    scores = METRICS[problem.select_on](counts)
    undefined = np.isnan(scores)
    scores[undefined] = METRICS["UA"].scale * np.nanmean(recalls(counts[undefined]), axis=-1)
    scores[~np.isfinite(logits).all((1, 2))] = -np.inf
    return scores
