"""Ranks with the range that their tests leave open."""

from __future__ import annotations

import numpy as np


def rank_intervals(better: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last rank that each of K systems may have, given which are significantly better than which.

    The first rank, which tables call the rank, is 1 + the number of systems significantly better; the last one is K
    minus the number significantly worse. Both are from 1 to K. Where the tests keep their family-wise error, so do the
    intervals: they hold all true ranks together equally often (Al Mohamad, Goeman and van Zwet 2022).

    Args:
        better: (K, K) booleans, [i, j] true where i is significantly better than j.

    Returns:
        first and last ranks, (K,) each.

    >>> first, last = rank_intervals(np.array([[False, False, True], [False] * 3, [False] * 3]))
    >>> first.tolist(), last.tolist()
    ([1, 1, 2], [2, 3, 3])
    """
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
