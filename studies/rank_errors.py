"""Ranks of many upstreams: how often is any false difference called significant, and how many true ones are found?

    python studies/rank_errors.py [--draws 400] [--upstreams 8 40 200] [--groups 6 10 24 100 1000]

Every draw is a corpus of groups (speakers) with 40 utterances each, answered by all upstreams; groups differ in how
well they are recognised, and upstreams in how well they recognise a group. Where upstreams are equal:

    exchangeable   all alike
    few speakers   each fails on one speaker in seven, at random
    of two kinds   half of them 20 points better than the others; counted are differences within a half

and where their accuracy rises evenly from the worst to the best by 25 points, the share of pairs that truly differ by
10 points or more and are found (`power`), beside the same of Holm's adjustment of every pair's own p. Then the false
ones in a metric that is computed anew for every swap and in means over corpora; and the time of all pairs of 200
upstreams. These figures stand in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from leaderboard.comparison.familywise import Part, all_pairs, of_systems
from leaderboard.comparison.permutation import DRAWS, ENUMERATED, signs

KINDS = ("exchangeable", "few speakers", "of two kinds")
UTTERANCES = 40
SHARES = (0.4, 0.3, 0.2, 0.1)  # of four classes
CORPORA = (6, 10, 24, 29)  # groups of EMOVO, EmoDB, RAVDESS, URDU
SWAPS = 2000  # of a draw here, where there are more: the errors are those of 10,000 swaps, a little more uncertain


def draw(random: np.random.Generator, groups: int, upstreams: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(G, K) parts of accuracy, in points, and the (K,) true effects of the upstreams."""
    voice = 0.8 + 0.6 * random.normal(size=(groups, 1))
    own = 0.4 * random.normal(size=(groups, upstreams))
    place = np.arange(upstreams) / max(upstreams - 1, 1)
    effect = {"of two kinds": 1.1 * (place > 0.5), "even": 1.3 * place}.get(kind, 0 * place)
    if kind == "few speakers":
        own = np.where(random.random(own.shape) < 1 / 7, -2.0, 0.3)
    right = random.binomial(UTTERANCES, expit(voice + own + effect))
    return 100 * right / UTTERANCES / groups, effect


def swaps_of(groups: int) -> np.ndarray:
    swaps = signs(groups)
    return swaps if groups <= ENUMERATED else swaps[: SWAPS + 1]


def false_alarms(groups: int, upstreams: int, kind: str, draws: int) -> float:
    """Share of draws in which any two equal upstreams differ significantly."""
    random, swaps, alarms = np.random.default_rng(1), swaps_of(groups), 0
    for _ in range(draws):
        own, effect = draw(random, groups, upstreams, kind)
        first, second = np.triu_indices(upstreams, 1)
        alarms += bool((of_systems(own, swaps).adjusted[effect[first] == effect[second]] <= 0.05).any())
    return alarms / draws


