"""The test of two systems: their predictions are swapped for whole groups at a time (Fisher 1935, Pitman 1937).

Under the null hypothesis the two systems are exchangeable within every group (speaker, dialogue, video): a coin could
have decided which of them made which predictions of a group. A swap keeps every utterance and target in place, so no
class is ever lost, and it keeps a group's utterances together, however much they depend on each other. For WA, UA and
MAE the difference of the pooled figures is a sum over groups. With N_c utterances of class c, group g adds

    d_g = 1/C sum_c (right of the first in g, c - right of the second in g, c) / N_c

to a difference in UA, and a swap of g changes the sign of d_g, since N_c stays the same. Other metrics are computed
again for every swap. familywise.py tests many pairs at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from commons.metrics import METRICS
from leaderboard.records.intervals import same_seeds

ENUMERATED = 12  # groups up to which every swap is tried
DRAWS = 10_000  # swaps drawn beyond
HELD = 2_000_000  # numbers that are held at once
ROUNDING = 1e-9  # of the statistic: swaps that tie with what was seen count as tied


def signs(groups: int) -> np.ndarray:
    """(P, G) swaps: +1 keeps a group, -1 swaps it; the first row swaps none (Fisher 1935; drawn ones: Dwass 1957).

    Up to 12 groups these are all 2^(G - 1) swaps that differ in a two-sided test: swapping all groups only changes the
    sign of the difference. Beyond, 10,000 are drawn at random, always the same ones.

    >>> signs(3).tolist()
    [[1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1]]
    """
    if groups <= ENUMERATED:
        codes = np.arange(2 ** max(groups - 1, 0))
        bits = codes[:, None] >> np.arange(groups)[None] & 1
        return (1 - 2 * bits).astype(np.int8)
    drawn = np.random.default_rng(0).integers(0, 2, (DRAWS + 1, groups), dtype=np.int8)
    drawn[0] = 0
    drawn *= -2  # in place, since there may be tens of thousands of groups
    drawn += 1
    return drawn


def smallest_p(groups: int) -> float:
    """The smallest p that a test over some groups can give, however large the difference.

    2^(1 - G), but at least 1/10,001 where swaps are drawn; from 0 to 1, and 1 without groups.

    >>> smallest_p(6), smallest_p(3)
    (0.03125, 0.25)
    """
    return max(2.0 ** (1 - groups), 1 / (DRAWS + 1) if groups > ENUMERATED else 0.0) if groups else 1.0


def contributions(first: np.ndarray, second: np.ndarray, metric: str) -> np.ndarray:
    """(G,) d_g: half of what a difference in `metric` changes by when group g alone is swapped.

    For a linear metric the difference of the two systems is the sum of d_g, and the tests use it for these metrics
    only. Positive where the first system has the larger figure, in the unit of the metric.

    Args:
        first, second: (S, G, ...) additive statistics of the same utterances; the numbers of seeds may differ.

    >>> first = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]]]])  # 1 seed, 2 groups, 2 classes
    >>> second = np.array([[[[6, 4], [2, 8]], [[7, 3], [2, 8]]]])
    >>> print(contributions(first, second, "UA"))
    [7.5 0. ]
    """
    first, second = same_seeds([first, second])
    a, b = first.sum(axis=1), second.sum(axis=1)
    figure = METRICS[metric]
    whole = (figure(a) - figure(b)).mean(axis=0)
    moved = second - first
    swapped = (figure(a[:, None] + moved) - figure(b[:, None] - moved)).mean(axis=0)
    return (whole - swapped) / 2


def p_values(parts: np.ndarray, swaps: np.ndarray) -> np.ndarray:
    """Two-sided p of differences that are sums over groups.

    p is the share of swaps under which the difference is at least as large in size as the one seen (Pitman 1937); from
    1/P to 1.

    Args:
        parts: (G, n) contributions to n differences.
        swaps: (P, G) of `signs`.

    Returns:
        (n,); NaN where a difference is undefined.

    >>> print(p_values(np.array([[1.0], [2.0], [3.0]]), signs(3)))
    [0.25]
    """
    seen = np.abs(parts.sum(axis=0)) - ROUNDING * np.abs(parts).sum(axis=0)
    reached = sum((np.abs(rows @ parts) >= seen).sum(axis=0) for rows in chunks(swaps, parts.shape[1]))
    return np.where(np.isnan(seen), np.nan, reached / len(swaps))


def swap_test(first: np.ndarray, second: np.ndarray, metric: str, swaps: np.ndarray) -> float:
    """Two-sided p of the difference of two systems in a pooled metric, for any metric.

    p is the share of swaps under which the difference is at least as large in size as the one seen (Pitman 1937); from
    1/P to 1, and NaN where the difference is undefined.

    Args:
        first, second: (S, G, ...) additive statistics of the same utterances; the numbers of seeds may differ.
        swaps: (P, G) of `signs`.

    >>> first = np.array([[[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]])
    >>> second = np.array([[[[6, 4], [2, 8]], [[6, 4], [3, 7]], [[7, 3], [3, 7]]]])
    >>> swap_test(first, second, "UA", signs(3))
    0.25
    """
    if METRICS[metric].linear:
        return float(p_values(contributions(first, second, metric)[:, None], swaps)[0])
    first, second = same_seeds([first, second])
    shape, figure = first.shape[2:], METRICS[metric]
    middle = (first + second).sum(axis=1) / 2
    halves = ((first - second) / 2).reshape(*first.shape[:2], -1)
    differences = []
    for rows in chunks(swaps, halves[:, 0].size):
        moved = (rows @ halves).reshape(len(first), len(rows), *shape)
        differences.append((figure(middle[:, None] + moved) - figure(middle[:, None] - moved)).mean(axis=0))
    sizes = np.abs(np.concatenate(differences))
    return float(np.mean(sizes >= sizes[0] * (1 - ROUNDING))) if np.isfinite(sizes[0]) else np.nan


def chunks(swaps: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """Swaps (c, G) as float64, as many at once as fit where each makes up to `width` numbers; one at least.

    >>> [len(some) for some in chunks(signs(4), 1_000_000)]
    [2, 2, 2, 2]
    """
    step = max(1, HELD // max(width, swaps.shape[1], 1))
    for start in range(0, len(swaps), step):
        yield swaps[start : start + step].astype(np.float64)
