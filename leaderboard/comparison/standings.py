"""Who is better than whom, on one task and over several: tests, ranks and what could not be told apart.

Works on the additive statistics of every group (speaker, dialogue, video), read from the predictions once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commons.corridors.record import REFERENCE, Record, Task
from commons.errors import EmorepError
from commons.metrics import METRICS
from leaderboard.comparison.familywise import Couple, Part, Tested, all_pairs, of_columns, of_couples
from leaderboard.comparison.permutation import signs, smallest_p, swap_test
from leaderboard.comparison.ranks import rank_intervals
from leaderboard.errors import LeaderboardError
from leaderboard.records.comparable import aspect, groups, question
from leaderboard.records.intervals import (
    Effect,
    between,
    bounded,
    detectable,
    difference,
    effect,
    leave_one_out,
    over_draws,
    spread_of_mean,
)

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Answer:
    """One record with the additive statistics (S, G, ...) of its seeds and groups, groups sorted by name."""

    record: Record
    statistics: np.ndarray
    groups: list[str]

    @property
    def upstream(self) -> str:
        return self.record.cell.upstream


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


def told_apart(pairs: Sequence[Pair]) -> int:
    """How many pairs differ significantly. Where it is 0, ranks say nothing, and none is shown."""
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


@dataclass(frozen=True)
class Across:
    """Upstreams over several corpora, best first; every corpus family has one vote.

    `pairs`: on further speakers of these corpora. `pairs_corpora`: on further corpora, a family being a draw.
    `clean`: means over the tasks on which none of these upstreams is contaminated (None: there is no such task).
    """

    metric: str
    families: dict[str, list[str]]  # family: its tasks
    upstreams: list[str]
    means: list[Effect]
    clean_tasks: list[str]
    clean: list[float] | None
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


def answer(results: Path, record: Record) -> Answer:
    """A record with its statistics.

    Raises:
        LeaderboardError: its predictions cannot be read or do not fit its task.
    """
    from leaderboard.records.parquet import read
    from leaderboard.records.scoring import by_group
    from leaderboard.records.store import find, path_of

    name = record.cell.upstream, record.cell.task, record.cell.downstream
    path, columns = path_of(results, *name), ["seed", "target", "prediction", "group"]
    try:
        table = read(path, record, columns)
    except LeaderboardError:
        now = find(results, *name)
        if now is None or now.files == record.files:
            raise
        record, table = now, read(path, now, columns)  # another process replaced it since it was read
    return Answer(record, *by_group(table, record.task))


def answers(results: Path, records: Sequence[Record]) -> tuple[list[list[Answer]], list[str]]:
    """The answers to every question and head, best first, without references; and what could not be read."""
    found: list[list[Answer]] = []
    problems: list[str] = []
    for measured, _ in groups(records):
        several: list[Answer] = []
        for record in measured:
            if record.cell.downstream == REFERENCE:
                continue
            try:
                mine = answer(results, record)
                same_utterances((several or [mine])[0], mine)
                several.append(mine)
            except EmorepError as error:
                problems.append(str(error))
        if several:
            found.append(several)
    return found, problems


def kinds(parts: Sequence[list[Answer]]) -> tuple[list[list[list[Answer]]], list[str]]:
    """Parts whose figures may be averaged: of one head, headline metric and aspect, one part a task.

    Of several versions of a task the one with most upstreams is taken; what is left out is said.

    Returns:
        parts of every kind, and a line for every part left out.
    """
    found: dict[tuple[str, str, str], dict[str, list[Answer]]] = {}
    left = []
    for part in sorted(parts, key=len, reverse=True):
        record = part[0].record
        if record.cell.limit is not None:
            continue
        task = record.task
        own = found.setdefault((record.cell.downstream, task.headline, aspect(task)), {})
        if task.name in own:
            kept = own[task.name][0].record.task
            versions = [f"version {t.version}, audit {t.audit[:8]}" for t in (task, kept)]
            left.append(
                f"{task.name}: {versions[0]} is in no mean over tasks; {versions[1]} has as many or more upstreams"
            )
        else:
            own[task.name] = part
    return [[own[name] for name in sorted(own)] for own in found.values()], left


def same_utterances(first: Answer, second: Answer) -> None:
    """Raise LeaderboardError unless two answers are to the same targets in the same groups."""
    same = question(first.record) == question(second.record) and first.groups == second.groups
    if same:
        rows = [a.statistics[0].sum(-1) if a.record.task.classes else a.statistics[0][:, 0] for a in (first, second)]
        same = np.array_equal(*rows)
    if not same:
        cells = " and ".join(" · ".join((a.upstream, a.record.cell.task)) for a in (first, second))
        raise LeaderboardError(f"{cells}: not the same utterances, targets or task version; run both cells again")


def compare(couples: Sequence[tuple[Answer, Answer]]) -> list[tuple[Effect, float, float]]:
    """Of every two answers to one question: the difference, the p of its test, and the p adjusted for all of them."""
    keys = [[(_family(a.record.task), group) for group in a.groups] for a, _ in couples]
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
    """Ranks of the answers to one question: 1 + the number significantly better, among all pairs."""
    several = list(several)
    metric, n_groups, names = several[0].record.task.headline, len(several[0].groups), [a.upstream for a in several]
    alone = [leave_one_out(a.statistics, METRICS[metric]) for a in several]
    effects = [between(a, b) for a, b in itertools.combinations(alone, 2)]
    tested = all_pairs([Part([a.statistics for a in several], np.arange(n_groups))], metric, n_groups)
    pairs = _pairs(list(itertools.combinations(names, 2)), effects, tested)
    ranks, last = _ranks(names, pairs, metric)
    smallest, size = smallest_p(n_groups), detectable(np.array([e.error for e in effects]), n_groups)
    size = size if smallest <= SIGNIFICANT else np.nan  # else no size is found
    return Standing(several, pairs, ranks, last, smallest, size, tested.needed)


def across(parts: Sequence[Sequence[Answer]]) -> Across:
    """Ranks over several tasks of one headline metric and head; see Across.

    Only upstreams that have every task are averaged and ranked, so that all means rest on the same tasks.
    """
    tasks = [part[0].record.task for part in parts]
    metric = tasks[0].headline
    by_task = [{a.upstream: a for a in part} for part in parts]
    incomplete = _incomplete(tasks, by_task)
    families: dict[str, list[str]] = {}
    for task in tasks:
        families.setdefault(_family(task), []).append(task.name)

    names = sorted(set().union(*by_task) - set(incomplete))
    values = {u: np.array([float(METRICS[metric](own[u].statistics.sum(1)).mean()) for own in by_task]) for u in names}
    weights = np.array([1 / len(families) / len(families[_family(task)]) for task in tasks])
    sign = 1 if METRICS[metric].higher_is_better else -1
    names.sort(key=lambda u: (np.isnan(values[u] @ weights), -sign * float(values[u] @ weights), u))
    complete = [[own[u] for u in names] for own in by_task]  # for every task the same upstreams, best first
    differences = {(u, v): values[u] - values[v] for u, v in itertools.combinations(names, 2)}

    of_means = {couple: float(moved @ weights) for couple, moved in differences.items()}
    pairs, smallest, needed = _pairs_of_speakers(complete, metric, families, of_means)
    votes = {couple: _votes(moved, tasks, families) for couple, moved in differences.items()}
    pairs_corpora = _pairs_of_corpora(votes)
    clean_tasks, clean = _clean(complete, tasks, families, [values[u] for u in names])
    return Across(
        metric, families, names, [mean_over(list(own)) for own in zip(*complete, strict=True)], clean_tasks, clean,
        incomplete, pairs, needed, *_ranks(names, pairs, metric), pairs_corpora, *_ranks(names, pairs_corpora, metric),
        smallest, smallest_p(len(families)),
    )  # fmt: skip


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
    effects = [
        effect(difference, *spread_of_mean({family: spread[u][family] - spread[v][family] for family in families}))
        for (u, v), difference in differences.items()
    ]
    parts, groups = _parts(complete, families)
    tested = all_pairs(parts, metric, groups)
    return _pairs(list(differences), effects, tested), smallest_p(groups), tested.needed


def _pairs_of_corpora(votes: Mapping[tuple[str, str], np.ndarray]) -> list[Pair]:
    """All pairs, tested on further corpora; `votes`: for every pair the (F,) differences of the corpus families."""
    if not votes:
        return []
    columns = np.stack(list(votes.values()), 1)
    tested = of_columns(columns / len(columns), signs(len(columns)))
    return _pairs(list(votes), [over_draws(columns[:, i]) for i in range(len(votes))], tested)


def _clean(
    complete: Sequence[list[Answer]],
    tasks: Sequence[Task],
    families: dict[str, list[str]],
    values: Sequence[np.ndarray],
) -> tuple[list[str], list[float] | None]:
    """The tasks on which none of these upstreams is contaminated, and every upstream's mean over them (None: no task).

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
    return clean_tasks, [float(np.mean(_votes(own, tasks, kept))) for own in values]


