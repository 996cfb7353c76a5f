"""Groups of utterances side by side: UA, recall and precision by gender, language, intensity ...; and speakers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from commons.corridors.record import Record
from commons.marks import IMPORTED
from leaderboard.records.comparable import unit
from leaderboard.records.display_names import shown
from leaderboard.tables.model import Cell, Table, figure
from leaderboard.tables.views import chance, row_of
from leaderboard.text import plural
from leaderboard.trust import groups
from leaderboard.trust.groups import COLUMNS, Gap, Groups
from leaderboard.trust.random_models import DRAWS, thresholds
from leaderboard.trust.systems import System, systems

BEYOND = "beyond_random"
AGAINST = "worst group against the best"
WIDEST = 5  # groups that have a column each


def by_group(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """For every task, head and column three tables (UA, recall, precision), and one of speakers."""
    problems: list[str] = []
    made = []
    for several in systems(results, records, problems):
        own = [table for column in COLUMNS for table in _of_column(several, column)]
        speakers = _of_speakers(several)
        made += [*own, *([speakers] if speakers else [])]
        task = several[0].record.task
        if not own:
            levels = [f"{column} {', '.join(sorted(map(str, several[0].table[column].dropna().unique())))}"
                      for column in COLUMNS if column in several[0].table]  # fmt: skip
            known = f"one group only, or no class in common ({'; '.join(levels)})" if levels else "no column of groups"
            problems.append(f"{task.name} · {several[0].record.cell.downstream}: {known}; there is nothing to compare")
    return made, problems


def _of_column(several: Sequence[System], column: str) -> list[Table]:
    """Tables of one column, for the systems that know it; none where there are no two groups."""
    made = {one.record.cell.upstream: (one, own) for one in several
            if (own := groups.grouped(one.table, one.record.task, column))}  # fmt: skip
    if not made:
        return []
    return [_table(list(made.values()), column, what) for what in ("UA", "recall", "precision")]


def _table(several: Sequence[tuple[System, Groups]], column: str, what: str) -> Table:
    """The table of one figure (UA), or of one for every class (recall, precision)."""
    first, own = several[0]
    task, head = first.record.task, first.record.cell.downstream
    wanted = groups.figures(task, own, what)
    # Of joined corpora an answer is a class of its own corpus: nobody guesses among all.
    random = {} if task.corpora else thresholds(own.sizes, {name: of for name, of, _ in wanted})
    cells: dict[tuple[str, str], Cell] = {}
    for system, answers in several:
        row = row_of(system.record)
        if what == "UA" and len(own.names) <= WIDEST:
            for name, score in zip(answers.names, groups.scores(answers), strict=True):
                cells[row, name] = Cell(score.value, score.low, score.high, metric="UA")
        for name, of, classes in groups.figures(task, answers, what):
            difference = groups.gap(answers, of, classes)
            cells[row, AGAINST if what == "UA" else name] = _gap(difference, random.get(name, math.inf))
    levels = list(own.names) if what == "UA" and len(own.names) <= WIDEST else []
    return Table(
        title=f"{task.name} · {head} · {what} by {column}",
        interpretation=first.record.downstream.interpretation,
        facts=_facts(first, own, column, what),
        rows=[row_of(system.record) for system, _ in several],
        columns=[*levels, *([AGAINST] if what == "UA" else [name for name, _, _ in wanted])],
        cells=cells,
        notes=[_of_chance(random, what)] if random else [],
        names={row_of(system.record): shown(system.record) for system, _ in several},
    )


def _facts(first: System, own: Groups, column: str, what: str) -> list[str]:
    """The lines above a table: what it shows of whom, and what was left out."""
    task, record = first.record.task, first.record
    lacking = [name for name, held in zip(task.classes, own.classes, strict=True) if not held]
    pairs = len(own.names) * (len(own.names) - 1) // 2
    inside = [f"{name}: {plural(int(n.sum()), 'utterance')} of {plural(int(own.units(i).sum()), unit(record))}"
              for i, (name, n) in enumerate(zip(own.names, own.sizes, strict=True))]  # fmt: skip
    words = {"UA": "UA of each group", "recall": "Recall of each class", "precision": "Precision of each class"}[what]
    lines = [f"{words} by {column}, {task.title}, head {record.cell.downstream}; {chance(task)}", "; ".join(inside)]
    if lacking:
        lines.append(f"left out, since some group has none: {', '.join(lacking)}")
    several = f", adjusted for the {pairs} pairs among which it was chosen" if pairs > 1 else ""
    return [*lines, f"differences in points, {AGAINST}; 95 % intervals over {unit(record)}s{several}"]


def _of_chance(random: dict[str, float], what: str) -> str:
    values = [figure(value, "UA") for value in random.values()]
    said = values[0] if what == "UA" else ", ".join(f"{n} {v}" for n, v in zip(random, values, strict=True))
    return f"greatest gap of {DRAWS:,} models that guess, on groups of these sizes: {said}"


def _gap(gap: Gap | None, greatest: float) -> Cell:
    """`male -12.3 [-20.1, -4.5]`: the worst group, how far it lies below the best one; with a mark beyond chance."""
    if gap is None:
        return Cell()
    text = f"{gap.worst} {figure(gap.value, 'UA')}"
    if gap.low is not None and gap.high is not None:
        text += f" [{figure(gap.low, 'UA')}, {figure(gap.high, 'UA')}]"
    text = text.replace(" -0.0", " 0.0")
    return Cell(text=text, marks=(BEYOND,) if -gap.value > greatest else ())


def _without_facts(record: Record, older: Sequence[str], systems: int) -> list[str]:
    """A note where columns beside gender and language may be unknown, with the command that makes them known."""
    if not older:
        return []
    who = "these cells" if len(older) == systems else ", ".join(older)
    why = "the corpus has none, or they were" if len(older) == systems else "they were"
    cell = record.cell
    return [
        f"age, accent, intensity, style, session, sentence: none stored of {who}; {why} measured before they were "
        f"kept, and are measured again by python run_benchmark.py -u {' '.join(older)} -t {cell.task} "
        f"-d {cell.downstream} --force"
    ]


def _of_speakers(several: Sequence[System]) -> Table | None:
    """How speakers fare: the share at or below chance, and the UA of the worst, median and best one."""
    cells: dict[tuple[str, str], Cell] = {}
    rows = []
    for system in several:
        own = groups.of_speakers(system.table, system.record.task)
        if own is None:
            continue
        row = row_of(system.record)
        rows.append(row)
        share, low, high = own.share
        cells[row, "at or below chance"] = Cell(
            text=f"{own.failed} of {len(own.names)}: {share:.1f} % [{low:.1f}, {high:.1f}]"
        )
        for name, index in (("worst", 0), ("best", -1)):
            cells[row, name] = Cell(text=f"{own.names[index]}: {figure(own.values[index], 'UA')}")
        cells[row, "median"] = Cell(float(np.median(own.values)), metric="UA")
    if not rows:
        return None
    record = several[0].record
    measured = (one.record for one in several if IMPORTED not in one.record.marks)
    older = [record.cell.upstream for record in measured if record.files.facts is None]
    return Table(
        title=f"{record.task.name} · {record.cell.downstream} · speakers",
        interpretation=record.downstream.interpretation,
        facts=[
            f"UA of every speaker over the classes that she speaks, {record.task.title}, head "
            f"{record.cell.downstream}; {chance(record.task)}",
            "the share of speakers at or below chance has its exact interval (Clopper and Pearson)",
        ],
        rows=rows,
        columns=["at or below chance", "worst", "median", "best"],
        cells=cells,
        notes=_without_facts(several[0].record, older, len(several)),
        names={row_of(system.record): shown(system.record) for system in several},
    )
