"""The area under a figure over the level of noise, as a share of the clean figure, with its interval over groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from commons.corridors.predictions import CLEAN
from commons.corridors.record import Record
from commons.metrics import METRICS
from leaderboard.comparison.statistics import Effect, effect
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
    if not covers([level for level, _ in own]) or len({record.cell.training for _, record in own}) != 1:
        named = ", ".join(record.cell.task for record in records)
        raise LeaderboardError(f"{named}: an area needs the levels 0 and 30 dB of one training; measure them together")
    first, metric = own[0][1], METRICS[own[0][1].task.headline]
    share, total, without = weights([level for level, _ in own]), 0.0, np.zeros(0)
    for weight, (_, record) in zip(share, own, strict=True):
        table = _table(results, record)
        value, left = leave_one_out(by_group(table, record.task)[0], metric)
        total, without = total + weight * float(value), without + weight * left if len(without) else weight * left
    clean = by_group(_table(results, first).assign(prediction=lambda table: table[CLEAN]), first.task)[0]
    value, left = leave_one_out(clean, metric)
    ratio, ratios = 100 * total / float(value), 100 * without / left
    error = float(standard_error(ratios)) if len(ratios) > 1 else np.nan
    return effect(ratio, error, float(freedom(shares(clean[0], metric))))


def _level(record: Record) -> float | None:
    return record.task.perturbation.level if record.task.perturbation else None


def _table(results: Path, record: Record) -> pd.DataFrame:
    path = path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)
    return read(path, record, ["seed", "target", "prediction", "group", CLEAN])
