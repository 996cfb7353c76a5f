"""The systems of a task with their predictions; all draws of random weights are one system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm
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
        table: predictions of all of them, with seeds as `of_draws` numbers them.
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
    for record in draws:
        path = where(results, record)
        table = parquet.read(path, record)
        facts = parquet.facts(path, record)
        if facts is not None:
            fresh = [name for name in facts.columns if name not in table]
            table = table.assign(**{name: facts[name].reindex(table["id"]).to_numpy() for name in fresh})
        tables.append(table)
    return of_draws(tables)


def of_draws(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of some draws under each other, each `seed` of each draw a seed of its own, from 0.

    Where draws have different numbers of seeds, those of each are repeated up to the least common multiple, so that
    draws count alike, as in ranks.
    """
    seeds = [np.unique(table["seed"], return_inverse=True)[1] for table in tables]
    counts = [int(own.max()) + 1 for own in seeds]
    each, parts = lcm(*counts), []
    for number, (table, own, count) in enumerate(zip(tables, seeds, counts, strict=True)):
        first = number * each
        parts += [table.assign(seed=own + start) for start in range(first, first + each, count)]
    return pd.concat(parts, ignore_index=True)


def where(results: Path, record: Record) -> Path:
    """The file of a record."""
    return path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)
