"""Are two systems different? Their predictions are swapped for whole groups at a time.

Under the null hypothesis the two systems are exchangeable within every group (speaker, dialogue, video): who made
which predictions of a speaker is a coin's choice. A swap keeps every utterance and target in place, so no class is
ever lost, and it leaves a group's utterances together, however alike they are. For WA, UA, MAE the difference of
the pooled figures is then linear in the groups: with N_c utterances of class c in all, group g adds

    d_g = 1/C sum_c (right of the first in g, c - right of the second in g, c) / N_c

to a difference in UA, and a swap turns its sign: N_c does not move. Other metrics are computed again for every swap.
Here are two systems alone; familywise.py has many at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm

import numpy as np

from commons.metrics import METRICS

ENUMERATED = 12  # groups up to which every swap is tried
DRAWS = 10_000  # swaps drawn beyond
# Metrics whose difference is a sum over groups, targets being equal: what they divide by, a swap does not move.
LINEAR = frozenset({"WA", "UA", "MAE", "Acc2_nonneg", "Acc2_posneg", "Acc7"})
CHUNK = 1000  # swaps worked on at once
ROUNDING = 1e-9  # of the statistic: swaps that tie with what was seen count as tied


def signs(groups: int) -> np.ndarray:
    """(P, G) swaps: +1 leaves a group, -1 swaps it; the first row swaps none.

    Up to 12 groups all of them, but for those that mirror another (swapping all groups only turns the sign of the
    difference, and the test is two-sided); beyond, 10,000 drawn at random, always the same.
    """
    if groups <= ENUMERATED:
        codes = np.arange(2 ** max(groups - 1, 0))
        bits = codes[:, None] >> np.arange(groups)[None] & 1
        return (1 - 2 * bits).astype(np.int8)
    drawn = np.random.default_rng(0).integers(0, 2, (DRAWS + 1, groups), dtype=np.int8)
    drawn[0] = 0
    return 1 - 2 * drawn


def smallest_p(groups: int) -> float:
    """The smallest p that `groups` groups can give, however large the difference."""
    return max(2.0 ** (1 - groups), 1 / (DRAWS + 1) if groups > ENUMERATED else 0.0) if groups else 1.0


def contributions(first: np.ndarray, second: np.ndarray, metric: str) -> np.ndarray:
    """(G,) d_g: half of what a difference in `metric` changes by when group g alone is swapped.

    Exact for the linear metrics, whose difference is the sum of d_g; the tests use it for no others.

    Args:
        first, second: (S, G, ...) additive statistics of the same utterances; the numbers of seeds may differ.
    """
    first, second = _same_seeds(first, second)
    a, b = first.sum(axis=1), second.sum(axis=1)
    figure = METRICS[metric]
    whole = (figure(a) - figure(b)).mean(axis=0)
    moved = second - first
    swapped = (figure(a[:, None] + moved) - figure(b[:, None] - moved)).mean(axis=0)
    return (whole - swapped) / 2


def p_values(parts: np.ndarray, swaps: np.ndarray) -> np.ndarray:
    """Two-sided p of differences that are sums over groups: the share of swaps with one at least as large.

    Args:
        parts: (G, n) contributions to n differences.
        swaps: (P, G) of `signs`.

    Returns:
        (n,); NaN where a difference is undefined.
    """
    seen = np.abs(parts.sum(axis=0)) - ROUNDING * np.abs(parts).sum(axis=0)
    reached = sum((np.abs(rows @ parts) >= seen).sum(axis=0) for rows in _chunks(swaps))
    return np.where(np.isnan(seen), np.nan, reached / len(swaps))


def swap_test(first: np.ndarray, second: np.ndarray, metric: str, swaps: np.ndarray) -> float:
    """Two-sided p of the difference of two systems in a pooled metric, for any metric.

    Args:
        first, second: (S, G, ...) additive statistics of the same utterances; the numbers of seeds may differ.
        swaps: (P, G) of `signs`.
    """
    if metric in LINEAR:
        return float(p_values(contributions(first, second, metric)[:, None], swaps)[0])
    first, second = _same_seeds(first, second)
    shape, figure = first.shape[2:], METRICS[metric]
    middle = (first + second).sum(axis=1) / 2
    halves = ((first - second) / 2).reshape(*first.shape[:2], -1)
    differences = []
    for rows in _chunks(swaps):
        moved = (rows @ halves).reshape(len(first), len(rows), *shape)
        differences.append((figure(middle[:, None] + moved) - figure(middle[:, None] - moved)).mean(axis=0))
    sizes = np.abs(np.concatenate(differences))
    return float(np.mean(sizes >= sizes[0] * (1 - ROUNDING))) if np.isfinite(sizes[0]) else np.nan


def _chunks(swaps: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(swaps), CHUNK):
        yield swaps[start : start + CHUNK].astype(np.float64)


def _same_seeds(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with as many seeds, so that a group is swapped for all of them at once; means over seeds stay."""
    seeds = lcm(len(first), len(second))
    return first[np.arange(seeds) % len(first)], second[np.arange(seeds) % len(second)]
