"""Changed test audio: what the change does to the figures of each upstream, and areas over the level of noise."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from commons.corridors.record import Record
from commons.errors import EmorepError
from commons.marks import explain
from commons.perturbations import KINDS, SUITES, Perturbation
from leaderboard.comparison import noise_areas
from leaderboard.records.changed_audio import by_question, change_of, is_changed, members
from leaderboard.records.display_names import names
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import of_record
from leaderboard.text import plural

UNCHANGED, CHANGE, RATE = "unchanged, %", "change", "kbit/s"
PERCENT = "WA"  # the metric by which shares in percent are shown
Changes = Mapping[Perturbation, Record]


def apart(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Records that have tables of their own, and those of changed audio, which `tables` shows."""
    changed = [record for record in records if is_changed(record)]
    return [record for record in records if not is_changed(record)], changed


def by_robustness(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """For every task and head a table of its upstreams, then one of every upstream; a line for each unusable record."""
    made: list[Table] = []
    problems: list[str] = []
    called = names(records)
    for (base, head, _, metric, _), upstreams in by_question(records).items():
        table, lines = _summary(results, base, head, metric, upstreams, called)
        made.append(table)
        problems += lines
    return [*made, *tables(records)], problems


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for every task, head and upstream: a row a change; the figure, its difference from clean, what stays."""
    called, made = names(records), []
    for (base, head, _, metric, _), upstreams in by_question(records).items():
        for upstream, own in upstreams.items():
            made.append(_of_upstream(base, head, metric, called[upstream], own))
    return made


def _of_upstream(base: str, head: str, metric: str, name: str, own: Changes) -> Table:
    cells: dict[tuple[str, str], Cell] = {}
    shared = set.intersection(*(set(record.marks) for record in own.values()))
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
    return Table(
        title=f"{base} · changed test audio · {name} · {head}",
        interpretation=record.downstream.interpretation,
        facts=[
            f"{metric} where the audio of test is changed and that of training is not; change: less the figure on "
            f"clean audio, paired; unchanged: share of predictions that stay; {plural(counts.n, 'utterance')}; 95 % "
            f"intervals over {plural(counts.groups, record.task.group_by)}"
        ],
        rows=["clean", *(change.name for change in own)],
        columns=[metric, CHANGE, UNCHANGED, *[RATE] * any(column == RATE for _, column in cells)],
        cells=cells,
        notes=[f"{mark}: {explain(mark)}" for mark in sorted(shared)],
        corner="test audio",
    )


def _summary(
    results: Path,
    base: str,
    head: str,
    metric: str,
    upstreams: Mapping[str, Changes],
    called: Mapping[str, str],
) -> tuple[Table, list[str]]:
    """The table of all upstreams on a task, and lines on records whose area cannot be computed."""
    cells: dict[tuple[str, str], Cell] = {}
    problems: list[str] = []
    columns = [f"clean {metric}"]
    for upstream, own in upstreams.items():
        first = next(iter(own.values())).scores.against_clean
        cells[upstream, columns[0]] = Cell(first.clean if first else None, metric=metric)
        for kind in KINDS:
            noisy = [record for change, record in own.items() if change.kind == kind]
            levels = [change.level for record in noisy if (change := change_of(record)) and change.level is not None]
            if KINDS.find(kind).unit != "dB SNR" or not noise_areas.covers(levels):
                continue
            try:
                made = noise_areas.area(results, noisy)
            except EmorepError as error:
                problems.append(str(error))
                continue
            low, high = (None if value != value else value for value in (made.low, made.high))
            cells[upstream, f"area {kind}, %"] = Cell(made.value, low, high, metric=PERCENT)
        cells |= {(upstream, column): cell for column, cell in _of_suites(own, metric).items()}
    columns += [f"area {kind}, %" for kind in KINDS if any(c == f"area {kind}, %" for _, c in cells)]
    columns += list(dict.fromkeys(c for _, c in cells if c not in columns))
    rows = sorted(upstreams, key=lambda name: -(cells[name, columns[0]].value or 0.0))
    facts = [
        f"head {head}; area: mean {metric} from 0 to 30 dB of noise as a share of the clean one, 95 % intervals over "
        "groups; a suite has figures where all of it was measured"
    ]
    any_one = next(record for own in upstreams.values() for record in own.values())
    return Table(
        f"{base} · robustness · {head}",
        facts,
        rows,
        columns,
        cells,
        names=dict(called),
        interpretation=any_one.downstream.interpretation,
    ), problems


def _of_suites(own: Changes, metric: str) -> dict[str, Cell]:
    """Of each suite that is whole: the mean change, and the change after which the fewest predictions stay."""
    made: dict[str, Cell] = {}
    for suite in SUITES:
        several = members(suite)
        if not set(several) <= set(own):
            continue
        against = {change: a for change in several if (a := own[change].scores.against_clean)}
        changes = [a.change.value for a in against.values() if a.change.value is not None]
        worst = min(against, key=lambda change: against[change].unchanged.value or 0.0)
        made[f"{suite}: mean change"] = Cell(statistics.fmean(changes) if changes else None, metric=metric)
        stays = against[worst].unchanged
        made[f"{suite}: least unchanged, %"] = Cell(text=f"{stays.value or 0.0:.1f} ({worst.name})")
    return made
