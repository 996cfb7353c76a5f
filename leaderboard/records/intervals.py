"""95 % intervals of figures that leave out whole groups (speakers, dialogues, videos) and hold with few of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import lcm

import numpy as np
from scipy.special import stdtrit

from commons.metrics import REGRESSION, SEQUENCE, Metric
from commons.ordinal import confusion

LEVEL = 0.95


def leave_one_out(statistics: np.ndarray, metric: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A pooled metric and the same metric without each group in turn, both as means over seeds.

    Args:
        statistics: (S, G, ...) additive statistics of S seeds and G groups.
        metric: maps (..., statistics) to (...) or to (..., K).

    Returns:
        theta of shape () or (K,), and theta_g of shape (G,) or (G, K), in the unit of the metric. Where each class
        weighs the same (`Metric.by_class`), the figure without a group that alone has a class is NaN.

    >>> from commons.metrics import METRICS
    >>> counts = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]])  # 1 seed, 3 groups, 2 classes
    >>> value, without = leave_one_out(counts, METRICS["WA"])
    >>> print(value, without)
    85.0 [85. 90. 80.]
    """
    total = statistics.sum(axis=1)
    without = metric(total[:, None] - statistics).mean(axis=0)
    if isinstance(metric, Metric) and metric.by_class:
        held = confusion(statistics[0]).sum(-1)  # (G, C), the same for every seed
        without[((held == held.sum(0)) & (held > 0)).any(-1)] = np.nan
    return metric(total).mean(axis=0), without


def shares(statistics: np.ndarray, metric: Metric) -> np.ndarray:
    """(G,) share of every group in a figure; they sum to 1.

    Where each class weighs the same (UA, macro-F1): the mean over classes of the group's share of their utterances.
    Of sequences: its share of all symbols. Elsewhere: its share of all utterances.

    Args:
        statistics: (G, ...) additive statistics (commons.metrics) of one seed; all seeds hold the same utterances.

    >>> from commons.metrics import METRICS
    >>> counts = np.array([[[8, 2], [0, 0]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]])  # 3 groups, 2 classes
    >>> print(shares(counts, METRICS["UA"]).round(2), shares(counts, METRICS["WA"]).round(2))
    [0.17 0.42 0.42] [0.2 0.4 0.4]
    """
    if metric.kind == SEQUENCE:
        return statistics[:, 1] / statistics[:, 1].sum()
    if metric.kind == REGRESSION:
        return statistics[:, 0] / statistics[:, 0].sum()
    counts = confusion(statistics).sum(-1)  # (G, C)
    return _by_class(counts).mean(1) if metric.by_class else counts.sum(1) / counts.sum()


def _by_class(counts: np.ndarray) -> np.ndarray:
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

    >>> print(freedom(np.full(6, 1 / 6)).round(3), freedom(np.array([0.4, 0.2, 0.2, 0.1, 0.1])).round(1))
    5.0 1.8
    """
    w = np.asarray(shares, dtype=np.float64)
    q = (w / np.maximum(1 - w, 1e-9)) ** 2
    a, b, s = (w * w).sum(0), (w * q).sum(0), q.sum(0)
    trace = s - 2 * b + s * a
    # |A|^2 of A = D + B with B = s w w' - w q' - q w'.
    squares = (q * q).sum(0) + 2 * (q * (s * w * w - 2 * w * q)).sum(0)
    squares += 2 * a * (q * q).sum(0) + 2 * b**2 - 4 * s * a * b + (s * a) ** 2
    return np.maximum(np.divide(trace**2, squares, out=np.ones_like(trace), where=squares > 0), 1.0)


def same_seeds(systems: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All with the same number of seeds, so that all seeds of a group are swapped at once; means stay.

    >>> [len(system) for system in same_seeds([np.ones((2, 5)), np.ones((3, 5))])]
    [6, 6]
    """
    seeds = lcm(*(len(system) for system in systems))
    return [system[np.arange(seeds) % len(system)] for system in systems]


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
    shares: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A pooled metric and its 95 % interval, by leaving out one group at a time (Tukey 1958).

    With theta the mean over seeds of the metric of all utterances and theta_g the same without group g,
    SE^2 = (G - 1)/G sum_g (theta_g - mean theta)^2, and the interval is theta -/+ t(0.975, df) SE. It is computed
    on the logit scale between two limits and on the logarithm above one limit (SE by the delta method), since near
    100 % the interval on the plain scale covers the truth too rarely with few groups. Whole groups are left out, so
    utterances of a speaker may depend on each other. The interval is conditional on the trained heads: it says how
    these heads would do on further groups, not how heads trained on other speakers would.

    df follows from the shares of the groups in theta, as `freedom` says: G - 1 where all have the same, fewer where
    some carry more of it than others, or where some groups alone have a class.

    There is no interval (NaN) with fewer than two groups, where a group left out leaves the metric undefined (a
    class that one group alone holds: its spread over groups cannot be known), and at an end of the range (100 %
    in every group does not tell how far below the next might be).

    Args:
        statistics: (S, G, ...) additive statistics (commons.metrics.sums) of S seeds and G groups, none empty.
        metric: maps (..., statistics) to (...) or to (..., K), K figures at once.
        limits: ends of the metric's range; the upper one may be infinite.
        shares: (G,) or (G, K) share of every group in each of K figures; None: all the same.

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
    df = n - 1 if shares is None else freedom(shares)
    return value, *bounded(value, standard_error(without), df, limits), undefined


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
