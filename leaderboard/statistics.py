"""Intervals that respect groups (speakers, dialogues, videos) and hold with few of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from commons.metrics import REGRESSION, Metric

LEVEL = 0.95
POWER = 0.8  # of the smallest detectable difference


def leave_one_out(statistics: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A pooled metric, mean over seeds, and the same without each group in turn.

    Args:
        statistics: (S, G, ...) additive statistics of S seeds and G groups.
        metric: maps (..., statistics) to (...) or to (..., K).

    Returns:
        value of shape () or (K,), and (G,) or (G, K). Where each class weighs the same (`Metric.by_class`), the figure
        without a group that alone has a class is NaN.
    """
    total = statistics.sum(axis=1)
    without = metric(total[:, None] - statistics).mean(axis=0)
    if isinstance(metric, Metric) and metric.by_class:
        held = statistics[0].sum(-1)  # (G, C), the same for every seed
        without[((held == held.sum(0)) & (held > 0)).any(-1)] = np.nan
    return metric(total).mean(axis=0), without


def standard_error(without: np.ndarray) -> np.ndarray:
    """Jackknife standard error of a figure from its values without each of G groups, (G, ...) -> (...)."""
    n = len(without)
    return np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def shares(statistics: np.ndarray, metric: Metric) -> np.ndarray:
    """(G,) share of every group in a figure; they sum to 1.

    Where each class weighs the same (UA, macro-F1): the mean over classes of the group's share of their utterances.
    Elsewhere: its share of all utterances.

    Args:
        statistics: (G, C, C) or (G, 16) additive statistics of one seed; all seeds hold the same utterances.
    """
    if metric.kind == REGRESSION:
        return statistics[:, 0] / statistics[:, 0].sum()
    counts = statistics.sum(-1)  # (G, C)
    return by_class(counts).mean(1) if metric.by_class else counts.sum(1) / counts.sum()


def by_class(counts: np.ndarray) -> np.ndarray:
    """(G, C) share of every group in each class, of utterances (G, C); classes without utterances are left out."""
    counts = counts[:, counts.sum(0) > 0]
    return counts / counts.sum(0)


def freedom(shares: np.ndarray) -> np.ndarray:
    """Degrees of freedom of a jackknife standard error whose groups have these shares in the figure.

    The figure is taken as theta = sum_g w_g u_g with independent effects u_g of one variance. The jackknife's variance
    is then a quadratic form u' A u with A = M' D M, M = I - 1 w', D = diag((w / (1 - w))^2); Satterthwaite's degrees
    of freedom are tr(A)^2 / tr(A^2) (Bell & McCaffrey 2002), at least 1. G groups of equal shares have G - 1, a class
    that H of them hold in equal parts has H - 1; there are fewer where a few groups carry most of the figure.

    Args:
        shares: (G, ...) w, which sum to 1 over groups.

    >>> freedom(np.full(6, 1 / 6)).round(6)
    5.0
    >>> freedom(np.array([0.7, 0.1, 0.1, 0.1])).round(1)
    1.2
    """
    w = np.asarray(shares, dtype=np.float64)
    q = (w / np.maximum(1 - w, 1e-9)) ** 2
    a, b, s = (w * w).sum(0), (w * q).sum(0), q.sum(0)
    trace = s - 2 * b + s * a
    # |A|^2 of A = D + B with B = s w w' - w q' - q w'.
    squares = (q * q).sum(0) + 2 * (q * (s * w * w - 2 * w * q)).sum(0)
    squares += 2 * a * (q * q).sum(0) + 2 * b**2 - 4 * s * a * b + (s * a) ** 2
    return np.maximum(np.divide(trace**2, squares, out=np.ones_like(trace), where=squares > 0), 1.0)


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


def difference(first: np.ndarray, second: np.ndarray, metric: Metric) -> Effect:
    """Metric of the first system minus that of the second on the same utterances, by leaving out a group at a time.

    Args:
        first, second: (S, G, ...) additive statistics of the same G groups; the numbers of seeds may differ.
    """
    carried = float(freedom(shares(first[0], metric)))
    return between(leave_one_out(first, metric), leave_one_out(second, metric), carried)


def between(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], freedom: float) -> Effect:
    """The same from what `leave_one_out` says of either, so that many pairs need it once a system."""
    without = first[1] - second[1]
    error = float(standard_error(without)) if len(without) > 1 else np.nan
    return effect(float(first[0] - second[0]), error, freedom)


