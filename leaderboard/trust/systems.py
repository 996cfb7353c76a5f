"""The systems of a task with their predictions; all draws of random weights are one system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from commons.corridors.record import REFERENCE, Record
from commons.errors import EmorepError
from leaderboard.records import parquet
from leaderboard.records.comparable import groups
from leaderboard.records.files import path_of
from leaderboard.records.random_weights import averaged, together


@dataclass(frozen=True)
class System:
    """One row of a table.

    Attributes:
        record: its record; of several draws, their mean.
        draws: the records that it stands for.
        table: predictions of all of them, each seed of each draw a seed of its own.
    """

    record: Record
    draws: list[Record]
    table: pd.DataFrame


def systems(results: Path, records: Sequence[Record], problems: list[str]) -> Iterator[list[System]]:
    """The systems of every task of classes and head, best first, without references.

    Args:
        problems: gets a line for each record whose predictions cannot be read.
    """
    for measured, _ in groups(records):
        if measured[0].cell.downstream == REFERENCE or not measured[0].task.classes:
            continue
        made = []
        for draws in together((record, record) for record in measured):
            try:
                made.append(System(averaged(draws)[0], draws, _predictions(results, draws)))
            except EmorepError as error:
                problems.append(str(error))
        if made:
            yield made


def _predictions(results: Path, draws: Sequence[Record]) -> pd.DataFrame:
    """The predictions of some records under each other, with what is known of their utterances."""
    tables = []
    for number, record in enumerate(draws):
        path = where(results, record)
        table = parquet.read(path, record)
        facts = parquet.facts(path, record)
        if facts is not None:
            fresh = [name for name in facts.columns if name not in table]
            table = table.assign(**{name: facts[name].reindex(table["id"]).to_numpy() for name in fresh})
        seeds = np.unique(table["seed"], return_inverse=True)[1]
        tables.append(table.assign(seed=seeds + number * (seeds.max() + 1)))
    return pd.concat(tables, ignore_index=True)


def where(results: Path, record: Record) -> Path:
    """The file of a record."""
    return path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)
