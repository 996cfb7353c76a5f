"""Published figures under the protocol of a task, and ours beside them: what to measure first, to trust the harness."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from commons.corridors.record import Published, Record
from commons.metrics import METRICS
from leaderboard import published
from leaderboard.records.comparable import order
from leaderboard.records.display_names import shown
from leaderboard.tables.model import PUBLISHED, Cell, Table
from leaderboard.tables.views import marks_of
from leaderboard.text import plural

PAPER, HERE, DIFFERENCE, COVERED = "published", "here", "difference", "in our interval"


@dataclass(frozen=True)
class Anchored:
    """A task with the published figures whose protocol is the task's own.

    Attributes:
        version: of the definition; results of other versions have other protocols.
        headline: of several metrics of a paper this one is shown, or else its first.
    """

    task: str
    title: str
    version: str
    headline: str
    figures: tuple[Published, ...]


def tables(
    anchored: Sequence[Anchored], records: Sequence[Record], upstreams: Sequence[str] = (), wanted: Sequence[str] = ()
) -> list[Table]:
    """A table for every task and head in which a paper has figures; below it, a command that measures what is missing.

    Args:
        upstreams: rows of these alone; empty: of all.
        wanted: heads; empty: all.
    """
    made = []
    for one in anchored:
        heads: dict[str, list[Published]] = {}
        for own in one.figures:
            head = published.HEADS.get(own.head or "")
            if head and (not wanted or head in wanted):
                heads.setdefault(head, []).append(own)
        made += [table for head, own in heads.items() if (table := _table(one, head, own, records, upstreams))]
    return made


def _table(
    one: Anchored, head: str, figures: Sequence[Published], records: Sequence[Record], wanted: Sequence[str]
) -> Table | None:
    """The figures of one task and head; None where none is of the upstreams that are asked for."""
    cells: dict[tuple[str, str], Cell] = {}
    names: dict[str, str] = {}
    missing: list[str] = []
    for own in _one_metric(figures, one.headline):
        called = published.upstreams(own)
        if not called or (wanted and not set(called) & set(wanted)):
            continue
        measured = sorted((r for r in records if _is_of(r, one, head, called)), key=order)
        if not measured:
            missing.append(called[0])
        rows = {r.cell.upstream: (shown(r), _compared(own, r, head)) for r in measured} or {
            called[0]: (called[0], {PAPER: _paper(own, head)})
        }
        for upstream, (name, columns) in rows.items():
            row = upstream if upstream not in names else f"{upstream} ({own.source})"
            names[row] = name
            cells |= {(row, column): cell for column, cell in columns.items()}
    if not names:
        return None
    count = sum((row, HERE) in cells for row in names)
    near = sum(cells.get((row, COVERED), Cell()).text == "yes" for row in names)
    strangers = dict.fromkeys(own.upstream for own in figures if not published.upstreams(own))
    return Table(
        title=f"{one.task} · {head}",
        facts=[
            f"{one.title}; published figures under this protocol, and ours",
            f"{count} of {len(names)} measured here, {near} published figures within our 95 % interval over groups",
        ],
        rows=list(names),
        columns=[PAPER, HERE, DIFFERENCE, COVERED],
        cells=cells,
        notes=[
            *([f"published, but not to be measured here: {', '.join(strangers)}"] if strangers else []),
            *_command(one.task, head, missing),
        ],
        names=names,
    )


def _one_metric(figures: Sequence[Published], headline: str) -> list[Published]:
    """Of every model and source one figure: that of the headline, else its first."""
    of_model: dict[tuple[str, str], Published] = {}
    for own in figures:
        before = of_model.setdefault((own.upstream, own.source), own)
        if own.metric == headline != before.metric:
            of_model[own.upstream, own.source] = own
    return list(of_model.values())


def _is_of(record: Record, one: Anchored, head: str, called: Sequence[str]) -> bool:
    """Whether a record is a full measurement of this task and version, with this head, of one of these upstreams."""
    cell = record.cell
    same = (cell.task, cell.downstream, str(record.task.version), cell.limit) == (one.task, head, one.version, None)
    return same and cell.upstream in called


def _paper(own: Published, head: str, warned: str = "") -> Cell:
    """The published figure. Its marks: the source, what differs from its protocol and head, and what it had seen."""
    other = f"its head `{own.head}` is like `{head}`, trained otherwise" if own.head != head else ""
    folds = "the mean of folds here too, beside the interval of the pooled figure" if own.of_folds else ""
    source = PUBLISHED + "; ".join(filter(None, (own.source, own.difference, other, folds)))
    return Cell(own.value, metric=own.metric, marks=(source, *([warned] if warned else ())))


def _compared(own: Published, record: Record, head: str) -> dict[str, Cell]:
    """The published figure, ours with its interval, the difference, and whether the interval covers the published."""
    score = record.scores.metrics[own.metric]
    value = _of_folds(record, own.metric) if own.of_folds else score.value
    columns = {
        PAPER: _paper(own, head, published.contaminated(own, record.task)),
        HERE: Cell(value, score.low, score.high, metric=own.metric, marks=tuple(marks_of(record))),
    }
    if value is not None:
        columns[DIFFERENCE] = Cell(text=f"{value - own.value:+.{METRICS[own.metric].decimals}f}")
    if score.low is not None and score.high is not None:
        columns[COVERED] = Cell(text="yes" if score.low <= own.value <= score.high else "no")
    return columns


def _of_folds(record: Record, metric: str) -> float | None:
    """The mean of the folds' figures, as some papers report it; the pooled one where folds have none."""
    values = [fold.metrics.get(metric) for fold in record.scores.folds if fold.metrics]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else record.scores.metrics[metric].value


def _command(task: str, head: str, missing: Sequence[str]) -> list[str]:
    """The command that measures the upstreams that are missing; none where none is."""
    if not missing:
        return []
    names = " ".join(map(shlex.quote, dict.fromkeys(missing)))
    return [f"not measured: run_benchmark.py -u {names} -t {shlex.quote(task)} -d {head}"]


def summary(made: Sequence[Table]) -> str:
    """A line on all tables together."""
    rows = [(table.cell(row, PAPER).value, table.cell(row, HERE).value) for table in made for row in table.rows]
    away = [abs(here - paper) for paper, here in rows if paper is not None and here is not None]
    mean = f"; on average {sum(away) / len(away):.1f} apart" if away else ""
    return f"{len(away)} of {plural(len(rows), 'published figure')} measured here{mean}"
