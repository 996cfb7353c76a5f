"""Figures over several changes of test audio: areas over the level of noise and mean changes, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from commons.corridors.predictions import CLEAN
from commons.corridors.record import Record
from commons.metrics import METRICS
from leaderboard.comparison.statistics import Effect, between, effect
from leaderboard.errors import LeaderboardError
from leaderboard.records.intervals import freedom, leave_one_out, shares, standard_error
from leaderboard.records.parquet import read
from leaderboard.records.record_store import path_of
from leaderboard.records.scoring import by_group

ENDS = (0.0, 30.0)  # dB, between which the area is taken


def covers(levels: Sequence[float]) -> bool:
    """Whether the levels reach from one end to the other, both measured."""
    return set(ENDS) <= set(levels)


def weights(levels: Sequence[float]) -> np.ndarray:
    """Weights of the figures at ascending levels in their mean over the range, by the trapezoidal rule; they sum to 1.

    >>> print(weights([0.0, 10.0, 30.0]).round(3))
    [0.167 0.5   0.333]
    """
    steps = np.diff(np.asarray(levels, dtype=np.float64))
    own = np.zeros(len(levels))
    own[:-1] += steps / 2
    own[1:] += steps / 2
    return own / own.sum()


def area(results: Path, records: Sequence[Record]) -> Effect:
    """The mean figure between 0 and 30 dB in percent of the clean one, of records of one kind of noise and training.

    Raises:
        LeaderboardError: the levels do not reach from 0 to 30 dB, or the records are not of one training.
    """
    own = sorted((level, record) for record in records if (level := _level(record)) is not None)
    own = [(level, record) for level, record in own if ENDS[0] <= level <= ENDS[1]]
    if not covers([level for level, _ in own]) or not _of_one_training(records):
        raise LeaderboardError(
            f"{_named(records)}: an area needs the levels 0 and 30 dB of one training; measure them together"
        )
    made = _mean(results, [record for _, record in own], weights([level for level, _ in own]))
    ratio, ratios = 100 * made.changed[0] / made.clean[0], 100 * made.changed[1] / made.clean[1]
    error = float(standard_error(ratios)) if len(ratios) > 1 else np.nan
    return effect(float(ratio), error, made.freedom)


def mean_change(results: Path, records: Sequence[Record]) -> Effect:
    """The mean over changes of the headline figure less the clean one, paired, of records of one training.

    Raises:
        LeaderboardError: the records are not of one training.
    """
    if not _of_one_training(records):
        raise LeaderboardError(f"{_named(records)}: a mean change needs one training; measure them together")
    made = _mean(results, records, np.full(len(records), 1 / len(records)))
    return between(made.changed, made.clean, made.freedom)


@dataclass(frozen=True)
class _Mean:
    """A mean figure of changed audio and the clean one, each with what it is without every group.

    `freedom`: degrees of freedom of their intervals.
    """

    changed: tuple[np.ndarray, np.ndarray]
    clean: tuple[np.ndarray, np.ndarray]
    freedom: float


def _mean(results: Path, records: Sequence[Record], share: np.ndarray) -> _Mean:
    """The figures of records of one training, weighted by `share`, which sums to 1."""
    metric = METRICS[records[0].task.headline]
    tables = [_table(results, record) for record in records]
    figures = [leave_one_out(by_group(table, records[0].task)[0], metric) for table in tables]
    clean = by_group(tables[0].assign(prediction=lambda table: table[CLEAN]), records[0].task)[0]
    whole, without = (sum(w * one[part] for w, one in zip(share, figures, strict=True)) for part in (0, 1))
    return _Mean(
        changed=(np.asarray(whole), np.asarray(without)),
        clean=leave_one_out(clean, metric),
        freedom=float(freedom(shares(clean[0], metric))),
    )


def _of_one_training(records: Sequence[Record]) -> bool:
    return len({record.cell.training for record in records}) == 1


def _named(records: Sequence[Record]) -> str:
    return ", ".join(record.cell.task for record in records)


def _level(record: Record) -> float | None:
    return record.task.perturbation.level if record.task.perturbation else None


def _table(results: Path, record: Record) -> pd.DataFrame:
    path = path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)
    return read(path, record, ["seed", "target", "prediction", "group", CLEAN])
