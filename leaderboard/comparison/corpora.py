"""Ranks over several corpora: on further speakers of these corpora, and on further corpora."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from commons.corridors.record import Task
from commons.metrics import METRICS
from leaderboard.comparison.answers import Answer, family_of
from leaderboard.comparison.familywise import Part, all_pairs, of_columns
from leaderboard.comparison.permutation import signs, smallest_p
from leaderboard.comparison.standings import Pair, pairs_of, ranks_of
from leaderboard.comparison.statistics import Effect, effect, over_draws, spread_of_mean
from leaderboard.records.intervals import bounded, freedom, leave_one_out, shares


@dataclass(frozen=True)
class Across:
    """Upstreams over several corpora, best first; every corpus family has one vote.

    A mean is (1/F) sum_f (1/T_f) sum_t figure_t over F corpus families with T_f tasks each, in the unit of the metric
    and within its limits. All pairs of upstreams are tested two times (Westfall and Young 1993): on further speakers by
    swaps of groups (`all_pairs`), and on further corpora by swaps of families, whose differences are one draw each.
    Ranks, from 1 to K, follow from each as `rank_intervals` says.

    `pairs`: on further speakers of these corpora. `pairs_corpora`: on further corpora, a family being a draw.
    `clean`: means over the tasks on which none of these upstreams is known to be contaminated (None: there is no such
    task, or a mean is undefined).
    """

    metric: str
    families: dict[str, list[str]]  # family: its tasks
    upstreams: list[str]
    means: list[Effect]
    clean_tasks: list[str]
    clean: list[float | None] | None
    incomplete: dict[str, list[str]]  # upstream left out: the tasks it lacks
    pairs: list[Pair]
    needed: float
    ranks: list[int]
    last: list[int]
    pairs_corpora: list[Pair]
    ranks_corpora: list[int]
    last_corpora: list[int]
    smallest_p: float
    smallest_p_corpora: float


def across(parts: Sequence[Sequence[Answer]]) -> Across:
    """Means and ranks, as `Across` says, over several tasks of one headline metric and head.

    An upstream must have every task. Each of `parts` holds the answers of one task, on the same utterances.

    >>> from types import SimpleNamespace as Plain
    >>> def answer(task, upstream, counts):  # the same counts in each of 6 speakers
    ...     asked = Plain(name=task, family=task, corpus=task, headline="UA")
    ...     record = Plain(cell=Plain(upstream=upstream), task=asked, marks=[])
    ...     return Answer(record, np.array([[counts] * 6]), list("abcdef"))
    >>> counts = {"good": [[9, 1], [1, 9]], "poor": [[7, 3], [3, 7]]}
    >>> seen = across([[answer(task, *item) for item in counts.items()] for task in ("emodb", "emovo")])
    >>> seen.upstreams, [round(mean.value, 1) for mean in seen.means], seen.ranks, seen.ranks_corpora
    (['good', 'poor'], [90.0, 70.0], [1, 2], [1, 1])
    """
    tasks = [part[0].record.task for part in parts]
    metric = tasks[0].headline
    by_task = [{a.upstream: a for a in part} for part in parts]
    incomplete, families = _incomplete(tasks, by_task), _families(tasks)
    names = sorted(set().union(*by_task) - set(incomplete))
    values = {u: np.array([float(METRICS[metric](own[u].statistics.sum(1)).mean()) for own in by_task]) for u in names}
    weights = np.array([1 / len(families) / len(families[family_of(task)]) for task in tasks])
    sign = 1 if METRICS[metric].higher_is_better else -1
    names.sort(key=lambda u: (np.isnan(values[u] @ weights), -sign * float(values[u] @ weights), u))
    complete = [[own[u] for u in names] for own in by_task]  # for every task the same upstreams, best first
    differences = {(u, v): values[u] - values[v] for u, v in itertools.combinations(names, 2)}

    of_means = {couple: float(moved @ weights) for couple, moved in differences.items()}
    pairs, smallest, needed = _pairs_of_speakers(complete, metric, families, of_means)
    pairs_corpora = _pairs_of_corpora({couple: _votes(moved, tasks, families) for couple, moved in differences.items()})
    (ranks, last), (ranks_corpora, last_corpora) = (ranks_of(names, own, metric) for own in (pairs, pairs_corpora))
    clean_tasks, clean = _clean(complete, tasks, families, [values[u] for u in names])
    return Across(
        metric=metric,
        families=families,
        upstreams=names,
        means=[mean_over(list(own)) for own in zip(*complete, strict=True)],
        clean_tasks=clean_tasks,
        clean=clean,
        incomplete=incomplete,
        pairs=pairs,
        needed=needed,
        ranks=ranks,
        last=last,
        pairs_corpora=pairs_corpora,
        ranks_corpora=ranks_corpora,
        last_corpora=last_corpora,
        smallest_p=smallest,
        smallest_p_corpora=smallest_p(len(families)),
    )


def _families(tasks: Iterable[Task]) -> dict[str, list[str]]:
    """family: the names of its tasks."""
    families: dict[str, list[str]] = {}
    for task in tasks:
        families.setdefault(family_of(task), []).append(task.name)
    return families


def _incomplete(tasks: Sequence[Task], by_task: Sequence[Mapping[str, Answer]]) -> dict[str, list[str]]:
    """Upstreams that lack some of the tasks, each with those it lacks."""
    lacking = {
        upstream: [task.name for task, own in zip(tasks, by_task, strict=True) if upstream not in own]
        for upstream in sorted(set().union(*by_task))
    }
    return {upstream: names for upstream, names in lacking.items() if names}


def _pairs_of_speakers(
    complete: Sequence[list[Answer]],
    metric: str,
    families: dict[str, list[str]],
    differences: Mapping[tuple[str, str], float],
) -> tuple[list[Pair], float, float]:
    """All pairs, tested on further speakers of these corpora; the smallest p that there can be; what is `needed`.

    Args:
        complete: for every task the answers of the same upstreams in the same order.
        differences: of the means of every pair, in the order of itertools.combinations.
    """
    if not differences:
        return [], smallest_p(0), np.nan
    spread = {own[0].upstream: _deviations(own, metric, families) for own in map(list, zip(*complete, strict=True))}
    freedoms = _freedoms([own[0] for own in complete], metric, families)
    effects = [
        effect(
            difference,
            *spread_of_mean({family: spread[u][family] - spread[v][family] for family in families}, freedoms),
        )
        for (u, v), difference in differences.items()
    ]
    parts, groups = _parts(complete, families)
    tested = all_pairs(parts, metric, groups)
    return pairs_of(list(differences), effects, tested), tested.smallest, tested.needed


def _pairs_of_corpora(votes: Mapping[tuple[str, str], np.ndarray]) -> list[Pair]:
    """All pairs, tested on further corpora; `votes`: for every pair the (F,) differences of the corpus families."""
    if not votes:
        return []
    columns = np.stack(list(votes.values()), 1)
    tested = of_columns(columns / len(columns), signs(len(columns)))
    return pairs_of(list(votes), [over_draws(columns[:, i]) for i in range(len(votes))], tested)


def _clean(
    complete: Sequence[list[Answer]],
    tasks: Sequence[Task],
    families: dict[str, list[str]],
    values: Sequence[np.ndarray],
) -> tuple[list[str], list[float | None] | None]:
    """The tasks on which none of these upstreams is known to be contaminated, and every upstream's mean over them.

    No means where there is no such task; None for a mean that is undefined.

    Args:
        values: for every upstream its (T,) figures of the tasks.
    """
    dirty = {
        a.record.task.name for own in complete for a in own if any(m.startswith("contaminated") for m in a.record.marks)
    }
    clean_tasks = [task.name for task in tasks if task.name not in dirty]
    if not clean_tasks:
        return clean_tasks, None
    kept = {f: [t for t in members if t not in dirty] for f, members in families.items()}
    kept = {f: members for f, members in kept.items() if members}
    means = [float(np.mean(_votes(own, tasks, kept))) for own in values]
    return clean_tasks, [mean if np.isfinite(mean) else None for mean in means]


def mean_over(members: Sequence[Answer]) -> Effect:
    """One upstream's mean over corpus families (of each the mean of its tasks), with a 95 % interval over their groups.

    The mean is (1/F) sum_f (1/T_f) sum_t figure_t, within the metric's limits. Its standard error and degrees of
    freedom are those of `spread_of_mean` (Welch 1947), its interval that of `bounded`.

    Args:
        members: the upstream's answers, one a task.

    >>> from types import SimpleNamespace as Plain
    >>> def answer(task, statistics):
    ...     record = Plain(cell=Plain(upstream="a"), task=Plain(name=task, family=task, corpus=task, headline="UA"))
    ...     return Answer(record, np.array([statistics]), [f"speaker {i}" for i in range(len(statistics))])
    >>> first = [[[8, 2], [1, 9]], [[7, 3], [2, 8]], [[9, 1], [0, 10]]]  # 3 groups, 2 classes
    >>> second = [[[6, 4], [2, 8]], [[6, 4], [3, 7]], [[7, 3], [3, 7]]]
    >>> seen = mean_over([answer("emodb", first), answer("emovo", second)])
    >>> print(f"{seen.value:.1f} [{seen.low:.1f}, {seen.high:.1f}]")
    76.7 [63.6, 86.1]
    """
    metric = members[0].record.task.headline
    families = _families([member.record.task for member in members])
    values = {m.record.task.name: float(METRICS[metric](m.statistics.sum(1)).mean()) for m in members}
    value = float(np.mean([np.mean([values[name] for name in names]) for names in families.values()]))
    error, df = spread_of_mean(_deviations(members, metric, families), _freedoms(members, metric, families))
    low, high = bounded(value, error, df, METRICS[metric].limits)
    return Effect(value, float(low), float(high), error)


def _keys(members: Sequence[Answer]) -> list[str]:
    """Groups of a family: a speaker of two of its tasks is one group."""
    return sorted(set().union(*(m.groups for m in members)))


def _deviations(members: Sequence[Answer], metric: str, families: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """family: (G,) by how much its mean over tasks moves when a group is left out of all of them."""
    deviations = {}
    for family, names in families.items():
        own = [m for m in members if m.record.task.name in names]
        groups = _keys(own)
        moved = np.zeros(len(groups))
        for member in own:
            value, without = leave_one_out(member.statistics, METRICS[metric])
            moved[np.searchsorted(groups, member.groups)] += (without - value) / len(own)
        deviations[family] = moved
    return deviations


def _freedoms(members: Sequence[Answer], metric: str, families: dict[str, list[str]]) -> dict[str, float]:
    """family: degrees of freedom of its mean over tasks, by the mean share of every group in them."""
    freedoms = {}
    for family, names in families.items():
        own = [m for m in members if m.record.task.name in names]
        groups = _keys(own)
        share = np.zeros(len(groups))
        for member in own:
            share[np.searchsorted(groups, member.groups)] += shares(member.statistics[0], METRICS[metric]) / len(own)
        freedoms[family] = float(freedom(share))
    return freedoms


def _parts(by_task: Sequence[list[Answer]], families: dict[str, list[str]]) -> tuple[list[Part], int]:
    """The parts of a mean over families, and how many groups they have; a speaker of two tasks of a family is one.

    Args:
        by_task: for every task the answers of the same upstreams in the same order.
    """
    parts: list[Part] = []
    total = 0
    for names in families.values():
        own = [answers for answers in by_task if answers[0].record.task.name in names]
        groups = _keys([answers[0] for answers in own])
        for answers in own:
            at = total + np.searchsorted(groups, answers[0].groups)
            parts.append(Part([a.statistics for a in answers], at, 1 / len(own) / len(families)))
        total += len(groups)
    return parts, total


def _votes(values: np.ndarray, tasks: Sequence[Task], families: dict[str, list[str]]) -> np.ndarray:
    """(F,) mean of every family's tasks."""
    at = {task.name: i for i, task in enumerate(tasks)}
    return np.array([np.mean([values[at[name]] for name in members]) for members in families.values()])
