"""Tests of many pairs of systems at once, with p adjusted for all of them (Westfall and Young 1993).

One coin for each group decides for all pairs together whether their two systems swap their predictions of that group.
A pair's statistic is T = |difference| / s. Its adjusted p is the share of swaps in which the largest T of this pair and
all pairs with a smaller T is at least its own: the step-down max-T. At a level of 0.05, a false difference appears
anywhere among the pairs in at most about 5 % of draws of groups. The smallest possible p does not depend on the number
of pairs: it is that of one pair alone.

s^2 = (10 M + G sum_g d_g^2) / (10 + G), with d_g the part of group g in the difference, G the number of groups and M
the median over pairs of sum_g d_g^2. With few groups the spread of a single pair is uncertain, so the spread of all
pairs takes part in it with the weight of 10 groups. A swap changes the sign of a d_g and no d_g^2, so s stays the same.
studies/rank_errors.py measures the errors and the power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from commons.metrics import METRICS
from leaderboard.comparison.permutation import ENUMERATED, HELD, ROUNDING, chunks, contributions, signs
from leaderboard.records.intervals import same_seeds

LEVEL = 0.05
PRIOR = 10  # groups: the weight of the median spread of all pairs
FEWER = 2_000  # swaps of metrics that are computed anew for each, beyond
MANY = 500  # pairs

Differences = Callable[[np.ndarray], np.ndarray]  # (c, G) swaps -> (c, n) differences of n pairs


@dataclass(frozen=True)
class Tested:
    """The tests of n pairs.

    Attributes:
        p: (n,) of every pair alone, two-sided; NaN where a difference is undefined.
        adjusted: (n,) family-wise over all of them; 1 where undefined.
        needed: the difference that the median pair would need to be significant among all pairs, in the metric's
            unit; infinite where no difference could be, NaN without pairs.
        smallest: the smallest p that there can be, 1/P with P swaps.
    """

    p: np.ndarray
    adjusted: np.ndarray
    needed: float
    smallest: float


@dataclass(frozen=True)
class Couple:
    """Two systems on one task: (S, G, ...) statistics of each, their metric, and the (G,) places of the groups."""

    first: np.ndarray
    second: np.ndarray
    metric: str
    at: np.ndarray


@dataclass(frozen=True)
class Part:
    """The systems' statistics on one task of a mean over tasks.

    Attributes:
        systems: for each of K systems (S, G, ...) additive statistics of the same utterances; S may differ.
        at: (G,) the place of every group among the groups of all parts (the columns of the swaps).
        weight: of the task in the mean.
    """

    systems: Sequence[np.ndarray]
    at: np.ndarray
    weight: float = 1.0


def step_down(
    differences: Differences, squares: np.ndarray, swaps: np.ndarray, prior: float = PRIOR, width: int = 0
) -> Tested:
    """Test n pairs together, with adjusted p by the step-down max-T (Westfall and Young 1993).

    T, s and the adjusted p are defined at the top of this module; p and adjusted p are from 1/P to 1.

    Args:
        differences: the n differences under some swaps.
        squares: (n,) sum over groups of the squared parts d_g of each difference.
        swaps: (P, G) of `signs`; the first row swaps nothing.
        prior: weight of the median spread, in groups; 0 where the differences have no common unit.
        width: numbers that `differences` holds for each swap, besides the swap and its result.

    >>> parts = np.array([[1.0, 0.5], [2.0, -0.5], [3.0, 0.5], [2.0, 0.0]])  # 4 groups, 2 differences
    >>> tested = step_down(lambda rows: rows @ parts, (parts**2).sum(0), signs(4))
    >>> print(tested.p, tested.adjusted)
    [0.125 1.   ] [0.125 1.   ]
    """
    n, groups = len(squares), swaps.shape[1]
    if not n:
        return Tested(np.empty(0), np.empty(0), np.nan, 1 / len(swaps))
    known = np.isfinite(squares) & (squares > 0)
    shared = np.median(squares[known]) if known.any() else 0.0
    scale = np.sqrt((prior * shared + groups * np.where(known, squares, 0.0)) / (prior + groups))
    whole = differences(swaps[:1].astype(np.float64))[0]
    undefined = np.isnan(whole)
    with np.errstate(divide="ignore"):
        factor = np.where(known & ~undefined, 1 / scale, 0.0)
    seen = np.abs(np.where(undefined, 0.0, whole)) * factor
    least = seen - ROUNDING * np.sqrt(groups)  # swaps that tie with what was seen count as tied
    order = np.argsort(seen, kind="stable")
    alone, together, largest = np.zeros(n), np.zeros(n), []
    for rows in chunks(swaps, max(n, width)):
        sizes = np.abs(np.nan_to_num(differences(rows), copy=False)) * factor
        alone += (sizes >= least).sum(axis=0)
        sizes = np.maximum.accumulate(sizes[:, order], axis=1)
        together[order] += (sizes >= least[order]).sum(axis=0)
        largest.append(sizes[:, -1].copy())  # a view would hold all of it
    adjusted = np.empty(n)
    adjusted[order] = np.maximum.accumulate((together[order] / len(swaps))[::-1])[::-1]
    p = np.where(undefined, np.nan, alone / len(swaps))
    limit = _critical(np.concatenate(largest)[1:], len(swaps))
    needed = limit * np.median(scale[known]) if known.any() else np.nan
    return Tested(p, np.where(undefined, 1.0, adjusted), float(needed), 1 / len(swaps))


def _critical(largest: np.ndarray, swaps: int) -> float:
    """The T from which on a pair is significant; `largest`: (P - 1,) largest T of all swaps but the first."""
    allowed = int(np.floor(LEVEL * swaps + 1e-9)) - 1  # besides the first, which is always as large
    if allowed < 0:
        return np.inf
    return float(np.sort(largest)[::-1][allowed]) if allowed < len(largest) else 0.0


def swaps_for(metric: str, groups: int, systems: int) -> np.ndarray:
    """(P, G) swaps that test all pairs of some systems: `signs`, and fewer of them where these would take too long.

    >>> swaps_for("UA", 6, 3).shape, swaps_for("macro_F1", 24, 40).shape
    ((32, 6), (2001, 24))
    """
    swaps = signs(groups)
    slow = not METRICS[metric].linear and systems * (systems - 1) // 2 > MANY and groups > ENUMERATED
    return swaps[: FEWER + 1] if slow else swaps


def of_columns(parts: np.ndarray, swaps: np.ndarray) -> Tested:
    """Test n differences together that are sums over groups, as `step_down` does (Westfall and Young 1993).

    Args:
        parts: (G, n); difference i is the sum of its column.
        swaps: (P, G) of `signs`.

    >>> print(of_columns(np.array([[1.0, 0.5], [2.0, -0.5], [3.0, 0.5], [2.0, 0.0]]), signs(4)).adjusted)
    [0.125 1.   ]
    """
    return step_down(lambda rows: rows @ parts, (parts**2).sum(axis=0), swaps)


def of_systems(own: np.ndarray, swaps: np.ndarray) -> Tested:
    """Test all pairs of K systems, in the order of itertools.combinations (Westfall and Young 1993).

    Args:
        own: (G, K); the part of group g in the difference of systems i and j is own[g, i] - own[g, j].
        swaps: (P, G) of `signs`.

    >>> print(of_systems(np.array([[3.0, 1.0, 1.0]] * 4), signs(4)).adjusted)
    [0.125 0.125 1.   ]
    """
    first, second = np.triu_indices(own.shape[1], 1)

    def differences(rows: np.ndarray) -> np.ndarray:
        figures = rows @ own
        return figures[:, first] - figures[:, second]

    squares = [((own[:, i, None] - own[:, i + 1 :]) ** 2).sum(axis=0) for i in range(own.shape[1])]
    return step_down(differences, np.concatenate([*squares, np.empty(0)]), swaps)


def all_pairs(parts: Sequence[Part], metric: str, groups: int) -> Tested:
    """Test all pairs of K systems in the mean of a metric over tasks, in the order of itertools.combinations.

    Linear metrics are sums over groups. Others are computed anew for every swap, pair and task. The adjusted p is that
    of `step_down` (Westfall and Young 1993), from 1/P to 1.

    Args:
        parts: a part for every task, all with the same systems.
        groups: how many there are in all parts together.

    >>> first = np.array([[[[8, 2], [1, 9]]] * 6])  # 1 seed, 6 groups, 2 classes
    >>> second = np.array([[[[6, 4], [2, 8]]] * 6])
    >>> all_pairs([Part([first, second], np.arange(6))], "UA", 6).adjusted.tolist()
    [0.03125]
    """
    swaps = swaps_for(metric, groups, len(parts[0].systems))
    if METRICS[metric].linear:
        own = np.zeros((groups, len(parts[0].systems)))
        for part in parts:
            shares = [contributions(system, part.systems[0], metric) for system in part.systems]
            own[part.at] += part.weight * np.stack(shares, axis=1)
        return of_systems(own, swaps)
    several = [Part(same_seeds(part.systems), part.at, part.weight) for part in parts]
    squares, moved = list(_squares(several, metric, groups)), [_Swapped(part, metric) for part in several]

    def differences(rows: np.ndarray) -> np.ndarray:
        return sum((part.weight * own(rows) for part, own in zip(several, moved, strict=True)), np.zeros(()))

    width = max(own.width for own in moved)
    return step_down(differences, np.concatenate([*squares, np.empty(0)]), swaps, width=width)


def of_couples(couples: Sequence[Couple], groups: int) -> Tested:
    """Test pairs of systems on several tasks together; their metrics may differ, so every spread is its own.

    The adjusted p is that of `step_down` (Westfall and Young 1993), from 1/P to 1.

    Args:
        groups: how many there are in all tasks together; a group of several tasks is swapped in all of them at once.

    >>> first = np.array([[[[8, 2], [1, 9]]] * 6])  # 1 seed, 6 groups, 2 classes
    >>> second = np.array([[[[6, 4], [2, 8]]] * 6])
    >>> of_couples([Couple(first, second, metric, np.arange(6)) for metric in ("UA", "macro_F1")], 6).adjusted.tolist()
    [0.03125, 0.03125]
    """
    parts = [Part(same_seeds([c.first, c.second]), c.at) for c in couples]
    squares = [next(_squares([part], c.metric, groups)) for part, c in zip(parts, couples, strict=True)]
    columns, anew = np.zeros((groups, len(couples))), {}
    for index, couple in enumerate(couples):
        if METRICS[couple.metric].linear:
            columns[couple.at, index] = contributions(couple.first, couple.second, couple.metric)
        else:
            anew[index] = _Swapped(parts[index], couple.metric)

    def differences(rows: np.ndarray) -> np.ndarray:
        moved = rows @ columns
        for index, own in anew.items():
            moved[:, index] = own(rows)[:, 0]
        return moved

    width = max((own.width for own in anew.values()), default=0)
    return step_down(differences, np.concatenate([*squares, np.empty(0)]), signs(groups), prior=0, width=width)


class _Swapped:
    """The differences of all pairs of a part's systems under some swaps, every figure computed from its own sums.

    Attributes:
        width: numbers that are held for each swap.
    """

    def __init__(self, part: Part, metric: str) -> None:
        systems = np.stack(list(part.systems))  # (K, S, G, ...)
        self._figure, self._at = METRICS[metric], part.at
        self._flat = np.moveaxis(systems, 2, 0).reshape(systems.shape[2], -1)  # (G, K S ...)
        self._shape = (*systems.shape[:2], *systems.shape[3:])
        self.width = 2 * self._flat.shape[1]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(c, pairs) differences under swaps of all groups, (c, G)."""
        own, number = rows[:, self._at], self._shape[0]
        kept, given = (((1 + sign * own) / 2 @ self._flat).reshape(len(rows), *self._shape) for sign in (1, -1))
        moved = np.empty((len(rows), number * (number - 1) // 2))
        for some in _slices(len(rows), self._flat.shape[1]):
            start = 0
            for i in range(number - 1):
                here = slice(start, start := start + number - 1 - i)
                first = self._figure(kept[some, i, None] + given[some, i + 1 :])
                second = self._figure(kept[some, i + 1 :] + given[some, i, None])
                moved[some, here] = (first - second).mean(axis=-1)
        return moved


def _slices(rows: int, width: int) -> Iterator[slice]:
    """Slices of `rows` rows of `width` numbers, each small enough for a processor's cache."""
    step = max(1, HELD // 20 // width)
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _squares(parts: Sequence[Part], metric: str, groups: int) -> Iterator[np.ndarray]:
    """For every system, sum_g d_g^2 of its pairs with the later ones; d_g: the difference that group g alone makes
    where both systems are their mean in all other groups. A swap of any groups moves no d_g^2."""
    figure = METRICS[metric]
    for i in range(len(parts[0].systems) - 1):
        moved = np.zeros((groups, len(parts[0].systems) - 1 - i))
        for part in parts:
            for other, system in enumerate(part.systems[i + 1 :]):
                middle = (part.systems[i] + system).sum(axis=1, keepdims=True) / 2
                half = (part.systems[i] - system) / 2
                alone = (figure(middle + half) - figure(middle - half)).mean(axis=0)
                moved[part.at, other] += part.weight * alone
        yield (moved**2).sum(axis=0)
