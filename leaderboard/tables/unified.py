"""Joined corpora, each by itself: trained together with the others, and alone on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commons.corridors.record import REFERENCE, Record, Score
from leaderboard.records.display_names import names
from leaderboard.records.random_weights import averaged
from leaderboard.tables.model import Cell, Table

KINDS = ("unified", "alone")  # of derived task
ALL = "all"


def by_corpus(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """`tables`, as a view."""
    return tables(records), []


def tables(records: Sequence[Record]) -> list[Table]:
    """For every set of joined corpora, upstream and head a table: a row a corpus; columns unified, alone, classes."""
    records = averaged([r for r in records if r.task.corpora and r.task.derived in KINDS])
    shown: dict[tuple[str, tuple[str, ...], str, str], dict[str, Record]] = {}
    floors: dict[tuple[str, tuple[str, ...]], dict[str, list[Record]]] = {}
    for record in records:
        joined = record.task.base or "", tuple(sorted(record.task.corpora))
        kind = record.task.derived or ""
        if record.cell.downstream == REFERENCE:
            floors.setdefault(joined, {}).setdefault(kind, []).append(record)
        else:
            shown.setdefault((*joined, record.cell.upstream, record.cell.downstream), {})[kind] = record
    called = names(records)
    return [
        _table(called[upstream], head, mine, floors.get((base, corpora), {}), called)
        for (base, corpora, upstream, head), mine in sorted(shown.items())
    ]


def _table(
    upstream: str, head: str, mine: dict[str, Record], floors: dict[str, list[Record]], called: dict[str, str]
) -> Table:
    first = next(iter(mine.values()))
    metric, base = first.task.headline, first.task.base
    cells: dict[tuple[str, str], Cell] = {}
    kinds = [kind for kind in KINDS if kind in mine]
    columns = list(kinds)
    for kind in kinds:
        _fill(cells, kind, mine[kind], metric, tuple(mine[kind].marks))
        for floor in floors.get(kind, []):
            column = f"{called[floor.cell.upstream]}, {kind}"
            columns.append(column)
            _fill(cells, column, floor, metric, ())
    for corpus, classes in first.task.corpora.items():
        cells[corpus, "classes"] = Cell(text=str(len(classes)))
    cells[ALL, "classes"] = Cell(text=str(len(first.task.classes)))
    caption = (
        f"{metric} of {upstream}, head {head}, on {base}: unified is trained on all corpora, alone on the one of its "
        "row, both tested on the same folds of the same speakers; a row's classes are those of its corpus, and of all, "
        "the union; 95 % intervals over groups"
    )
    return Table(
        f"unified · {base} · {upstream} · {head}",
        [caption],
        [*first.task.corpora, ALL],
        [*columns, "classes"],
        cells,
        corner="corpus",
        interpretation=first.downstream.interpretation,
    )


def _fill(cells: dict[tuple[str, str], Cell], column: str, record: Record, metric: str, marks: tuple[str, ...]) -> None:
    """Put a record's figures of all its corpora, and the pooled one, into a column."""
    for corpus, scores in record.scores.corpora.items():
        cells[corpus, column] = _cell(scores[metric], metric)
    cells[ALL, column] = _cell(record.scores.metrics[metric], metric, marks)


def _cell(score: Score, metric: str, marks: tuple[str, ...] = ()) -> Cell:
    return Cell(value=score.value, low=score.low, high=score.high, metric=metric, marks=marks)
