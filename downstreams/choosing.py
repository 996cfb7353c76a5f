"""How heads that are trained step by step choose on a dev part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from commons.corridors.predictions import Choice
from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS, recalls, sums


def of_grid(rate: float, rates: Sequence[float]) -> Choice:
    """What a record says of a learning rate that was chosen: it, and whether it lies at an end of the grid."""
    return {"rate": rate, "edge": len(rates) > 1 and rate in (rates[0], rates[-1])}


def figures(problem: Problem, fold: Fold, logits: np.ndarray) -> np.ndarray:
    """`select_on` (R,) on the fold's dev part of R heads with logits (R, n, C).

    Where the dev part lacks a class, which leaves UA undefined, it is the mean recall over the classes that it has.
    A head with a logit that is not finite has -inf: its argmax would be a class like any other.
    """
    true = problem.targets[fold.dev]
    counts = np.concatenate([sums(true, own, n_classes=len(problem.classes)) for own in logits.argmax(-1)])
    scores = METRICS[problem.select_on](counts)
    undefined = np.isnan(scores)
    scores[undefined] = METRICS["UA"].scale * np.nanmean(recalls(counts[undefined]), axis=-1)
    scores[~np.isfinite(logits).all((1, 2))] = -np.inf
    return scores
