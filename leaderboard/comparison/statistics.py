"""Differences of two systems on the same groups, means over corpora: effects with 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from commons.metrics import Metric
from leaderboard.records.intervals import LEVEL, freedom, leave_one_out, shares, standard_error

POWER = 0.8  # of the smallest detectable difference


@dataclass(frozen=True)
class Effect:
    """A difference or mean with its 95 % interval and standard error; NaN where they cannot be known."""

    value: float
    low: float
    high: float
    error: float


def effect(value: float, error: float, freedom: float) -> Effect:
    """A difference with its 95 % interval, value -/+ t(0.975, freedom) error (Student 1908).

    A difference is far from the ends of its range, so its scale stays as it is.

    Args:
        error: standard error, in the unit of the value.
        freedom: degrees of freedom; with none of them (0) the interval is NaN.

    >>> seen = effect(5.0, 2.0, 9)
    >>> print(f"{seen.value} [{seen.low:.2f}, {seen.high:.2f}]")
    5.0 [0.48, 9.52]
    """
    half = stdtrit(freedom, (1 + LEVEL) / 2) * error if freedom > 0 else np.nan
    return Effect(float(value), float(value - half), float(value + half), float(error))


def difference(first: np.ndarray, second: np.ndarray, metric: Metric) -> Effect:
    """The metric of the first system minus that of the second on the same utterances, by leaving out groups.

    The standard error is the jackknife's (Tukey 1958) of the difference itself, so what both systems share cancels out.

    Args:
        first, second: (S, G, ...) additive statistics of the same G groups; the numbers of seeds may differ.

    >>> from commons.metrics import METRICS
    >>> first = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]])
    >>> second = np.array([[[[6, 4], [2, 8]], [[6, 4], [3, 7]], [[7, 3], [3, 7]]]])
    >>> seen = difference(first, second, METRICS["UA"])
    >>> print(f"{seen.value:.1f} [{seen.low:.1f}, {seen.high:.1f}]")
    16.7 [-2.3, 35.6]
    """
    df = float(freedom(shares(first[0], metric)))
    return between(leave_one_out(first, metric), leave_one_out(second, metric), df)


def between(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], df: float) -> Effect:
    """The difference of two systems from what `leave_one_out` returns for each.

    It equals `difference`; among many pairs every system is left out once, not once a pair.

    Args:
        first, second: theta and (G,) theta_g of each system.
        df: degrees of freedom.

    >>> without = np.array([80.0, 85.0, 90.0])
    >>> between((np.array(85.0), without), (np.array(80.0), without - 5), 2).value
    5.0
    """
    without = first[1] - second[1]
    error = float(standard_error(without)) if len(without) > 1 else np.nan
    return effect(float(first[0] - second[0]), error, df)


def spread_of_mean(deviations: dict[str, np.ndarray], freedoms: dict[str, float]) -> tuple[float, float]:
    """Standard error of a mean over families, and its degrees of freedom (Welch 1947, Satterthwaite 1946).

    Families are independent: with F families SE^2 = sum_f SE_f^2 / F^2, and with v_f = SE_f^2 / F^2 the degrees of
    freedom are (sum v_f)^2 / sum (v_f^2 / df_f). Both are above 0; (NaN, 1) where a family has one group only.

    Args:
        deviations: for every family (G_f,) how far its figure moves without each of its groups.
        freedoms: for every family df_f.

    >>> error, freedom = spread_of_mean({"a": np.array([1.0, -1.0]), "b": np.array([2.0, 0.0, -2.0])}, {"a": 1, "b": 2})
    >>> round(error, 3), round(freedom, 2)
    (1.258, 2.64)
    """
    if any(len(moved) < 2 for moved in deviations.values()):
        return np.nan, 1.0
    own = np.array([freedoms[family] for family in deviations])
    variances = np.array([float(standard_error(moved)) for moved in deviations.values()]) ** 2 / len(deviations) ** 2
    total = float(variances.sum())
    df = total**2 / (variances**2 / own).sum() if total > 0 else own.sum()
    return float(np.sqrt(total)), float(df)


def over_draws(votes: np.ndarray) -> Effect:
    """The mean of (F,) differences of corpus families with the interval of a mean of F draws (Student 1908).

    SE = sd / sqrt(F) with F - 1 degrees of freedom; NaN with one family.

    >>> seen = over_draws(np.array([1.0, 2.0, 3.0]))
    >>> print(f"{seen.value} [{seen.low:.2f}, {seen.high:.2f}]")
    2.0 [-0.48, 4.48]
    """
    n = len(votes)
    error = float(votes.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return effect(float(votes.mean()), error, n - 1)


def detectable(errors: np.ndarray, df: float) -> float:
    """The smallest true difference that the test of two systems finds in four of five draws of groups (Bloom 1995).

    (t(0.975, df) + t(0.8, df)) times the median standard error of a difference: a two-sided test at 5 % with a
    power of 80 %. It is above 0, in the unit of the errors; NaN where no error is known.

    Args:
        errors: (pairs,) standard errors of differences.
        df: degrees of freedom.

    >>> round(detectable(np.array([1.5, 2.0, 2.5]), 9), 2)
    6.29
    """
    known = errors[np.isfinite(errors)]
    if not len(known):
        return np.nan
    return float((stdtrit(df, (1 + LEVEL) / 2) + stdtrit(df, POWER)) * np.median(known))
