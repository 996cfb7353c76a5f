"""Targets of a record's task from a copy of its corpus, for records that come without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import tasks
import upstreams
from cells.jobs import Setting
from cells.workplace import Workplace
from commons.errors import EmorepError
from leaderboard.records.parquet import columns_of, kept

if TYPE_CHECKING:
    from commons.corridors.record import Record
    from commons.places import Places
    from tasks import Task

SKIPPED = "skipped:"  # begins the mark of a task without the files that could not be decoded


class Targets:
    """Opens tasks from the corpora of these places; each is opened once."""

    def __init__(self, places: Places) -> None:
        self._places, self._workplace = places, Workplace()
        self._absent: dict[tuple[str, str], str] = {}  # a task and its audit -> why it cannot be opened

    def of(self, record: Record) -> pd.DataFrame:
        """`target`, `group` and what else records keep of an utterance, a row an id with a target.

        Raises:
            EmorepError: this copy has not the task of the record: its corpus is absent, or its audit is another.
        """
        asked = record.task.name, record.task.audit
        if asked in self._absent:
            raise EmorepError(self._absent[asked])
        try:
            return _facts(self._opened(record), record)
        except EmorepError as error:
            self._absent[asked] = str(error)
            raise

    def _opened(self, record: Record) -> Task:
        where = self._places
        skip = any(mark.startswith(SKIPPED) for mark in record.marks)
        reading = tasks.Options(where.data, where.cache, where.emobox, skip, record.cell.limit)
        setting = Setting(where.results, reading.absolute(), upstreams.Extraction(where.cache.absolute()))
        task = self._workplace.read_by(record.upstream.modality, record.cell.upstream, record.task.name, setting)
        if (task.audit.hash, str(task.definition.version)) != (record.task.audit, str(record.task.version)):
            here = f"version {task.definition.version}, audit {task.audit.hash[:8]}"
            there = f"version {record.task.version}, audit {record.task.audit[:8]}"
            raise EmorepError(f"{record.task.name}: this copy has {here}; the record has {there}")
        return task


def _facts(task: Task, record: Record) -> pd.DataFrame:
    """The columns of stored predictions that are facts of the corpus, of utterances with a target."""
    problem, rows = task.problem, np.flatnonzero(task.problem.has_target)
    targets = problem.targets[rows]
    names = np.array(problem.classes, dtype=object)
    facts = {"target": names[targets] if problem.classes else targets, "group": problem.groups[rows].astype(object)}
    of_utterances = task.utterances.iloc[rows]
    facts |= columns_of(of_utterances, kept(record.task))
    return pd.DataFrame(facts, index=pd.Index(np.asarray(problem.ids)[rows].astype(str), name="id"))