def mean_over(members: Sequence[Answer]) -> Effect:
    """One upstream's mean over corpus families (of each the mean of its tasks), with an interval over their groups."""
    metric = members[0].record.task.headline
    families: dict[str, list[str]] = {}
    for member in members:
        families.setdefault(_family(member.record.task), []).append(member.record.task.name)
    values = {m.record.task.name: float(METRICS[metric](m.statistics.sum(1)).mean()) for m in members}
    value = float(np.mean([np.mean([values[name] for name in names]) for names in families.values()]))
    error, freedom = spread_of_mean(_deviations(members, metric, families))
    low, high = bounded(value, error, freedom, METRICS[metric].limits)
    return Effect(value, float(low), float(high), error)


def _family(task: Task) -> str:
    return task.family or task.corpus


def _pairs(names: Sequence[tuple[str, str]], effects: Sequence[Effect], tested: Tested) -> list[Pair]:
    return [
        Pair(first, second, seen, float(raw), float(adjusted))
        for (first, second), seen, raw, adjusted in zip(names, effects, tested.p, tested.adjusted, strict=True)
    ]


def _ranks(names: Sequence[str], pairs: Sequence[Pair], metric: str) -> tuple[list[int], list[int]]:
    sign = 1 if METRICS[metric].higher_is_better else -1
    better = np.zeros((len(names), len(names)), dtype=bool)
    place = {name: i for i, name in enumerate(names)}
    for pair in pairs:
        if pair.significant:
            first, second = place[pair.first], place[pair.second]
            better[(first, second) if sign * pair.effect.value > 0 else (second, first)] = True
    ranks, last = rank_intervals(better)
    return ranks.tolist(), last.tolist()


