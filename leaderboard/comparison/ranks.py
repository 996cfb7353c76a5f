"""Ranks that say no more than the tests behind them."""

from __future__ import annotations

import numpy as np


def rank_intervals(better: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last rank that each of K systems may have, given which are significantly better than which.

    The first is 1 + the number significantly better, which tables call the rank; the last is K - the number
    significantly worse. Where the tests hold their family-wise error, all intervals together hold the true ranks as
    often (Al Mohamad, Goeman and van Zwet 2022).

    Args:
        better: (K, K) booleans, [i, j] true where i is significantly better than j.
    """
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
