"""Statistics of sequences of symbols: how many errors an answer has, and how long its reference is.

Statistics are ``(..., 2)`` sums over utterances: errors, and symbols of the references. So a rate of groups together is
the ratio of their sums, and not a mean of rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=1 << 16)
def _distance(reference: tuple[str, ...], answer: tuple[str, ...]) -> int:
    before = list(range(len(answer) + 1))
    for i, symbol in enumerate(reference, start=1):
        row = [i]
        for j, given in enumerate(answer, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (symbol != given)))
        before = row
    return before[-1]


def errors(reference: Sequence[str], answer: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that make one sequence the other (Levenshtein 1966).

    >>> errors("k a t".split(), "k e t s".split()), errors(["a", "b"], [])
    (2, 2)
    """
    return _distance(tuple(reference), tuple(answer))


def sums(targets: Sequence[str], answers: Sequence[str], groups: np.ndarray, n_groups: int) -> np.ndarray:
    """(G, 2) statistics of G groups.

    Args:
        targets, answers: N texts each, of symbols with spaces between them.
        groups: (N,) 0 to G - 1.

    >>> print(sums(["a b", "c"], ["a", "c"], np.array([0, 1]), 2))
    [[1. 2.]
     [0. 1.]]
    """
    references = [text.split() for text in targets]
    wrong = [errors(own, answer.split()) for own, answer in zip(references, answers, strict=True)]
    columns = [
        np.bincount(groups, weights=np.asarray(part, dtype=np.float64), minlength=n_groups)
        for part in (wrong, [len(own) for own in references])
    ]
    return np.stack(columns, axis=-1)


def error_rate(statistics: np.ndarray) -> np.ndarray:
    """Errors for each symbol of the references, 0 or more; it may be above 1. NaN without references.

    >>> print(error_rate(np.array([3.0, 4.0])))
    0.75
    """
    wrong, length = statistics[..., 0], statistics[..., 1]
    return np.divide(wrong, length, out=np.full(np.shape(length), np.nan), where=length > 0)
