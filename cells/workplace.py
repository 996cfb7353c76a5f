"""Objects that a process keeps between jobs: tasks, the last features, the last model."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import tasks
import upstreams
from cells import keys
from commons.progress import bar, of_task
from upstreams.extraction.models import Models

if TYPE_CHECKING:
    from cells.jobs import Extract, Measure, Setting
    from commons.corridors.features import Features
    from commons.corridors.utterances import Modality
    from tasks import Options, Task
    from upstreams import Identity

TRAININGS = "trainings"  # in the results folder
AGAIN = "-again-"  # before the name of a run that measures again
ROWS = 300_000  # utterances of all tasks that are kept, though nobody else holds them: about 300 MB of tables


class Workplace:
    """Opens tasks and features by name, and keeps those that the next job is likely to need."""

    def __init__(self) -> None:
        self.models = Models()
        self._tasks: OrderedDict[tuple[str, Options], Task] = OrderedDict()  # the last used last
        self._held: WeakValueDictionary[tuple[str, Options], Task] = WeakValueDictionary()  # by anybody: by a planner
        self._seconds: dict[tuple[str, Options], float] = {}  # of loading each
        self._features: tuple[tuple[object, ...], Features] | None = None

    def task(self, name: str, setting: Setting) -> Task:
        """The task of that name. Raises EmorepError."""
        return self._opened(name, setting.reading)

    def read_by(self, modality: Modality | None, reader: str, name: str, setting: Setting) -> Task:
        """The task as upstreams of a modality read it: where that is asked for, without utterances that lack text.

        Args:
            modality: None: neither audio nor text is read.
            reader: the upstream or reference row that reads, for messages.

        Raises:
            EmorepError: what it reads is missing.
        """
        task, reading = self.task(name, setting), setting.reading
        if modality is None or tasks.readable(task, modality, reader, reading):
            return task
        return self._opened(name, replace(reading, with_text=True))

    def seconds(self, name: str, setting: Setting) -> float:
        """Wall time of loading the task, s."""
        key = name, setting.reading
        if key not in self._seconds:
            self._opened(*key)
        return self._seconds[key]

    def _opened(self, name: str, reading: Options) -> Task:
        key = name, reading
        task = self._held.get(key)
        if task is None:
            started = time.perf_counter()
            with bar(of_task(name, "checking audio"), "files") as progress:
                task = tasks.load(name, reading, progress, lambda each: self._held.get((each, reading)))
            self._tasks[key] = self._held[key] = task
            self._seconds[key] = time.perf_counter() - started
            while len(self._tasks) > 1 and sum(len(kept.utterances) for kept in self._tasks.values()) > ROWS:
                self._tasks.popitem(last=False)
        elif key in self._tasks:
            self._tasks.move_to_end(key)
        return task

    def folder(self, job: Measure) -> Path | None:
        """The folder in which the job's head keeps the states of its trainings; None for heads that keep none.

        A training goes on from the states there. The cells of a long one share its results; of others they are removed
        once the cell is done. Cells that are measured again have a folder of their run, which it removes in the end.
        """
        if job.upstream is None or not (job.reader.resumes or job.reader.keeps_folds):
            return None
        task = self.read_by(job.modality, job.cell[0], job.task, job.setting)
        key = keys.training(task, job.upstream, job.reader, job.setting.reading.skip_bad)
        again = f"{AGAIN}{job.again}" if job.again else ""
        return job.setting.results / TRAININGS / f"{key[:32]}{again}"

    def lacking(self, job: Extract) -> float:
        """Seconds of audio, or number of texts, of which the store lacks something. Raises EmorepError."""
        who = job.upstream
        rows = self.read_by(who.modality, who.named.record_name, job.task, job.setting).utterances
        return upstreams.lacking(who, rows, job.needs, job.setting.extraction)

    def features(
        self, name: str, upstream: Identity, needs: frozenset[str], setting: Setting, part: tuple[int, int] = (0, 1)
    ) -> Features:
        """Features of a task's utterances, from the store or computed now. Raises EmorepError.

        Args:
            part: (k, n): of every n utterances the k-th alone, from 0.
        """
        key = name, setting.reading, upstream.fingerprint, upstream.precision, needs, setting.extraction, part
        if self._features is None or self._features[0] != key:
            self._features = None  # close them before others are opened
            who = upstream.named.record_name
            rows = self.read_by(upstream.modality, who, name, setting).utterances.iloc[part[0] :: part[1]]
            with bar(of_task(name, who), "texts" if upstream.modality == "text" else "s of audio") as progress:
                made = upstreams.extract(upstream, rows, needs, setting.extraction, progress, self.models)
            self._features = key, made
        return self._features[1]