def spread_of_mean(deviations: dict[str, np.ndarray], freedoms: dict[str, float]) -> tuple[float, float]:
    """Standard error of a mean over families from the spread of their groups, and its degrees of freedom.

    Families are independent, so variances add up; degrees of freedom by Welch and Satterthwaite from those of each
    family. (NaN, 1) where a family has one group only.
    """
    if any(len(moved) < 2 for moved in deviations.values()):
        return np.nan, 1.0
    own = np.array([freedoms[family] for family in deviations])
    variances = np.array([float(standard_error(moved)) for moved in deviations.values()]) ** 2 / len(deviations) ** 2
    total = float(variances.sum())
    combined = total**2 / (variances**2 / own).sum() if total > 0 else own.sum()
    return float(np.sqrt(total)), float(combined)


def over_draws(votes: np.ndarray) -> Effect:
    """A mean over families as draws: its spread is that of the families."""
    n = len(votes)
    error = float(votes.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return effect(float(votes.mean()), error, n - 1)


def detectable(errors: np.ndarray, freedom: float) -> float:
    """The smallest true difference that a test of two systems (5 %, two-sided) finds in four of five draws of groups.

    (t(0.975, df) + t(0.8, df)) times the standard error of a difference (Bloom 1995), the median of the pairs'.

    Args:
        errors: (pairs,) standard errors of differences.
        freedom: df, of `freedom`.
    """
    known = errors[np.isfinite(errors)]
    if not len(known):
        return np.nan
    return float((stdtrit(freedom, (1 + LEVEL) / 2) + stdtrit(freedom, POWER)) * np.median(known))


def jackknife(
    statistics: np.ndarray,
    metric: Callable[[np.ndarray], np.ndarray],
    limits: tuple[float, float],
    shares: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A pooled metric and its 95 % interval by leaving out one group at a time.

    With theta the mean over seeds of the metric of all utterances and theta_g the same without group g,
    SE^2 = (G - 1)/G sum_g (theta_g - mean theta)^2 (Tukey 1958), and the interval is theta -/+ t(0.975, df) SE,
    taken on a scale without ends (logit between two limits, logarithm above one; SE carried over by the delta
    method), since near 100 % the plain one covers too seldom with few groups. Groups are what was sampled, so
    utterances of a speaker may be as alike as they like. The estimand is conditional on the trained heads: how
    these very heads would do on further groups like these, not how heads trained on other speakers would.

    df follows from the shares of the groups in theta (see `freedom`): G - 1 where all have the same, fewer where some
    carry more of it than others, or a class is held by some groups alone.

    There is no interval (NaN) with fewer than two groups, where a group left out leaves the metric undefined (a
    class that one group alone holds: its spread over groups cannot be known), and at an end of the range (100 %
    in every group does not tell how far below the next might be).

    Args:
        statistics: (S, G, ...) additive statistics (commons.metrics.sums) of S seeds and G groups, none empty.
        metric: maps (..., statistics) to (...) or to (..., K), K figures at once.
        limits: ends of the metric's range; the upper one may be infinite.
        shares: (G,) or (G, K) share of every group in each of K figures; None: all the same.

    Returns:
        value, low, high, and how many groups left out make it undefined; each of shape () or (K,).
    """
    value, without = leave_one_out(statistics, metric)
    n = len(without)
    undefined = np.where(np.isnan(value), 0, np.isnan(without).sum(axis=0))
    if n < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan), undefined
    df = n - 1 if shares is None else freedom(shares)
    return value, *bounded(value, standard_error(without), df, limits), undefined


def bounded(
    value: np.ndarray | float, error: np.ndarray | float, freedom: np.ndarray | float, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a figure within limits, by t on a scale without ends (see jackknife); NaN at an end."""
    bottom, top = limits
    inside = np.where((np.asarray(value) > bottom) & (np.asarray(value) < top), value, np.nan)
    below, above = inside - bottom, top - inside  # odds = below / above; with no upper end, below alone
    slope = 1 / below + 1 / above
    with np.errstate(over="ignore"):  # an infinite shift is right: the bound is then the end of the range
        shift = np.exp(stdtrit(freedom, (1 + LEVEL) / 2) * error * slope)
    if np.isinf(top):
        return bottom + below / shift, bottom + below * shift
    low = bottom + (top - bottom) * below / (below + above * shift)
    high = top - (top - bottom) * above / (below * shift + above)
    return low, high
