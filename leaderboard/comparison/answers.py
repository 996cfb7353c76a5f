"""Records with their group statistics (`Answer`), sorted into sets that may be compared or averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commons import ordinal
from commons.corridors.record import REFERENCE, Record, Task
from commons.errors import EmorepError
from commons.marks import UNVERIFIED
from leaderboard.errors import LeaderboardError
from leaderboard.records.comparable import aspect, groups, order, question
from leaderboard.records.intervals import same_seeds
from leaderboard.records.random_weights import averaged, together


@dataclass(frozen=True)
class Answer:
    """One record with the additive statistics (S, G, ...) of its seeds and groups, groups sorted by name."""

    record: Record
    statistics: np.ndarray
    groups: list[str]

    @property
    def upstream(self) -> str:
        return self.record.cell.upstream


def answer(results: Path, record: Record) -> Answer:
    """A record with its statistics.

    Raises:
        LeaderboardError: its predictions cannot be read or do not fit its task.
    """
    from leaderboard.records.parquet import read
    from leaderboard.records.record_store import find, path_of
    from leaderboard.records.scoring import by_group, needed

    name = record.cell.upstream, record.cell.task, record.cell.downstream
    path, columns = path_of(results, *name), ["seed", "target", "prediction", "group", *needed(record.task)]
    try:
        table = read(path, record, columns)
    except LeaderboardError:
        now = find(results, *name)
        if now is None or now.files == record.files:
            raise
        record, table = now, read(path, now, columns)  # another process replaced it since it was read
    return Answer(record, *by_group(table, record.task))


def answers(results: Path, records: Sequence[Record]) -> tuple[list[list[Answer]], list[str]]:
    """The answers to every question and head, best first; and a line for each unusable one.

    References are left out, and records without targets, which are marked `unverified`.
    """
    parts: list[list[Answer]] = []
    problems: list[str] = []
    for measured, _ in groups(records):
        several: list[Answer] = []
        for record in measured:
            if record.cell.downstream == REFERENCE or UNVERIFIED in record.marks:
                continue
            try:
                mine = answer(results, record)
                same_utterances((several or [mine])[0], mine)
                several.append(mine)
            except EmorepError as error:
                problems.append(str(error))
        if several:
            standing = [_of_draws(own) for own in together((a.record, a) for a in several)]
            parts.append(sorted(standing, key=lambda a: order(a.record)))
    return parts, problems


def _of_draws(draws: Sequence[Answer]) -> Answer:
    """One answer of all draws of random weights: each of them counts as much as the others, as seeds do."""
    if len(draws) == 1:
        return draws[0]
    (record,) = averaged([a.record for a in draws])
    return Answer(record, np.concatenate(same_seeds([a.statistics for a in draws])), draws[0].groups)


def kinds(parts: Sequence[list[Answer]]) -> tuple[list[list[list[Answer]]], list[str]]:
    """Parts whose figures may be averaged: of one head, headline metric and aspect, one part a task.

    Of several versions of a task the one with most upstreams is taken. Tasks whose figure is undefined for everyone are
    left out, and so are those of a corpus family whose groups are smaller than those of its other tasks (dialogues,
    where others have speakers): the same people would count as further groups.

    Returns:
        parts of every kind, and a line for every part left out.
    """
    by_kind: dict[tuple[str, str | None, str, str], dict[str, list[Answer]]] = {}
    left = []
    for part in sorted(parts, key=len, reverse=True):
        record = part[0].record
        if record.cell.limit is not None:
            continue
        task = record.task
        if all(a.record.scores.metrics[task.headline].value is None for a in part):
            left.append(f"{task.name} is in no mean over tasks: its {task.headline} is undefined")
            continue
        system = record.cell.downstream, record.downstream.trained
        own = by_kind.setdefault((*system, task.headline, aspect(task)), {})
        if task.name in own:
            kept = own[task.name][0].record.task
            versions = [f"version {t.version}, audit {t.audit[:8]}" for t in (task, kept)]
            left.append(
                f"{task.name}: {versions[0]} is in no mean over tasks; {versions[1]} has as many or more upstreams"
            )
        else:
            own[task.name] = part
    made = []
    for several in by_kind.values():
        alike, smaller = _of_one_unit([several[name] for name in sorted(several)])
        made.append(alike)
        left += smaller
    return made, left


def _of_one_unit(parts: list[list[Answer]]) -> tuple[list[list[Answer]], list[str]]:
    """The parts of every family that are grouped by its largest unit, of fewest groups; a line for each other."""
    tasks = [part[0].record.task for part in parts]
    sizes: dict[str, list[tuple[int, str]]] = {}
    for part, task in zip(parts, tasks, strict=True):
        sizes.setdefault(family_of(task), []).append((len(part[0].groups), task.group_by))
    units = {family: min(known)[1] for family, known in sizes.items()}
    kept = [part for part, task in zip(parts, tasks, strict=True) if task.group_by == units[family_of(task)]]
    left = [
        f"{task.name} is in no mean over tasks: its groups are {task.group_by}s, those of other tasks of "
        f"{family_of(task)} are {units[family_of(task)]}s"
        for task in tasks
        if task.group_by != units[family_of(task)]
    ]
    return kept, left


def same_utterances(first: Answer, second: Answer) -> None:
    """Raise LeaderboardError unless two answers have the same targets in the same groups."""
    same = question(first.record) == question(second.record) and first.groups == second.groups
    if same:
        own = [a.statistics[0] for a in (first, second)]
        rows = [ordinal.confusion(s).sum(-1) if first.record.task.classes else s[:, 0] for s in own]
        same = np.array_equal(*rows)
    if not same:
        cells = " and ".join(" · ".join((a.upstream, a.record.cell.task)) for a in (first, second))
        raise LeaderboardError(f"{cells}: not the same utterances, targets or task version; run both cells again")


def family_of(task: Task) -> str:
    return task.family or task.corpus
