"""Transfer by pairs: trained here, tested there, and the target's own folds on the same classes beside it."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.grids import Entry, Grid, of_record
from leaderboard.names import names
from leaderboard.questions import REFERENCE
from leaderboard.schema import Record

PLAIN, STANDARDISED, ACROSS = "transfer:", "transfer-standardised:", "across-languages:"
ARROW = " → "


def pair(task: str) -> tuple[str, str, str] | None:
    """Prefix, source and target of the name of a task that trains on other corpora than it tests; else None.

    The source of `across-languages:` is a suite.
    """
    for prefix in (PLAIN, STANDARDISED, ACROSS):
        source, comma, target = task.removeprefix(prefix).partition(",")
        if task.startswith(prefix) and comma:
            return prefix, source.strip(), target.strip()
    return None


def own(record: Record, records: Sequence[Record], target: str) -> Record | None:
    """The same upstream and head on the target's own folds and the same classes, where it was measured."""
    classes = record.task.classes
    names = (target, f"labels:{target},{'+'.join(classes)}")
    for other in records:
        same = (other.cell.upstream, other.cell.downstream) == (record.cell.upstream, record.cell.downstream)
        if same and other.cell.task in names and sorted(other.task.classes) == sorted(classes):
            return other
    return None


def grids(records: Sequence[Record]) -> list[Grid]:
    """For every upstream, head and metric a table: a row a pair; columns transfer, its variants, own folds, classes."""
    cells: dict[tuple[str, str, str], dict[tuple[str, str], Entry]] = {}
    for record in records:
        found = pair(record.cell.task)
        if found and record.cell.downstream != REFERENCE:
            prefix, source, target = found
            row = f"{'other languages of ' * (prefix == ACROSS)}{source}{ARROW}{target}"
            metric = record.task.headline
            mine = cells.setdefault((record.cell.upstream, record.cell.downstream, metric), {})
            column = "test by its own statistics" if prefix == STANDARDISED else "transfer"
            mine[row, column] = of_record(record, metric, tuple(record.marks))
            mine[row, "classes"] = Entry(text=str(len(record.task.classes)))
            if beside := own(record, records, target):
                mine[row, "own folds"] = of_record(beside, metric)
    made, called = [], names(records)
    for (name, head, metric), mine in cells.items():
        upstream = called[name]
        rows = sorted({row for row, _ in mine}, key=lambda row: row.split(ARROW)[::-1])
        filled = {column for _, column in mine}
        columns: list[str] = [
            c for c in ("transfer", "test by its own statistics", "own folds", "classes") if c in filled
        ]
        caption = (
            f"{metric} of {upstream}, head {head}: trained and chosen before the arrow, tested after it; own folds: "
            "those of the corpus tested, on the same classes; 95 % intervals over groups"
        )
        made.append(Grid(f"transfer · {upstream} · {head}", caption, rows, columns, mine, corner="trained → tested"))
    return made
