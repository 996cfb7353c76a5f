"""Whose confidence can be trusted: Brier, log loss, confidence less accuracy, ECE, accuracy of the surest answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from commons.corridors.record import Record, Score
from commons.errors import EmorepError
from commons.marks import IMPORTED
from leaderboard.records.comparable import unit
from leaderboard.records.display_names import shown
from leaderboard.tables.model import Cell, Table, figure
from leaderboard.tables.views import row_of
from leaderboard.text import plural
from leaderboard.trust import calibration
from leaderboard.trust.calibration import BINS, COVERAGES, DRAWS
from leaderboard.trust.systems import System, systems
from leaderboard.trust.variants import BOTH, GIVEN, PRIOR, TEMPERATURE, Variant, variants

OVER, ECE, HEAT = "confidence − accuracy", "ECE (calibrated)", "temperature"
SUREST = {f"surest {coverage} %": coverage for coverage in COVERAGES}
WORDS = {
    GIVEN: "probabilities as the head gave them",
    PRIOR: "after prior correction: times the classes' shares among held-out utterances",
    BOTH: "after prior correction and a temperature, both from held-out utterances, fold by fold",
    TEMPERATURE: "after a temperature from held-out utterances, fold by fold",
}
JOINED = (
    "joined corpora: an answer is one of the classes of its own corpus; equal probabilities, and the shares of the "
    "prior, are of the classes of all corpora"
)


def by_calibration(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """For every task and head a table as given, and one for each correction."""
    problems: list[str] = []
    made: list[Table] = []
    for several in systems(results, records, problems):
        states: dict[str, list[tuple[System, Variant]]] = {}
        older: list[System] = []
        for system in several:
            try:
                own = variants(results, system)
            except EmorepError as error:
                problems.append(str(error))
                continue
            for variant in own:
                states.setdefault(variant.name, []).append((system, variant))
            if not own:
                problems.append(f"{' · '.join(_cell_of(system))}: its predictions hold no probabilities")
            elif len(own) < 2:
                older.append(system)
        made += [
            _table(several[0].record, name, states[name], _not_known(older) if name == GIVEN else [])
            for name in WORDS
            if name in states
        ]
    return made, problems


def _cell_of(system: System) -> tuple[str, str, str]:
    cell = system.record.cell
    return cell.upstream, cell.task, cell.downstream


def _not_known(older: Sequence[System]) -> list[str]:
    """A note on the systems whose corrections are not known, with the command that measures them again."""
    if not older:
        return []
    said = f"corrected probabilities are not known of {', '.join(shown(system.record) for system in older)}: "
    own = (system.record for system in older)
    if names := [r.cell.upstream for r in own if IMPORTED not in r.marks and r.upstream.fusion != "late"]:
        _, task, head = _cell_of(older[0])
        again = f"python run_benchmark.py -u {' '.join(names)} -t {task} -d {head} --force"
        return [f"{said}nothing was held out, or it was measured before that was kept; to measure it again: {again}"]
    return [f"{said}of imported predictions and of late fusions nothing is held out"]


def _table(first: Record, name: str, states: Sequence[tuple[System, Variant]], more: Sequence[str]) -> Table:
    cells: dict[tuple[str, str], Cell] = {}
    for system, variant in states:
        row, answers = row_of(system.record), variant.answers
        for metric in ("Brier", "log_loss"):
            cells[row, metric] = _cell(calibration.score(answers, metric), metric)
        cells[row, OVER] = Cell(text=_difference(calibration.overconfidence(answers)))
        chance = calibration.calibrated_ece(answers)
        cells[row, ECE] = Cell(text=f"{calibration.ece(answers):.1f} ({chance:.1f})")
        for column, coverage in SUREST.items():
            cells[row, column] = _cell(calibration.accuracy_at(answers, coverage), "WA")
        if variant.temperatures:
            cells[row, HEAT] = Cell(text=f"{np.median(variant.temperatures):.2f}")
    columns = ["Brier", "log_loss", OVER, ECE, *SUREST, *([HEAT] if name in (BOTH, TEMPERATURE) else [])]
    task, head = first.task, first.cell.downstream
    counts = first.scores.counts
    guess = 1 - 1 / len(task.classes)
    return Table(
        title=f"{task.name} · {head} · calibration, {name}",
        interpretation=first.downstream.interpretation,
        facts=[
            f"{task.title}, head {head}: {WORDS[name]}",
            f"{plural(counts.n, 'utterance')}; 95 % intervals over {plural(counts.groups, unit(first))}; equal "
            f"probabilities give Brier {figure(guess, 'Brier')}, log loss {figure(np.log(len(task.classes)), 'Brier')}",
        ],
        rows=[row_of(system.record) for system, _ in states],
        columns=columns,
        cells=cells,
        notes=[
            f"ECE: {BINS} bins of equal mass, percent; in brackets what a calibrated system with these confidences has "
            f"on average ({DRAWS} draws). It falls with accuracy and rises with few utterances: compare it with its "
            "bracket, not across heads",
            "surest: accuracy on the utterances with the highest confidence",
            *[JOINED] * bool(task.corpora),
            *_beyond(states),
            *more,
        ],
        names={row_of(system.record): shown(system.record) for system, _ in states},
    )


def _beyond(states: Sequence[tuple[System, Variant]]) -> list[str]:
    """A note on each system of which temperatures lie at an end of what was looked through."""
    least, most = calibration.COLDEST, calibration.HOTTEST
    return [
        f"{shown(system.record)}: {count} of {len(variant.temperatures)} temperatures lie at an end of {least:g} to "
        f"{most:g}, between which they were looked for: what was held out asks for more, and says little"
        for system, variant in states
        if (count := calibration.at_end(variant.temperatures))
    ]


def _cell(score: Score, metric: str) -> Cell:
    return Cell(score.value, score.low, score.high, metric=metric)


def _difference(score: Score) -> str:
    """`6.0 [-0.1, 12.0]`, in points."""
    interval = "" if score.low is None else f" [{figure(score.low, 'WA')}, {figure(score.high, 'WA')}]"
    return figure(score.value, "WA") + interval
