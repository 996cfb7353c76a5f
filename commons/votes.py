"""Statistics of predicted distributions over classes against the votes of annotators.

Statistics are ``(..., C, C + 7)`` sums over utterances, a row for each class. The first C columns are the confusion
matrix that metrics of classes read, the true class being the one of most votes. The next four, in the row of the true
class, are sums of Jensen-Shannon divergence, Kullback-Leibler divergence, cosine similarity and Brier score. The last
three, in the row of each class, count utterances in which the class has more than 1/C of both votes and prediction, of
the prediction alone, and of the votes alone (EMO-SUPERB's threshold).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SMALLEST: Final = float(np.finfo(np.float64).eps)  # of a predicted probability that a logarithm is taken of
DIVERGENCES: Final = ("JS", "KL", "cosine", "Brier")


@dataclass(frozen=True)
class Outcomes:
    """What N answers add to the statistics.

    Attributes:
        values: (N, 4) `DIVERGENCES` of votes and prediction.
        both, predicted, voted: (N, C) bool, classes above the threshold in both, in the prediction or the votes alone.
    """

    values: np.ndarray
    both: np.ndarray
    predicted: np.ndarray
    voted: np.ndarray


def shares(counts: np.ndarray) -> np.ndarray:
    """Votes (N, C) as shares with sum 1; NaN in a row without votes.

    >>> print(shares(np.array([[3.0, 1.0], [0.0, 0.0]])))
    [[0.75 0.25]
     [ nan  nan]]
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum(1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def divergences(votes: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 4): Jensen-Shannon divergence in bits (Lin 1991), Kullback-Leibler divergence of the prediction from the
    votes in nats, cosine similarity, and Brier score sum_c (p_c - v_c)^2.

    >>> print(divergences(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(3))
    [[0.311 0.693 0.707 0.5  ]]
    """
    middle = (votes + predicted) / 2
    js = (_relative(votes, middle) + _relative(predicted, middle)) / 2 / np.log(2)
    kl = _relative(votes, predicted.clip(SMALLEST))
    lengths = np.linalg.norm(votes, axis=1) * np.linalg.norm(predicted, axis=1)
    cosine = (votes * predicted).sum(1) / lengths
    return np.stack([js.clip(0, 1), kl.clip(0), cosine, ((predicted - votes) ** 2).sum(1)], axis=1)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(N,) sum_c p_c log(p_c / q_c), where 0 log 0 is 0."""
    ratio = np.divide(p, q, out=np.ones(p.shape), where=(p > 0) & (q > 0))
    return np.asarray((p * np.log(ratio)).sum(1))


def outcomes(votes: np.ndarray, predicted: np.ndarray) -> Outcomes:
    """The outcomes of N answers, from shares of votes and probabilities, both (N, C)."""
    predicted = predicted / predicted.sum(1, keepdims=True)
    limit = 1 / votes.shape[1]
    chosen, asked = predicted > limit, votes > limit
    return Outcomes(divergences(votes, predicted), chosen & asked, chosen & ~asked, asked & ~chosen)


def sums(confusion: np.ndarray, targets: np.ndarray, made: Outcomes, groups: np.ndarray) -> np.ndarray:
    """(G, C, C + 7) statistics of G groups.

    Args:
        confusion: (G, C, C) counts of the same utterances.
        targets: (N,) true classes.
        groups: (N,) 0 to G - 1.
    """
    n_groups, classes = confusion.shape[:2]
    place, cells = groups * classes + targets, n_groups * classes
    columns = [np.bincount(place, weights=part, minlength=cells) for part in made.values.T]
    every = (groups[:, None] * classes + np.arange(classes)).ravel()
    for part in (made.both, made.predicted, made.voted):
        columns.append(np.bincount(every, weights=part.ravel().astype(float), minlength=cells))
    return np.concatenate([confusion, np.column_stack(columns).reshape(n_groups, classes, -1)], axis=-1)


def mean(statistics: np.ndarray, which: int) -> np.ndarray:
    """(...) the mean of one of `DIVERGENCES`; NaN without utterances."""
    classes = statistics.shape[-2]
    count = statistics[..., :classes].sum((-2, -1))
    total = statistics[..., classes + which].sum(-1)
    return np.divide(total, count, out=np.full(np.shape(count), np.nan), where=count != 0)


def threshold_f1(statistics: np.ndarray) -> np.ndarray:
    """The mean F1 over classes of whether a class has more than 1/C, from 0 to 1; 0 for a class that nobody names.

    As EMO-SUPERB scores (Wu et al. 2024): a class is right where both votes and prediction give it more than 1/C.
    """
    both, predicted, voted = np.moveaxis(statistics[..., -3:], -1, 0)
    below = 2 * both + predicted + voted
    f1 = np.divide(2 * both, below, out=np.zeros(np.shape(below)), where=below != 0)
    return np.asarray(np.where(statistics[..., : statistics.shape[-2]].sum((-2, -1)) > 0, f1.mean(-1), np.nan))
