"""Runs: what is kept of a request while its jobs are done, for `--status`, `--cancel` and engines on other machines.

    RESULTS/jobs/RUN/plan/run.json          what the run is to do, and who drives it
    RESULTS/jobs/RUN/plan/cancel            is there once somebody asked to end it
    RESULTS/jobs/RUN/parcels/0001.json      jobs that another process does one after another
    RESULTS/jobs/RUN/outcomes/*.jsonl       outcomes of jobs; a file for each process that does some
    RESULTS/jobs/RUN/running/*.running      the job that a process does now
    RESULTS/jobs/RUN/logs/*.log             what jobs on other machines printed, a file for each
    RESULTS/jobs/claims                     locks of cells, so that no two processes measure one

A run without failures removes its folder at its end; that of a stopped one goes when a later run does its cells.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import leaderboard
from cells import travel
from cells.jobs import CellName, Extract, Outcome, Pretrain, Train, parts_of
from commons import claims as locks
from commons import files, journals
from commons.errors import EmorepError
from leaderboard.records.files import path_of

if TYPE_CHECKING:
    from cells.costs import Estimate
    from cells.jobs import Job

FOLDER, CLAIMS = "jobs", "claims"
SETTLED = 60.0  # s; a younger run may not have said yet that it is alive
_numbers = itertools.count()  # of this process
OUTCOMES, RUNNING, LOG = ".jsonl", ".running", ".log"


def claims(results: Path) -> Path:
    """The file whose locks say which cells are being measured."""
    return results / FOLDER / CLAIMS


def attempted(job: Job) -> AbstractContextManager[bool]:
    """In this context the job is claimed, unless another process has claimed it: then both do it together."""
    return locks.attempted(claims(job.setting.results), job.id)


@contextmanager
def claimed(job: Job) -> Iterator[None]:
    """In this context no other process measures a cell of the job, or pre-trains the same variant; it begins when none
    does any more.

    Cells are claimed one by one: another process may measure some of them together with others.
    """
    with ExitStack() as held:
        for name in _claims_of(job):
            held.enter_context(locks.claimed(claims(job.setting.results), name))
        yield


def is_free(job: Job) -> bool:
    """Whether no other process has claimed what the job does at this moment."""
    return all(locks.is_free(claims(job.setting.results), name) for name in _claims_of(job))


def _claims_of(job: Job) -> list[str]:
    """What a process claims that does a job: its cells, or the job itself, where it measures none."""
    return sorted(part.id for part in parts_of(job)) or ([] if isinstance(job, Extract) else [job.id])


@dataclass(frozen=True)
class Run:
    """The folder of one run, as its driver and its workers see it.

    Attributes:
        note: what is added to a failure of a job: where it happened.
    """

    folder: Path
    note: Callable[[str], str] | None = None
    _ended: dict[str, tuple[float, Outcome]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def parcels(self) -> Path:
        return self.folder / "parcels"

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to end it."""
        return (self.folder / "plan" / "cancel").exists()

    def cancel(self) -> None:
        """Ask its driver and its workers to start no further job. Raises OSError."""
        (self.folder / "plan" / "cancel").touch()

    def log(self, job: str) -> Path:
        """Where the output of a job on another machine goes."""
        return self.logs / f"{files.encode(job)}{LOG}"

    def add(self, outcome: Outcome) -> None:
        """Store an outcome; one that cannot be stored is only not shown by --status."""
        if self.note and outcome.failure and not outcome.skipped:
            outcome = replace(outcome, failure=f"{outcome.failure} {self.note(outcome.job)}")
        line = json.dumps({"at": time.time(), "outcome": json.loads(travel.write(outcome))})
        with suppress(OSError):
            journals.append(self.folder / "outcomes", line + "\n", OUTCOMES)

    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome of every job that has one; lines that are not whole are left out."""
        return {job: outcome for job, (_, outcome) in self._last().items()}

    @cached_property
    def _tail(self) -> journals.Tail:
        return journals.Tail(self.folder / "outcomes", OUTCOMES)

    def _last(self) -> dict[str, tuple[float, Outcome]]:
        """The last outcome of every job, and when it was."""
        for line in self._tail.fresh():
            with suppress(ValueError, KeyError, TypeError, EmorepError):
                entry = json.loads(line)
                outcome = travel.read(json.dumps(entry["outcome"]))
                if isinstance(outcome, Outcome) and entry["at"] >= self._ended.get(outcome.job, (0.0, outcome))[0]:
                    self._ended[outcome.job] = entry["at"], outcome
        return self._ended

    def failures(self) -> dict[str, str]:
        """Why jobs failed, by their ids; failures of cells that were measured later are left out."""
        measured: dict[object, list[float]] = {}  # by job, when each of its cells was
        for *cell, job, _, _, _ in self.cells:
            if cell[2]:
                measured.setdefault(job, []).append(self._measured(cell))
        return {
            job: outcome.failure
            for job, (at, outcome) in self._last().items()
            if outcome.failure and min(measured.get(job, [0.0])) < at
        }

    def left(self) -> list[list[object]]:
        """The entries of `cells` that are not done, or failed since."""
        failed, ended = self.failures(), self.outcomes()
        return [entry for entry in self.cells if entry[3] in failed or not self._done(entry, ended)]

    def _done(self, entry: Sequence[object], ended: Mapping[str, Outcome]) -> bool:
        """Whether this run did an entry, and the record is there, or anybody wrote a record that has what was asked."""
        upstream, task, downstream, job, _, key, seeds = entry
        if job in ended:
            return not downstream or self._measured(entry[:3]) > 0
        if not key or not isinstance(seeds, list):
            return False
        return _answers(self.folder.parents[1], (str(upstream), str(task), str(downstream)), str(key), seeds)

    @property
    def cells(self) -> list[list[object]]:
        """Of every cell: upstream, task, downstream, the id of its job, estimated seconds, key and seeds.

        The key is empty where the record had it, and all seeds, when the run began: it is measured again. Of a
        pre-training: the name of its variant, and nothing of a cell.
        """
        entries = self.about.get("cells")
        return [one for one in entries if isinstance(one, list) and len(one) == 7] if isinstance(entries, list) else []

    def _measured(self, cell: Sequence[object]) -> float:
        """When the record of a cell was written; 0 where there is none."""
        upstream, task, downstream = map(str, cell)
        with suppress(OSError):
            return path_of(self.folder.parents[1], upstream, task, downstream).stat().st_mtime
        return 0.0

    @contextmanager
    def announced(self, job: Job) -> Iterator[None]:
        """In this context --status shows that this process does the job."""
        about = {"job": job.id, "host": platform.node(), "pid": os.getpid(), "since": time.time()}
        with files.announced(journals.own(self.folder / "running", RUNNING), json.dumps(about)):
            yield

    def running(self) -> list[dict[str, str | float]]:
        """Job, host, process and start of what living processes do now."""
        return [about for path in journals.files(self.folder / "running", RUNNING) if (about := _alive(path))]

    @property
    def about(self) -> dict[str, object]:
        """What run.json holds; empty where it cannot be read."""
        try:
            content = json.loads((self.folder / "plan" / "run.json").read_text())
            return content if isinstance(content, dict) else {}
        except (OSError, ValueError):
            return {}

    @property
    def driven(self) -> bool:
        """Whether the process that began it is still alive."""
        return any(_alive(path) is not None for path in (self.folder / "plan").glob("*.driver"))

    @property
    def stopped(self) -> bool:
        """Whether nobody works on it, or will, as no job of it waits on another machine: what it left, a later run
        plans anew."""
        about, ended = self.about, self.outcomes()
        began = about.get("started")
        old = isinstance(began, float) and time.time() - began > SETTLED
        waits = about.get("engine") != "local" and not self.cancelled and any(one[3] not in ended for one in self.cells)
        return old and not waits and not self.driven and not self.running()

    @property
    def over(self) -> bool:
        """Whether nobody works on it any more, and all of its cells are done."""
        return not self.driven and not self.running() and not self.left()

    def end(self) -> None:
        """Remove the folder where no job failed, unless somebody ended the run before all was done."""
        if not (self.cancelled and self.left()) and not any(one.failure for one in self.outcomes().values()):
            shutil.rmtree(self.folder, ignore_errors=True)


def _alive(path: Path) -> dict[str, str | float] | None:
    """What a living process says in its file; None where it has ended."""
    with suppress(OSError, ValueError):
        if not files.abandoned(path):
            return cast(dict[str, str | float], json.loads(path.read_text()))
    return None


def new_name() -> str:
    """A name that no other run has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{journals.writer()}-{next(_numbers)}"


