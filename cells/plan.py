"""The plan of a request: all jobs with their dependencies, and what is done already.

Planning resolves names, reads and audits corpora, and learns what upstreams are; it computes no feature.
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
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity, Named

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a request needs.

    Attributes:
        jobs: in an order in which they can run one after another.
        done: cells whose records stand and have the key asked for.
        failed: cells of tasks that cannot be loaded and of upstreams that cannot be built.
    """

    jobs: tuple[Job, ...]
    done: tuple[CellName, ...]
    failed: tuple[Outcome, ...]


class _Planner:
    """Gathers jobs, upstream by upstream, so that each model is built once; references come last."""

    def __init__(self, request: Request, place: Workplace, warn: Warn) -> None:
        self.request, self.place, self.warn = request, place, warn
        self.jobs: list[Job] = []
        self.done: list[CellName] = []
        self.failed: list[Outcome] = []
        self.tasks: dict[str, Task] = {}  # by the name that was asked for

    def load(self) -> None:
        """Open every task; one that cannot be asked fails its own cells only."""
        for name in self.request.tasks:
            try:
                self.tasks[name] = self.place.task(name)
            except Exception as error:
                self._fail([named.label for named in self.request.upstreams], name, error)

    def upstream(self, named: Named) -> None:
        """The jobs of one upstream on all tasks."""
        try:
            identity = upstreams.identify(named, self.request.precision, self.place.models)
        except Exception as error:
            for task in self.tasks.values():
                self._fail([named.label], task.name, error)
            return
        for asked in self.tasks:
            self._cells(asked, identity)

    def _cells(self, asked: str, identity: Identity) -> None:
        task = self.tasks[asked]
        todo: list[Measure] = []
        for reader in self._readers(task):
            try:
                seeds = downstreams.seeds(reader, self.request.seeds, len(task.problem.draws))
                job = self._decide(self._job(asked, identity, "", reader, tuple(seeds)))
            except Exception as error:
                self._fail([identity.named.label], task.name, error, [reader.name])
                continue
            todo += [job] if job else []
        if todo:
            needs = frozenset().union(*(job.reader.needs for job in todo))
            extract = Extract(f"extract {identity.named.label} {task.name}", asked, identity, needs,
                              self.request.setting)  # fmt: skip
            self.jobs += [extract, *(replace(job, after=(extract.id,)) for job in todo)]

    def references(self) -> None:
        """Rows that know nothing of the sound, for every task of which some cell is done or measured."""
        for asked, task in self.tasks.items():
            beside = tuple(job.id for job in self.jobs if isinstance(job, Measure) and job.task == asked)
            stands = any(cell[1] == task.name for cell in self.done)
            if not (beside or stands):
                continue  # references have nothing to stand beside
            for name in downstreams.references(task.problem.kind):
                reader = downstreams.resolve("probe")
                job = self._decide(self._job(asked, None, name, reader, (0,)))
                self.jobs += [replace(job, beside=() if stands else beside)] if job else []

    def _readers(self, task: Task) -> Sequence[Reader]:
        return self.request.readers or [downstreams.resolve(name) for name in task.definition.heads]

    def _job(
        self, asked: str, identity: Identity | None, reference: str, reader: Reader, seeds: tuple[int, ...]
    ) -> Measure:
        task = self.tasks[asked]
        decides = (task, identity, reference, reader, self.request.skip_bad)
        job = Measure(
            id="",
            task=asked,
            recorded_task=task.name,
            upstream=identity,
            reference=reference,
            reader=reader,
            key=keys.key(*decides),
            former_keys=keys.former_keys(*decides),
            seeds=seeds,
            mode="add",
            setting=self.request.setting,
        )
        return replace(job, id=f"measure {' '.join(job.cell)}")

    def _decide(self, job: Measure) -> Measure | None:
        """The job with what it has to do; None where its cell is done."""
        record = leaderboard.find(self.request.results, *job.cell, warn=self.warn)
        ours = record if record and record.cell.key in (job.key, *job.former_keys) else None
        if ours is None or self.request.force:
            return replace(job, mode="replace" if self.request.force else "add")
        if set(job.seeds) - set(ours.cell.seeds):
            # Seeds are added to predictions that stand, so the files are verified first; what is damaged is made anew.
            leaderboard.find(self.request.results, *job.cell, verify=True, warn=self.warn)
            return job
        if self.request.rerun:
            return replace(job, mode="compare", seeds=tuple(ours.cell.seeds))
        self.done.append(job.cell)
        return None

    def _fail(self, labels: Sequence[str], task: str, error: Exception, heads: Sequence[str] = ()) -> None:
        said = explain(error, self.request.results)
        heads = heads or [reader.name for reader in self.request.readers] or [""]
        self.failed += [Outcome("", (label, task, head), failure=said) for label in labels for head in heads]


def planned(request: Request, place: Workplace, warn: Warn) -> Plan:
    """All jobs of a request, and what is done already; `warn` is told of damaged records."""
    planner = _Planner(request, place, warn)
    planner.load()
    for named in request.upstreams:
        planner.upstream(named)
    planner.references()
    return Plan(tuple(planner.jobs), tuple(planner.done), tuple(planner.failed))
