"""Statistics of ordinal answers: levels in their order, each with a place on a scale, and pairs that differ in level.

A system gives every utterance a probability for each level. Its **value** is the expected place, sum_c p_c place_c.
Statistics are ``(..., C, C + 3 + STEPS + 1)`` sums over utterances, a row for each true level:

    first C     counts by predicted level: the confusion matrix that metrics of classes read
    next 3      sum of |place of the true level - value|; pairs that are ordered right; pairs
    the rest    counts of values, from the lowest place to the highest in STEPS steps

A pair is two utterances of one set (such as one actor, sentence, repetition and emotion) and of different levels. It is
right where the one of the higher level has the higher value; equal values count half. It is counted once, in the row
and group of its utterance of the lower level. Values are compared as they are; only Spearman's correlation reads steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

STEPS: Final = 200
ERROR, RIGHT, PAIRS, FIRST_STEP = range(4)  # columns after the confusion matrix


@dataclass(frozen=True)
class Outcomes:
    """What N ordinal answers add to the statistics.

    Attributes:
        error: (N,) |place of the true level - value|.
        right, pairs: (N,) the pairs whose lower level an utterance has: how many are ordered right, and how many there
            are.
        step: (N,) int64, the step of the value.
    """

    error: np.ndarray
    right: np.ndarray
    pairs: np.ndarray
    step: np.ndarray


def outcomes(targets: np.ndarray, scores: np.ndarray, places: Sequence[float], sets: np.ndarray) -> Outcomes:
    """The outcomes of N answers.

    Args:
        targets: (N,) true levels, 0 to C - 1.
        scores: (N, C) probability of each level, or shares of any sum above 0.
        places: C places on the scale, ascending.
        sets: (N,) int64, equal for utterances that make pairs where their levels differ.

    >>> made = outcomes(np.array([0, 1]), np.array([[0.75, 0.25], [0.5, 0.5]]), [0.0, 1.0], np.array([0, 0]))
    >>> print(made.error, made.right, made.pairs, made.step)
    [0.25 0.5 ] [1. 0.] [1. 0.] [ 50 100]
    """
    scale = np.asarray(places, dtype=np.float64)
    scores = np.asarray(scores, dtype=np.float64)
    value = scores @ scale / np.maximum(scores.sum(1), np.finfo(np.float64).tiny)
    right, pairs = np.zeros(len(value)), np.zeros(len(value))
    order = np.argsort(sets, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(sets[order])) + 1):
        for one, other in combinations(members, 2):
            if targets[one] != targets[other]:
                low, high = (one, other) if targets[one] < targets[other] else (other, one)
                pairs[low] += 1
                right[low] += (np.sign(value[high] - value[low]) + 1) / 2
    step = np.rint((value - scale[0]) / (scale[-1] - scale[0]) * STEPS).astype(np.int64).clip(0, STEPS)
    return Outcomes(np.abs(scale[targets] - value), right, pairs, step)


def sums(confusion: np.ndarray, targets: np.ndarray, made: Outcomes, groups: np.ndarray) -> np.ndarray:
    """(G, C, C + 3 + STEPS + 1) statistics of G groups.

    Args:
        confusion: (G, C, C) counts of the same utterances.
        targets: (N,) true levels.
        groups: (N,) 0 to G - 1.
    """
    n_groups, n_levels = confusion.shape[:2]
    cell, cells = groups * n_levels + targets, n_groups * n_levels
    weighed = [np.bincount(cell, weights=part, minlength=cells) for part in (made.error, made.right, made.pairs)]
    steps = np.bincount(cell * (STEPS + 1) + made.step, minlength=cells * (STEPS + 1)).reshape(cells, -1)
    return np.concatenate([confusion, np.column_stack([*weighed, steps]).reshape(n_groups, n_levels, -1)], axis=-1)


def confusion(statistics: np.ndarray) -> np.ndarray:
    """The confusion matrices (..., C, C) in statistics of classes or of levels."""
    return statistics[..., : statistics.shape[-2]]


def _column(statistics: np.ndarray, which: int) -> np.ndarray:
    """(...) the sum of one of the columns after the confusion matrix, over levels."""
    return statistics[..., statistics.shape[-2] + which].sum(-1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below != 0)


def level_error(statistics: np.ndarray) -> np.ndarray:
    """Mean absolute error: mean |place of the true level - value|, on the scale of the places, from 0 to 1."""
    return _ratio(_column(statistics, ERROR), confusion(statistics).sum((-2, -1)))


def pairs_right(statistics: np.ndarray) -> np.ndarray:
    """The share of pairs that are ordered right, from 0 to 1; NaN without pairs."""
    return _ratio(_column(statistics, RIGHT), _column(statistics, PAIRS))


def spearman(statistics: np.ndarray) -> np.ndarray:
    """Spearman's correlation of levels and values (Spearman 1904): Pearson's of their ranks, ties share a mean rank.

    From -1 to 1; NaN where all levels or all values are the same.

    >>> made = outcomes(np.array([0, 1, 2]), np.eye(3), [0.0, 0.5, 1.0], np.arange(3))
    >>> counts = np.eye(3)[None]
    >>> print(spearman(sums(counts, np.arange(3), made, np.zeros(3, dtype=int))[0]).round(3))
    1.0
    """
    table = statistics[..., statistics.shape[-2] + FIRST_STEP :]
    levels, values = table.sum(-1), table.sum(-2)
    total = levels.sum(-1)[..., None]

    def centred(counts: np.ndarray) -> np.ndarray:
        """The mean rank of every entry less the mean of all ranks."""
        return np.cumsum(counts, axis=-1) - (counts + total) / 2

    r, s = centred(levels), centred(values)
    together = np.einsum("...c,...cb,...b->...", r, table, s)
    spread = (levels * r**2).sum(-1) * (values * s**2).sum(-1)
    return _ratio(together, np.sqrt(spread))
