"""Differences of two systems on the same groups, means over corpora: effects with 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from leaderboard.records.intervals import LEVEL, leave_one_out, standard_error

POWER = 0.8  # of the smallest detectable difference


@dataclass(frozen=True)
class Effect:
    """A difference of two figures with its 95 % interval and standard error; NaN where they cannot be known."""

    value: float
    low: float
    high: float
    error: float


def effect(value: float, error: float, freedom: float) -> Effect:
    """value -/+ t(0.975, freedom) error; a difference has no near end, so its scale stays as it is."""
    half = stdtrit(freedom, (1 + LEVEL) / 2) * error if freedom > 0 else np.nan
    return Effect(float(value), float(value - half), float(value + half), float(error))


def difference(first: np.ndarray, second: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]) -> Effect:
    """Metric of the first system minus that of the second on the same utterances, by leaving out a group at a time.

    Args:
        first, second: (S, G, ...) additive statistics of the same G groups; the numbers of seeds may differ.
    """
    return between(leave_one_out(first, metric), leave_one_out(second, metric))


def between(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> Effect:
    """The same from what `leave_one_out` says of either, so that many pairs need it once a system."""
    without = first[1] - second[1]
    error = float(standard_error(without)) if len(without) > 1 else np.nan
    return effect(float(first[0] - second[0]), error, len(without) - 1)


def spread_of_mean(deviations: dict[str, np.ndarray]) -> tuple[float, float]:
    """Standard error of a mean over families from the spread of their groups, and its degrees of freedom.

    Families are independent; Welch and Satterthwaite's freedom. (NaN, 1) where a family has one group only.
    """
    sizes = np.array([len(moved) for moved in deviations.values()])
    if (sizes < 2).any():
        return np.nan, 1.0
    variances = np.array([float(standard_error(moved)) for moved in deviations.values()]) ** 2 / len(deviations) ** 2
    total = float(variances.sum())
    freedom = total**2 / (variances**2 / (sizes - 1)).sum() if total > 0 else (sizes - 1).sum()
    return float(np.sqrt(total)), float(freedom)


def over_draws(votes: np.ndarray) -> Effect:
    """A mean over families as draws: its spread is that of the families."""
    n = len(votes)
    error = float(votes.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return effect(float(votes.mean()), error, n - 1)


def detectable(errors: np.ndarray, groups: int) -> float:
    """The smallest true difference that a test of two systems (5 %, two-sided) finds in four of five draws of groups.

    (t(0.975, G - 1) + t(0.8, G - 1)) times the standard error of a difference (Bloom 1995), the median of the pairs'.

    Args:
        errors: (pairs,) standard errors of differences.
        groups: G.
    """
    known = errors[np.isfinite(errors)]
    if groups < 2 or not len(known):
        return np.nan
    return float((stdtrit(groups - 1, (1 + LEVEL) / 2) + stdtrit(groups - 1, POWER)) * np.median(known))