def _keys(members: Sequence[Answer]) -> list[str]:
    """Groups of a family: a speaker of two of its tasks is one group."""
    return sorted(set().union(*(m.groups for m in members)))


def _deviations(members: Sequence[Answer], metric: str, families: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """family: (G,) by how much its mean over tasks moves when a group is left out of all of them."""
    found = {}
    for family, names in families.items():
        own = [m for m in members if m.record.task.name in names]
        groups = _keys(own)
        moved = np.zeros(len(groups))
        for member in own:
            value, without = leave_one_out(member.statistics, METRICS[metric])
            moved[np.searchsorted(groups, member.groups)] += (without - value) / len(own)
        found[family] = moved
    return found


def _parts(by_task: Sequence[list[Answer]], families: dict[str, list[str]]) -> tuple[list[Part], int]:
    """The parts of a mean over families, and how many groups they have; a speaker of two tasks of a family is one.

    Args:
        by_task: for every task the answers of the same upstreams in the same order.
    """
    found: list[Part] = []
    total = 0
    for names in families.values():
        own = [answers for answers in by_task if answers[0].record.task.name in names]
        groups = _keys([answers[0] for answers in own])
        for answers in own:
            at = total + np.searchsorted(groups, answers[0].groups)
            found.append(Part([a.statistics for a in answers], at, 1 / len(own) / len(families)))
        total += len(groups)
    return found, total


def _votes(values: np.ndarray, tasks: Sequence[Task], families: dict[str, list[str]]) -> np.ndarray:
    """(F,) mean of every family's tasks."""
    at = {task.name: i for i, task in enumerate(tasks)}
    return np.array([np.mean([values[at[name]] for name in members]) for members in families.values()])
