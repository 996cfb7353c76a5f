"""How systems do where annotators agree and where they do not: tasks of votes, by the share of the most named class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from commons.corridors.record import Record
from commons.corridors.utterances import VOTES
from commons.metrics import DISTRIBUTION, METRICS
from leaderboard.records.comparable import unit
from leaderboard.records.display_names import shown
from leaderboard.records.intervals import jackknife, shares
from leaderboard.records.scoring import by_group
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.views import row_of
from leaderboard.text import plural
from leaderboard.trust.systems import System, systems

# Stratum: the most named class has more than the first share of the votes, and the second at most.
STRATA = {"all agree": (0.999, 1.0), "more than half": (0.5, 0.999), "no majority": (0.0, 0.5)}
FIGURES = {"JS": "JS", "top-1": "WA"}


def by_agreement(results: Path, records: Sequence[Record]) -> tuple[list[Table], list[str]]:
    """A table for every task of votes and head: Jensen-Shannon divergence and accuracy in every stratum."""
    problems: list[str] = []
    of_votes = [record for record in records if record.task.kind == DISTRIBUTION]
    return [_table(several) for several in systems(results, of_votes, problems)], problems


def _table(several: Sequence[System]) -> Table:
    record = several[0].record
    cells: dict[tuple[str, str], Cell] = {}
    for system in several:
        most = _most(system)
        for stratum, (above, top) in STRATA.items():
            inside = system.table[(most > above) & (most <= top)]
            for words, metric in FIGURES.items():
                if len(inside):
                    cells[row_of(system.record), f"{stratum} · {words}"] = _cell(system, inside, metric)
    columns = [f"{stratum} · {words}" for stratum in STRATA for words in FIGURES]
    filled = {column for _, column in cells}
    first = several[0].table["seed"] == several[0].table["seed"].min()
    most = _most(several[0])[first.to_numpy()]
    sizes = [f"{stratum} {int(((most > above) & (most <= top)).sum())}" for stratum, (above, top) in STRATA.items()]
    over = plural(record.scores.counts.groups, unit(record))
    return Table(
        title=f"{record.task.name} · {record.cell.downstream} · agreement",
        interpretation=record.downstream.interpretation,
        facts=[
            f"{record.task.title}, head {record.cell.downstream}: Jensen-Shannon divergence to the votes (bits) and "
            "accuracy on the class of most votes",
            f"by the share of votes for that class, utterances: {', '.join(sizes)}; 95 % intervals over {over}",
        ],
        rows=[row_of(system.record) for system in several],
        columns=[column for column in columns if column in filled],
        cells=cells,
        names={row_of(system.record): shown(system.record) for system in several},
    )


def _most(system: System) -> np.ndarray:
    """(R,) the share of votes for the class that most annotators named."""
    columns = [f"{VOTES}{name}" for name in system.record.task.classes]
    return np.asarray(system.table[columns].to_numpy(np.float64).max(1))


def _cell(system: System, inside: pd.DataFrame, metric: str) -> Cell:
    statistics, _ = by_group(inside, system.record.task)
    own = METRICS[metric]
    value, low, high, _ = jackknife(statistics, own, own.limits, shares(statistics[0], own))
    bottom, top = (float(end) if np.isfinite(end) else None for end in (low, high))
    return Cell(float(value), bottom, top, metric=metric)
