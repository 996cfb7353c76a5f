"""Ranks on one task: every pair of upstreams is tested, and a rank counts who is significantly better."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from commons.metrics import METRICS
from leaderboard.comparison.answers import Answer, family_of
from leaderboard.comparison.familywise import Couple, Part, Tested, all_pairs, of_couples
from leaderboard.comparison.permutation import signs, swap_test
from leaderboard.comparison.ranks import rank_intervals
from leaderboard.comparison.statistics import Effect, between, detectable, difference
from leaderboard.records.intervals import freedom, leave_one_out, shares

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Pair:
    """Two upstreams: the first's figure minus the second's; p, and p adjusted for all pairs shown (familywise.py)."""

    first: str
    second: str
    effect: Effect
    p: float
    adjusted: float

    @property
    def significant(self) -> bool:
        return self.adjusted <= SIGNIFICANT


def significant_pairs(pairs: Sequence[Pair]) -> int:
    """How many pairs differ significantly, 0 to all: adjusted p <= 0.05. Where it is 0, tables show no ranks.

    >>> seen = Effect(5.0, 1.0, 9.0, 2.0)
    >>> significant_pairs([Pair("a", "b", seen, 0.01, 0.03), Pair("a", "c", seen, 0.04, 0.08)])
    1
    """
    return sum(pair.significant for pair in pairs)


@dataclass(frozen=True)
class Standing:
    """The upstreams of one question and head, best first, and all their pairs."""

    answers: list[Answer]
    pairs: list[Pair]
    ranks: list[int]
    last: list[int]  # the last rank that each may have
    smallest_p: float
    detectable: float  # by the test of one pair; NaN where the groups are too few for any
    needed: float  # a difference that is significant among all pairs, in the median pair

    @property
    def metric(self) -> str:
        return self.answers[0].record.task.headline


def compare(couples: Sequence[tuple[Answer, Answer]]) -> list[tuple[Effect, float, float]]:
    """For each couple of answers to one question: the difference, the p of its test, and p adjusted for all couples.

    The difference is the first figure minus the second (`difference`), in the unit of the metric. p is that of
    `swap_test`, from 1/P to 1 with P swaps. The adjusted p, at least p, is that of `of_couples` (Westfall and Young
    1993); a group of several tasks of one corpus family is swapped in all of them at once.

    >>> from types import SimpleNamespace as Plain
    >>> task = Plain(name="emodb", family="emodb", corpus="emodb", headline="UA")
    >>> def answer(upstream, counts):  # the same counts in each of 6 speakers
    ...     record = Plain(cell=Plain(upstream=upstream), task=task)
    ...     return Answer(record, np.array([[counts] * 6]), list("abcdef"))
    >>> [(seen, p, adjusted)] = compare([(answer("good", [[8, 2], [1, 9]]), answer("bad", [[6, 4], [2, 8]]))])
    >>> print(f"{seen.value:.1f}, p {p}, adjusted {adjusted}")
    15.0, p 0.03125, adjusted 0.03125
    """
    keys = [[(family_of(a.record.task), group) for group in a.groups] for a, _ in couples]
    places = {key: place for place, key in enumerate(sorted(set().union(*keys)))}
    rows, alone = [], []
    for (a, b), own in zip(couples, keys, strict=True):
        first, second, metric = a.statistics, b.statistics, a.record.task.headline
        rows.append(Couple(first, second, metric, np.array([places[key] for key in own])))
        p = swap_test(first, second, metric, signs(len(own)))
        alone.append((difference(first, second, METRICS[metric]), p))
    together = of_couples(rows, len(places)).adjusted
    return [(seen, p, max(p, float(all_))) for (seen, p), all_ in zip(alone, together, strict=True)]


def standing(several: Sequence[Answer]) -> Standing:
    """Ranks of the answers to one question, from 1 to K: 1 + the number of upstreams that are significantly better.

    All pairs are tested together by swaps of groups (`all_pairs`; Westfall and Young 1993), and a pair is significant
    where its adjusted p is 0.05 or less. Ranks are those of `rank_intervals`, which also gives the last possible rank.

    Args:
        several: best first, all on the same utterances.

    >>> from types import SimpleNamespace as Plain
    >>> task = Plain(name="emodb", headline="UA")
    >>> def answer(upstream, counts):  # the same counts in each of 6 speakers
    ...     record = Plain(cell=Plain(upstream=upstream), task=task)
    ...     return Answer(record, np.array([[counts] * 6]), list("abcdef"))
    >>> counts = {"good": [[9, 1], [1, 9]], "fair": [[7, 3], [3, 7]], "poor": [[7, 3], [3, 7]]}
    >>> seen = standing([answer(*item) for item in counts.items()])
    >>> seen.ranks, seen.last, seen.smallest_p
    ([1, 2, 2], [1, 3, 3], 0.03125)
    """
    several = list(several)
    metric, n_groups, names = several[0].record.task.headline, len(several[0].groups), [a.upstream for a in several]
    alone = [leave_one_out(a.statistics, METRICS[metric]) for a in several]
    df = float(freedom(shares(several[0].statistics[0], METRICS[metric])))
    effects = [between(a, b, df) for a, b in itertools.combinations(alone, 2)]
    tested = all_pairs([Part([a.statistics for a in several], np.arange(n_groups))], metric, n_groups)
    pairs = pairs_of(list(itertools.combinations(names, 2)), effects, tested)
    ranks, last = ranks_of(names, pairs, metric)
    size = detectable(np.array([e.error for e in effects]), df)
    size = size if tested.smallest <= SIGNIFICANT else np.nan  # else no size is found
    return Standing(several, pairs, ranks, last, tested.smallest, size, tested.needed)


def pairs_of(names: Sequence[tuple[str, str]], effects: Sequence[Effect], tested: Tested) -> list[Pair]:
    """The pairs of these names, each with its difference and the p of its test, in the order given.

    >>> tested = Tested(np.array([0.01]), np.array([0.03]), 4.0, 0.001)
    >>> pairs_of([("a", "b")], [Effect(5.0, 1.0, 9.0, 2.0)], tested)[0].adjusted
    0.03
    """
    return [
        Pair(first, second, seen, float(raw), float(adjusted))
        for (first, second), seen, raw, adjusted in zip(names, effects, tested.p, tested.adjusted, strict=True)
    ]


def ranks_of(names: Sequence[str], pairs: Sequence[Pair], metric: str) -> tuple[list[int], list[int]]:
    """First and last rank, from 1 to K, that each of K upstreams may have by the significant pairs (`rank_intervals`).

    The upstream with the larger figure is the better one; in a metric where smaller is better, the other one.

    >>> seen = Effect(5.0, 1.0, 9.0, 2.0)
    >>> pairs = [Pair("a", "b", seen, 0.01, 0.03), Pair("a", "c", seen, 0.04, 0.08), Pair("b", "c", seen, 0.5, 0.5)]
    >>> ranks_of(["a", "b", "c"], pairs, "UA")
    ([1, 2, 1], [2, 3, 3])
    """
    sign = 1 if METRICS[metric].higher_is_better else -1
    better = np.zeros((len(names), len(names)), dtype=bool)
    place = {name: i for i, name in enumerate(names)}
    for pair in pairs:
        if pair.significant:
            first, second = place[pair.first], place[pair.second]
            better[(first, second) if sign * pair.effect.value > 0 else (second, first)] = True
    ranks, last = rank_intervals(better)
    return ranks.tolist(), last.tolist()
