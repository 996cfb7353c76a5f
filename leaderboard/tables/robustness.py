"""Changed test audio: what the change does to the figures of each upstream, and areas over the level of noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from commons.corridors.record import Record
from commons.errors import EmorepError
from commons.marks import explain
from commons.perturbations import KINDS, SUITES
from leaderboard.comparison import over_changes
from leaderboard.comparison.statistics import Effect
from leaderboard.records.changed_audio import Changes, Question, by_question, change_of, draws, is_changed, members
from leaderboard.records.comparable import unit
from leaderboard.records.display_names import names
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import of_record
from leaderboard.text import plural

UNCHANGED, CHANGE, RATE = "unchanged, %", "change", "kbit/s"
PERCENT = "WA"  # the metric by which shares in percent are shown
BABBLE = "babble:"  # begins the note of a task on the recordings that babble is made of


def apart(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records that have tables of their own, and those of changed audio, which `tables` shows."""
    changed = [record for record in records if is_changed(record)]
    return [record for record in records if not is_changed(record)], changed


def by_robustness(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """For every task and head a table of its upstreams, then one of every upstream; a line for each unusable record."""
    made: list[Table] = []
    problems: list[str] = []
    called = names(records)
    for asked, upstreams in by_question(records).items():
        cells: dict[tuple[str, str], Cell] = {}
        for upstream, own in upstreams.items():
            cells |= {(upstream, column): cell for column, cell in _over(results, records, own, problems).items()}
        made.append(_summary(asked, upstreams, cells, called))
    return [*made, *tables(records)], problems


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for every task, head and upstream: a row a change; the figure, its difference from clean, what stays."""
    called, made = names(records), []
    for asked, upstreams in by_question(records).items():
        made += [_of_upstream(asked, called[upstream], own) for upstream, own in upstreams.items()]
    return made


def _of_upstream(asked: Question, name: str, own: Changes) -> Table:
    cells: dict[tuple[str, str], Cell] = {}
    metric, shared = asked.metric, set.intersection(*(set(record.marks) for record in own.values()))
    clean = None
    for change, record in own.items():
        against = record.scores.against_clean
        assert against is not None
        marks = tuple(mark for mark in record.marks if mark not in shared)
        clean = against.clean
        cells[change.name, metric] = of_record(record, metric, marks)
        change_, stays = against.change, against.unchanged
        cells[change.name, CHANGE] = Cell(change_.value, change_.low, change_.high, metric=metric)
        cells[change.name, UNCHANGED] = Cell(stays.value, stays.low, stays.high, metric=PERCENT)
        if (made := record.task.perturbation) and made.bit_rate is not None:
            cells[change.name, RATE] = Cell(text=f"{made.bit_rate:.1f}")
    cells["clean", metric] = Cell(clean, metric=metric)
    record = next(iter(own.values()))
    counts = record.scores.counts
    babble = dict.fromkeys(n for record in own.values() for n in record.task.notes if n.startswith(BABBLE))
    return Table(
        title=f"{asked.base} · changed test audio · {name} · {asked.head}",
        interpretation=record.downstream.interpretation,
        facts=[
            f"{metric} where the audio of test is changed and that of training is not; change: less the figure on "
            f"clean audio, paired; unchanged: share of predictions that stay; {plural(counts.n, 'utterance')}; 95 % "
            f"intervals over {plural(counts.groups, unit(record))}"
        ],
        rows=["clean", *(change.name for change in own)],
        columns=[metric, CHANGE, UNCHANGED, *[RATE] * any(column == RATE for _, column in cells)],
        cells=cells,
        notes=[*babble, *(f"{mark}: {explain(mark)}" for mark in sorted(shared))],
        corner="test audio",
    )


def _summary(
    asked: Question,
    upstreams: Mapping[str, Changes],
    cells: dict[tuple[str, str], Cell],
    called: Mapping[str, str],
) -> Table:
    """The table of all upstreams on a task, from the cells that follow from several changes."""
    metric, clean = asked.metric, f"clean {asked.metric}"
    for upstream, own in upstreams.items():
        first = next(iter(own.values())).scores.against_clean
        cells[upstream, clean] = Cell(first.clean if first else None, metric=metric)
    known = [c for c in _columns() if any(column == c for _, column in cells)]
    words = {
        "area": f"area: mean {metric} from 0 to 30 dB of noise as a share of the clean one",
        "mean change": "a suite has figures where all of it was measured; mean change: paired",
    }
    said = [text for column, text in words.items() if any(column in c for c in known)]
    if said:
        facts = [f"head {asked.head}; {'; '.join(said)}; 95 % intervals over groups"]
    else:
        facts = [f"head {asked.head}; no suite, and no noise from 0 to 30 dB, was measured whole: see the tables below"]
    any_one = next(record for own in upstreams.values() for record in own.values())
    return Table(
        title=f"{asked.base} · robustness · {asked.head}",
        facts=[*facts, *[f"not comparable with the table above: {asked.apart}"] * bool(asked.copy)],
        rows=sorted(upstreams, key=lambda name: -(cells[name, clean].value or 0.0)),
        columns=[clean, *known],
        cells=cells,
        names=dict(called),
        interpretation=any_one.downstream.interpretation,
    )


def _area(kind: str) -> str:
    return f"area {kind}, %"


def _columns() -> list[str]:
    """Columns of a summary after the clean figure, in order."""
    of_suites = [f"{suite}: {what}" for suite in SUITES for what in ("mean change", "least unchanged, %")]
    return [*(_area(kind) for kind in KINDS), *of_suites]


def _over(results: Path, records: Sequence[Record], own: Changes, problems: list[str]) -> dict[str, Cell]:
    """The cells of an upstream that follow from several changes: areas over noise, and what a whole suite does."""
    several = draws(records, next(iter(own.values())))
    cells: dict[str, Cell] = {}

    def add(column: str, metric: str, made: Callable[[Path, list[Record]], Effect], wanted: set[str]) -> None:
        parts = [[one for one in every if one.cell.task in wanted] for every in several.values()]
        try:
            effects = [made(results, part) for part in parts if len(part) == len(wanted)]
        except EmorepError as error:
            problems.append(str(error))
            return
        ends = (np.mean([getattr(e, end) for e in effects]) for end in ("value", "low", "high"))
        value, low, high = (float(end) if np.isfinite(end) else None for end in ends)
        cells[column] = Cell(value, low, high, metric=metric)

    for kind in KINDS:
        noisy = {record.cell.task: change for change, record in own.items() if change.kind == kind}
        levels = [change.level for change in noisy.values() if change.level is not None]
        if KINDS.find(kind).unit == "dB SNR" and over_changes.covers(levels):
            add(_area(kind), PERCENT, over_changes.area, set(noisy))
    for suite in SUITES:
        whole = [own[change] for change in members(suite) if change in own]
        if len(whole) == len(SUITES[suite]):
            add(f"{suite}: mean change", whole[0].task.headline, over_changes.mean_change, {r.cell.task for r in whole})
            cells[f"{suite}: least unchanged, %"] = _least(whole)
    return cells


def _least(whole: Sequence[Record]) -> Cell:
    """The change after which the fewest predictions stay, and how many do."""
    stays = {c.name: a.unchanged.value or 0.0 for r in whole if (c := change_of(r)) and (a := r.scores.against_clean)}
    worst = min(stays, key=lambda name: stays[name])
    return Cell(text=f"{stays[worst]:.1f} ({worst})")
