"""95 % intervals of figures that leave out whole groups (speakers, dialogues, videos) and hold with few of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


def leave_one_out(statistics: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A pooled metric and the same metric without each group in turn, both as means over seeds.

    Args:
        statistics: (S, G, ...) additive statistics of S seeds and G groups.
        metric: maps (..., statistics) to (...) or to (..., K).

    Returns:
        theta of shape () or (K,), and theta_g of shape (G,) or (G, K), in the unit of the metric.

    >>> from commons.metrics import METRICS
    >>> counts = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]])  # 1 seed, 3 groups, 2 classes
    >>> value, without = leave_one_out(counts, METRICS["WA"])
    >>> print(value, without)
    85.0 [85. 90. 80.]
    """
    total = statistics.sum(axis=1)
    return metric(total).mean(axis=0), metric(total[:, None] - statistics).mean(axis=0)


def standard_error(without: np.ndarray) -> np.ndarray:
    """Jackknife standard error of a figure (Tukey 1958).

    SE^2 = (G - 1)/G sum_g (theta_g - mean theta)^2; 0 or more, in the unit of the figure.

    Args:
        without: (G, ...) theta_g, the figure without each group.

    Returns:
        (...).

    >>> print(standard_error(np.array([85.0, 90.0, 80.0])).round(3))
    5.774
    """
    n = len(without)
    return np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))


def jackknife(
    statistics: np.ndarray,
    metric: Callable[[np.ndarray], np.ndarray],
    limits: tuple[float, float],
    holders: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A pooled metric and its 95 % interval, by leaving out one group at a time (Tukey 1958).

    With theta the mean over seeds of the metric of all utterances and theta_g the same without group g,
    SE^2 = (G - 1)/G sum_g (theta_g - mean theta)^2, and the interval is theta -/+ t(0.975, df) SE. It is computed
    on the logit scale between two limits and on the logarithm above one limit (SE by the delta method), since near
    100 % the interval on the plain scale covers the truth too rarely with few groups. Whole groups are left out, so
    utterances of a speaker may depend on each other. The interval is conditional on the trained heads: it says how
    these heads would do on further groups, not how heads trained on other speakers would.

    df = G - 1, but for figures that rest on some of the groups (the recall of a class that few speakers have): a
    group without a share in theta says nothing of its spread, and df = `holders` - 1. Where 4 to 8 of 29 speakers
    have a class, this holds the truth in 93 to 97 % of simulated draws, G - 1 in 86 to 93 %.

    There is no interval (NaN) with fewer than two groups, where a group left out leaves the metric undefined (a
    class that one group alone holds: its spread over groups cannot be known), and at an end of the range (100 %
    in every group does not tell how far below the next might be).

    Args:
        statistics: (S, G, ...) additive statistics (tasks.metrics.sums) of S seeds and G groups, none empty.
        metric: maps (..., statistics) to (...) or to (..., K), K figures at once.
        limits: ends of the metric's range; the upper one may be infinite.
        holders: (K,) number of groups that each of K figures rests on; None: all G.

    Returns:
        value, low, high, and how many groups make it undefined when they are left out; each of shape () or (K,).

    >>> from commons.metrics import METRICS
    >>> counts = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]])  # 1 seed, 3 groups, 2 classes
    >>> value, low, high, undefined = jackknife(counts, METRICS["UA"], (0.0, 100.0))
    >>> print(f"{value:.1f} [{low:.1f}, {high:.1f}], {undefined}")
    85.0 [44.7, 97.5], 0
    """
    value, without = leave_one_out(statistics, metric)
    n = len(without)
    undefined = np.where(np.isnan(value), 0, np.isnan(without).sum(axis=0))
    if n < 2:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan), undefined
    freedom = n - 1 if holders is None else np.maximum(holders - 1, 1)
    return value, *bounded(value, standard_error(without), freedom, limits), undefined


def bounded(
    value: np.ndarray | float, error: np.ndarray | float, freedom: np.ndarray | float, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of a figure within limits: t(0.975, freedom) error on the logit or logarithmic scale.

    Args:
        value: the figure; the interval is NaN where it lies at a limit.
        error: its standard error, in the unit of the figure.
        freedom: degrees of freedom of t.
        limits: ends of the figure's range; the upper one may be infinite.

    Returns:
        low and high, both within the limits.

    >>> low, high = bounded(85.0, 5.0, 9, (0.0, 100.0))
    >>> print(f"[{low:.1f}, {high:.1f}]")
    [70.0, 93.2]
    """
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