def holm(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for all n tests, family-wise (Holm 1979): what was used before; an undefined one counts as 1.

    The k-th smallest is multiplied by n - k + 1, and none falls below a smaller one's.
    """
    p = np.nan_to_num(np.asarray(p, dtype=np.float64), nan=1.0)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    ordered = np.empty_like(p)
    ordered[order] = np.minimum(adjusted, 1.0)
    return ordered


def power(groups: int, upstreams: int, draws: int) -> tuple[float, float]:
    """Share of the pairs that truly differ by 10 points or more and are found; the same by Holm's adjustment."""
    random, swaps, shares = np.random.default_rng(1), swaps_of(groups), []
    truth = 100 * expit(0.8 + 0.7 * random.normal(size=(20000, 1)) + draw(random, 2, upstreams, "even")[1]).mean(0)
    first, second = np.triu_indices(upstreams, 1)
    far = np.abs(truth[first] - truth[second]) >= 10
    for _ in range(draws):
        tested = of_systems(draw(random, groups, upstreams, "even")[0], swaps)
        single = tested.p if groups <= ENUMERATED else np.maximum(tested.p - 1 / len(swaps), 1 / (DRAWS + 1))
        shares.append([(p[far] <= 0.05).mean() for p in (tested.adjusted, holm(single))])
    return tuple(np.mean(shares, axis=0))


def whole_counts(random: np.random.Generator, groups: int, upstreams: int, kind: str) -> list[np.ndarray]:
    """For every upstream (1, G, C, C) counts; all are equal on average in every class."""
    n = 1 + random.multinomial(UTTERANCES, SHARES, size=groups)
    own = 0.4 * random.normal(size=(upstreams, groups, 1))
    if kind == "few speakers":
        own = np.where(random.random(own.shape) < 1 / 7, -2.0, 0.3)
    voice = 0.8 + 0.6 * random.normal(size=(groups, 1)) + 0.3 * random.normal(size=(upstreams, groups, len(SHARES)))
    right = random.binomial(n, expit(voice + own))
    counts = np.zeros((upstreams, 1, groups, len(SHARES), len(SHARES)))
    for c in range(len(SHARES)):
        counts[:, 0, :, c, c], counts[:, 0, :, c, c - 1] = right[..., c], n[:, c] - right[..., c]
    return list(counts)


def false_alarms_of(metric: str, corpora: Sequence[int], upstreams: int, kind: str, draws: int) -> float:
    """Share of draws in which any two differ significantly in the mean of a metric over corpora of so many groups."""
    random, alarms = np.random.default_rng(1), 0
    starts = np.cumsum([0, *corpora])
    for _ in range(draws):
        parts = [
            Part(whole_counts(random, groups, upstreams, kind), start + np.arange(groups), 1 / len(corpora))
            for groups, start in zip(corpora, starts, strict=False)
        ]
        alarms += bool((all_pairs(parts, metric, int(starts[-1])).adjusted <= 0.05).any())
    return alarms / draws


def timed(metric: str, groups: int, upstreams: int = 200) -> str:
    """Seconds and memory of all pairs of upstreams that answered 7,000 utterances of 6 classes."""
    random = np.random.default_rng(0)
    right = random.binomial(7000 // groups // 6 + 1, 0.5 + 0.2 * np.arange(upstreams)[:, None, None] / upstreams,
                            (upstreams, groups, 6))  # fmt: skip
    counts = np.zeros((upstreams, 1, groups, 6, 6))
    for c in range(6):
        counts[:, 0, :, c, c], counts[:, 0, :, c, c - 1] = right[..., c], 7000 // groups // 6 + 1 - right[..., c]
    started = time.perf_counter()
    all_pairs([Part(list(counts), np.arange(groups))], metric, groups)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds = time.perf_counter() - started
    return f"{metric}, {upstreams} upstreams, {groups} groups: {seconds:.1f} s, peak memory {peak:.2f} GB"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--draws", type=int, default=400)
    options.add_argument("--upstreams", type=int, nargs="+", default=[8, 40, 200])
    options.add_argument("--groups", type=int, nargs="+", default=[6, 10, 24, 100, 1000])
    options.add_argument("--timed", type=int, default=200, help="upstreams of the timing")
    chosen = options.parse_args()
    print(f"percent; draws: {chosen.draws}, a quarter of them with 100 upstreams or more")
    print(f"{'groups':<34}" + "".join(f"{g:>8}" for g in chosen.groups))
    for upstreams in chosen.upstreams:
        draws = max(chosen.draws // (4 if upstreams >= 100 else 1), 1)
        for kind in KINDS:
            row = "".join(f"{100 * false_alarms(g, upstreams, kind, draws):8.1f}" for g in chosen.groups)
            print(f"{f'{upstreams} upstreams, false: {kind}':<34}{row}", flush=True)
        several = np.array([power(g, upstreams, max(draws // 4, 1)) for g in chosen.groups]).T
        for words, figures in zip(("power", "power, Holm"), several, strict=True):
            print(f"{f'{upstreams} upstreams, {words}':<34}" + "".join(f"{100 * f:8.1f}" for f in figures), flush=True)
    draws = max(chosen.draws // 2, 1)
    for metric, corpora in (("macro_F1", (10,)), ("macro_F1", (24,)), ("UA", CORPORA), ("macro_F1", CORPORA)):
        alarms = [f"{kind} {100 * false_alarms_of(metric, corpora, 8, kind, draws):.1f}" for kind in KINDS[:2]]
        print(f"8 upstreams, {metric}, groups {' + '.join(map(str, corpora))}, false: {', '.join(alarms)}", flush=True)
    for metric, groups in (("UA", 24), ("UA", 1000), ("macro_F1", 24)):
        print(timed(metric, groups, chosen.timed), flush=True)


if __name__ == "__main__":
    main()