@contextmanager
def begun(
    results: Path,
    name: str,
    jobs: Sequence[Job],
    failed: Sequence[Outcome],
    estimates: Mapping[str, Estimate],
    engine: str,
) -> Iterator[Run]:
    """A new run of jobs, which in this context counts as driven; `failed`: cells that could not be planned.

    Raises:
        EmorepError: its folder cannot be written.
    """
    cells = _entries(results, jobs, estimates)
    mine = {tuple(entry[:3]) for entry in cells}
    for older in known(results):
        if older.over or (older.stopped and mine.issuperset(tuple(entry[:3]) for entry in older.left())):
            shutil.rmtree(older.folder, ignore_errors=True)
    run = Run(results / FOLDER / name)
    about = {"engine": engine, "host": platform.node(), "pid": os.getpid(), "started": time.time(), "cells": cells,
             "failed": [[*(one.cell or ()), one.failure] for one in failed]}  # fmt: skip
    try:
        (run.folder / "plan").mkdir(parents=True, exist_ok=True)
        files.write(run.folder / "plan" / "run.json", json.dumps(about))
    except OSError as error:
        raise EmorepError(files.unwritten(run.folder, error)) from error
    with files.announced(run.folder / "plan" / f"{journals.writer()}.driver", "{}"):
        yield run
        run.end()


