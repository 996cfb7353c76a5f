"""Transfer by pairs: trained here, tested there, and the target's own folds on the same classes beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commons.corridors.record import REFERENCE, Record, Task
from leaderboard.records.display_names import names
from leaderboard.records.random_weights import averaged
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import of_record

PLAIN, STANDARDISED, ACROSS = "transfer", "transfer-standardised", "across-languages"  # kinds of derived task
ARROW = " → "


def pair(task: Task) -> tuple[str, str, str] | None:
    """Kind, source and target of a task that trains on other corpora than it tests; else None.

    The source of `across-languages` is a suite.
    """
    if task.derived in (PLAIN, STANDARDISED, ACROSS) and task.sources and task.base:
        return task.derived, "+".join(task.sources), task.base
    return None


def own(record: Record, records: Sequence[Record], target: str) -> Record | None:
    """The record of the same upstream and head on the target's own folds and the same classes, if there is one."""
    for other in records:
        same = (other.cell.upstream, other.cell.downstream) == (record.cell.upstream, record.cell.downstream)
        if same and _beside(other.task, target, record.task.classes):
            return other
    return None


def _beside(task: Task, target: str, classes: Sequence[str]) -> bool:
    """Whether a task is the target itself, or the target on some of its classes, and has just these classes."""
    return sorted(task.classes) == sorted(classes) and (task.name == target or _fewer_classes_of(task) == target)


def _fewer_classes_of(task: Task) -> str | None:
    """The task that this one takes some classes of; None where it is no such task."""
    return task.base if task.derived == "labels" else None


def apart(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records that have tables of their own, and those of a matrix of several pairs, which `tables` shows.

    With the pairs go the tasks `labels:` that stand beside them; a target's own task is shown by itself as well.
    """
    pairs = {r.cell.task: (*of, r.task.classes) for r in records if (of := pair(r.task))}
    if len({(source, target) for _, source, target, _ in pairs.values()}) < 2:
        return list(records), []
    beside = {(target, *sorted(classes)) for _, _, target, classes in pairs.values()}

    def inside(record: Record) -> bool:
        fewer = _fewer_classes_of(record.task)
        return record.cell.task in pairs or (fewer is not None and (fewer, *sorted(record.task.classes)) in beside)

    return [r for r in records if not inside(r)], [r for r in records if inside(r)]


def by_pair(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """`tables`, as a view."""
    return tables(records), []


def tables(records: Sequence[Record]) -> list[Table]:
    """For every upstream, head and metric a table: a row a pair; columns transfer, its variants, own folds, classes."""
    records = averaged(records)
    cells: dict[tuple[str, str, str], dict[tuple[str, str], Cell]] = {}
    for record in records:
        if (pairing := pair(record.task)) and record.cell.downstream != REFERENCE:
            kind, source, target = pairing
            row = f"{'other languages of ' * (kind == ACROSS)}{source}{ARROW}{target}"
            metric = record.task.headline
            mine = cells.setdefault((record.cell.upstream, record.cell.downstream, metric), {})
            column = "test by its own statistics" if kind == STANDARDISED else "transfer"
            mine[row, column] = of_record(record, metric, tuple(record.marks))
            mine[row, "classes"] = Cell(text=str(len(record.task.classes)))
            if beside := own(record, records, target):
                mine[row, "own folds"] = of_record(beside, metric)
    made, called = [], names(records)
    about = {record.cell.downstream: record.downstream.interpretation for record in records}
    for (name, head, metric), mine in cells.items():
        upstream = called[name]
        rows = sorted({row for row, _ in mine}, key=lambda row: row.split(ARROW)[::-1])
        filled = {column for _, column in mine}
        columns: list[str] = [
            c for c in ("transfer", "test by its own statistics", "own folds", "classes") if c in filled
        ]
        caption = (
            f"{metric} of {upstream}, head {head}: trained and chosen before the arrow, tested after it; own folds: "
            "those of the corpus tested, on the same classes; 95 % intervals over groups; floors of each, and what of "
            "its classes was merged and left out: `python -m leaderboard table`"
        )
        made.append(
            Table(
                f"transfer · {upstream} · {head}",
                [caption],
                rows,
                columns,
                mine,
                corner="trained → tested",
                interpretation=about[head],
            )
        )
    return made
