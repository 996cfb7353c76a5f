"""The plan of a request: all jobs with their dependencies, and the cells that are done already.

To make a plan, tasks are loaded and audited and upstreams are identified; no feature is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import downstreams
import leaderboard
import upstreams
from cells import keys
from cells.jobs import CellName, Extract, Job, Measure, Outcome
from cells.measure import explain
from cells.workplace import Workplace

if TYPE_CHECKING:
    from cells.request import Request
    from commons.corridors.record import Record
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity, Named

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The jobs of a request, and the cells that need none.

    Attributes:
        jobs: in an order in which they can run one after another.
        done: cells whose existing record has their key.
        failed: cells of tasks that cannot be loaded and of upstreams that cannot be built.
    """

    jobs: tuple[Job, ...]
    done: tuple[CellName, ...]
    failed: tuple[Outcome, ...]


class _Planner:
    """Collects jobs by upstream, so that each model is built once; references come last."""

    def __init__(self, request: Request, place: Workplace, warn: Warn) -> None:
        self.request, self.place, self.warn = request, place, warn
        self.jobs: list[Job] = []
        self.done: list[CellName] = []
        self.failed: list[Outcome] = []
        self.tasks: dict[str, Task] = {}  # by the name that was asked for

    def load(self) -> None:
        """Load every task; where one cannot be loaded, only its own cells fail."""
        for name in self.request.tasks:
            try:
                self.tasks[name] = self.place.task(name, self.request.setting)
            except Exception as error:
                self._fail("", name, error)

    def upstream(self, named: Named) -> None:
        """The jobs of one upstream on all tasks."""
        try:
            identity = upstreams.identify(named, self.request.precision, self.place.models)
        except Exception as error:
            for task in self.tasks.values():
                self._fail(named.record_name, task.name, error)
            return
        for asked in self.tasks:
            self._cells(asked, identity)

    def _cells(self, asked: str, identity: Identity) -> None:
        task = self.tasks[asked]
        todo: list[Measure] = []
        for reader in self._readers(task):
            try:
                seeds = downstreams.seeds(reader, self.request.seeds, len(task.problem.draws))
                job = self._cell(asked, identity, "", reader, tuple(seeds))
            except Exception as error:
                self._fail(identity.named.record_name, task.name, error, reader.name)
                continue
            todo += [job] if job else []
        # Networks that are trained are not in the store.
        needs = frozenset[str]().union(*(job.reader.needs for job in todo)) - {"live"}
        if todo and not needs:
            self.jobs += todo
        elif todo:
            name = f"extract {identity.named.record_name} {task.name}"
            extract = Extract(name, asked, identity, needs, self.request.setting)
            self.jobs += [extract, *(replace(job, after=(extract.id,), needs=needs) for job in todo)]

    def references(self) -> None:
        """Jobs of reference rows, for every task with a cell that is done or measured."""
        for asked, task in self.tasks.items():
            beside = tuple(job.id for job in self.jobs if isinstance(job, Measure) and job.task == asked)
            stands = any(cell[1] == task.name for cell in self.done)
            if not (beside or stands):
                continue  # there is no cell to compare the references with
            for name in downstreams.references(task.problem.kind):
                reader = downstreams.resolve("probe")
                job = self._cell(asked, None, name, reader, (0,))
                self.jobs += [replace(job, beside=() if stands else beside)] if job else []

    def _readers(self, task: Task) -> Sequence[Reader]:
        """The heads of a task. One with a second stage comes before those that need the first alone: its training does
        for all, since the encoder is not kept."""
        readers = self.request.readers or [downstreams.resolve(name) for name in task.definition.heads]
        return sorted(readers, key=lambda reader: reader.settings.get("then", "nothing") == "nothing")

    def _cell(
        self, asked: str, identity: Identity | None, reference: str, reader: Reader, seeds: tuple[int, ...]
    ) -> Measure | None:
        """The job of one cell; None where the cell is done."""
        task = self.tasks[asked]
        job = Measure(
            id="",
            task=asked,
            recorded_task=task.name,
            upstream=identity,
            reference=reference,
            reader=reader,
            needs=frozenset(),
            key=keys.key(task, identity, reference, reader, self.request.skip_bad),
            seeds=seeds,
            mode="add",
            setting=self.request.setting,
        )
        job = replace(job, id=f"measure {' '.join(job.cell)}")
        record = leaderboard.find(self.request.results, *job.cell, warn=self.warn)
        return self._decide(job, record)

    def _decide(self, job: Measure, record: Record | None) -> Measure | None:
        """The job with its mode and seeds, given the existing record; None where the cell is done."""
        ours = record if record and record.cell.key == job.key else None
        if ours is None or self.request.force:
            return replace(job, mode="replace" if self.request.force else "add")
        if set(job.seeds) - set(ours.cell.seeds):
            # Verify the stored files before adding seeds; damaged ones are made again.
            leaderboard.find(self.request.results, *job.cell, verify=True, warn=self.warn)
            return job
        if self.request.rerun:
            return replace(job, mode="compare", seeds=tuple(ours.cell.seeds))
        self.done.append(job.cell)
        return None

    def _fail(self, upstream: str, task: str, error: Exception, head: str = "") -> None:
        """Store a failure: of all cells of a task, of an upstream on a task, or of one cell."""
        failure = explain(error, self.request.results)
        self.failed.append(Outcome("", (upstream, task, head), failure=failure))


def planned(request: Request, place: Workplace, warn: Warn) -> Plan:
    """The plan of a request; `warn` is called with a line on each damaged record."""
    planner = _Planner(request, place, warn)
    planner.load()
    for named in request.upstreams:
        planner.upstream(named)
    planner.references()
    return Plan(tuple(planner.jobs), tuple(planner.done), tuple(planner.failed))