def _entries(results: Path, jobs: Sequence[Job], estimates: Mapping[str, Estimate]) -> list[list[object]]:
    """What `Run.cells` gives of a run of these jobs."""
    spent = _spent(jobs, estimates)
    entries: list[list[object]] = []
    for job in jobs:
        if isinstance(job, Pretrain):
            entries.append([job.id, "", "", job.id, round(spent[job.id], 1), "", []])
        for part in parts_of(job):
            key = "" if _answers(results, part.cell, part.key, part.seeds) else part.key
            entries.append([*part.cell, job.id, round(spent[job.id] / len(parts_of(job)), 1), key, list(part.seeds)])
    return entries


def _answers(results: Path, cell: CellName, key: str, seeds: Iterable[int]) -> bool:
    """Whether the record of a cell has this key, and all of these seeds."""
    record = leaderboard.find(results, *cell)
    return record is not None and record.cell.key == key and set(seeds) <= set(record.cell.seeds)


def _spent(jobs: Sequence[Job], estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """Seconds of every job; those of long trainings are dealt to the cells that need them."""
    spent = {job.id: estimates[job.id].seconds for job in jobs}
    needing: dict[str, list[str]] = {job.id: [] for job in jobs if isinstance(job, Train)}
    for job in jobs:
        for before in needing.keys() & set(job.after):
            needing[before].append(job.id)
    for training, cells in needing.items():
        for name in cells:
            spent[name] += spent[training] / len(cells)
    return spent


def known(results: Path) -> list[Run]:
    """The runs of a results folder, oldest first."""
    return [Run(path.parents[1]) for path in sorted((results / FOLDER).glob("*/plan/run.json"))]


def named(parts: Iterable[str]) -> str:
    """A cell in a line of text."""
    return " · ".join(part for part in parts if part)
