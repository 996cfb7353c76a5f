"""The plan of a request: all jobs with their dependencies, and the cells that are done already.

To make a plan, tasks are loaded and audited and upstreams are identified; no feature is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import downstreams
import leaderboard
import tasks
import upstreams
from cells import keeping, keys, late, replacing, runs, together, trainings
from cells.costs import Costs, Size, joined, size
from cells.jobs import Cell, CellName, Divided, Extract, Job, Late, Measure, Outcome, Train, given
from cells.late import LateFusion
from cells.measure import explain, standing
from cells.workplace import Workplace
from commons.corridors.record import REFERENCE
from commons.errors import EmorepError

if TYPE_CHECKING:
    from cells.request import Request
    from commons.corridors.record import Record
    from commons.corridors.utterances import Modality
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity, Named

Warn = Callable[[str], None]
EXAMPLES = 3  # earlier records of an upstream from which its costs are taken


@dataclass(frozen=True)
class Plan:
    """The jobs of a request, and the cells that need none.

    Attributes:
        jobs: in an order in which they can run one after another.
        done: cells whose existing record has their key.
        failed: cells of tasks that cannot be loaded and of upstreams that cannot be built.
        cells: the jobs of all cells, those that are done as well.
        sizes: of every task, by the name that was asked for.
        costs: what the jobs take, by the records of this plan's cells.
        run: the name of the run that does them.
    """

    jobs: tuple[Job, ...]
    done: tuple[CellName, ...]
    failed: tuple[Outcome, ...]
    cells: tuple[Cell, ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    run: str = field(default_factory=runs.new_name)


class _Planner:
    """Collects jobs by upstream, so that each model is built once; references come last."""

    def __init__(self, request: Request, place: Workplace, warn: Warn) -> None:
        self.request, self.place, self.warn, self.setting = request, place, warn, request.setting
        self.run = runs.new_name()
        self.jobs: list[Divided | Cell] = []
        self.extractions: dict[str, int] = {}  # where in `jobs` each is, by its id
        self.trainings: dict[str, int] = {}  # where in `jobs` they are, by their folder
        self.done: list[CellName] = []
        self.failed: list[Outcome] = []
        self.cells: list[Cell] = []  # of all cells, done or not
        self.costs = Costs()
        self.tasks: dict[str, Task] = {}  # by the name that was asked for
        self.texts_read: set[str] = set()  # tasks, by that name, of which a cell reads the texts
        self.planned: dict[Named, Identity | Exception] = {}  # upstreams with jobs; an exception where one has none

    def load(self) -> None:
        """Load every task; where one cannot be loaded, only its own cells fail."""
        for name in self.request.tasks:
            try:
                self.tasks[name] = self.place.task(name, self.setting)
            except Exception as error:
                self._fail("", name, error)
        self._tell_texts()

    def _tell_texts(self) -> None:
        """Say which ids a user's files of texts lack or have in excess, and which files no task reads."""
        for line in dict.fromkeys(note for task in self.tasks.values() for note in task.text_notes):
            self.warn(line)
        corpora = {corpus for task in self.tasks.values() for corpus in task.reading.texts}
        for corpus, _ in self.request.texts:
            if self.tasks and corpus not in corpora:
                self.warn(f"--text {corpus}: no task that was asked for has utterances of {corpus}")

    def upstream(self, named: Named | LateFusion) -> None:
        """The jobs of one upstream on all tasks; of a late fusion, after those of its parts."""
        if isinstance(named, LateFusion):
            self._late(named)
        elif named not in self.planned:
            self.planned[named] = self._alone(named)

    def _alone(self, named: Named) -> Identity | Exception:
        try:
            identity = upstreams.identify(named, self.request.precision, self.place.models)
        except Exception as error:
            for task in self.tasks.values():
                self._fail(named.record_name, task.name, error)
            return error
        todo: dict[str, list[tuple[Measure, Task]]] = {}  # by the task whose cell trains
        for asked, task in self._readable(identity).items():
            todo.setdefault(together.base_of(asked, task), []).extend(self._cells(asked, identity))
        for own in todo.values():
            self._add(identity, own)
        if not self.costs.known(named.record_name):  # from cells that this request does not ask for
            self.costs.learn(leaderboard.examples(self.request.results, named.record_name, EXAMPLES))
        return identity

    def _readable(self, identity: Identity) -> dict[str, Task]:
        """The tasks that an upstream is measured on: of a card, one that reads texts is not on changed audio."""
        if not self.request.card or identity.modality != "text":
            return self.tasks
        own = {asked: one for asked, one in self.tasks.items() if not (one.derivation and one.derivation.perturbation)}
        if len(own) < len(self.tasks):
            self.warn(f"{identity.named.record_name} reads text: its card leaves changed audio out")
        return own

    def _late(self, fusion: LateFusion) -> None:
        """The jobs of a late fusion on all tasks."""
        name = fusion.named.record_name
        parts: list[Identity] = []
        for part in fusion.named.parts:
            self.upstream(part)
            identity = self.planned[part]
            if isinstance(identity, Exception):
                for task in self.tasks.values():
                    self._fail(name, task.name, EmorepError(f"its part {part.record_name} fails: {identity}"))
                return
            parts.append(identity)
        whole = late.identity(fusion, parts)
        for asked, task in self.tasks.items():
            for reader in self._readers(task):
                try:
                    self._late_cell(asked, whole, reader)
                except Exception as error:
                    self._fail(name, task.name, error, reader.name)

    def _late_cell(self, asked: str, whole: Identity, reader: Reader) -> None:
        """The job of one cell of a late fusion, unless it is done."""
        name, skip_bad = whole.named.record_name, self.request.skip_bad
        if (made := self.tasks[asked].derivation) and made.perturbation:
            raise EmorepError(
                f"late fusion averages predictions for unchanged audio; fuse features (a+b), or ask for {made.base}"
            )
        task = self.place.read_by(whole.modality, name, asked, self.setting)
        owns = [self.place.read_by(part.modality, part.named.record_name, asked, self.setting) for part in whole.parts]
        names = [
            given(part, own.other_texts if "text" in part.modality else "")
            for part, own in zip(whole.parts, owns, strict=True)
        ]
        late.refuse_unlike(name, task.name, {part: len(own.problem.ids) for part, own in zip(names, owns, strict=True)})
        cells = {(name, task.name, reader.name) for name in names}
        if failed := next((outcome for outcome in self.failed if outcome.cell in cells), None):
            raise EmorepError(f"its part {failed.cell[0] if failed.cell else ''} fails: {failed.failure}")
        own_keys = [keys.key(own, part, "", reader, skip_bad) for part, own in zip(whole.parts, owns, strict=True)]
        job = Late(
            id="",
            task=asked,
            recorded_task=task.name,
            upstream=whole,
            parts=tuple(zip(names, own_keys, strict=True)),
            reader=reader,
            key=late.key(own_keys),
            seeds=tuple(downstreams.seeds(reader, self.request.seeds, len(task.problem.draws))),
            mode="replace",
            setting=self.setting,
            texts=task.other_texts if "text" in whole.modality else "",
            after=tuple(
                job.id
                for job in self.jobs
                if isinstance(job, Measure) and any(part.cell in cells for part in job.parts)
            ),
        )
        job = replace(job, id=f"measure {' '.join(job.cell)}")
        self.cells.append(job)
        record = leaderboard.find(self.request.results, *job.cell, warn=self.warn)
        done = record is not None and record.cell.key == job.key and set(job.seeds) <= set(record.cell.seeds)
        if record and done and self.request.rerun:
            self.jobs.append(replace(job, mode="compare", seeds=tuple(record.cell.seeds)))
        elif done and not self.request.force:
            self.done.append(job.cell)
        else:
            self.jobs.append(job)

    def _cells(self, asked: str, identity: Identity) -> list[tuple[Measure, Task]]:
        """Jobs of an upstream's cells on one task that are not done, each with the task as the upstream reads it."""
        who = identity.named.record_name
        try:
            tasks.refuse_unchanged(self.tasks[asked], identity.modality, who)
            task = self.place.read_by(identity.modality, who, asked, self.setting)
        except Exception as error:
            self._fail(who, self.tasks[asked].name, error)
            return []
        todo: list[tuple[Measure, Task]] = []
        for reader in self._readers(task):
            try:
                upstreams.sources(identity, reader.needs)  # raises where a fusion has no such features
                seeds = downstreams.seeds(reader, self.request.seeds, len(task.problem.draws))
                job = self._cell(asked, task, identity, "", reader, tuple(seeds))
            except Exception as error:
                self._fail(who, task.name, error, reader.name)
                continue
            todo += [(job, task)] if job else []
        return todo

    def _add(self, identity: Identity, todo: Sequence[tuple[Measure, Task]]) -> None:
        """Add the jobs of an upstream's cells, after extractions of what they need: those that share a training as one.

        Networks that are trained are not in the store.
        """
        jobs = list(together.joined(todo))
        needs: dict[str, frozenset[str]] = {}  # by task; a clean cell's own task comes before that with all test sets
        for job in jobs:
            for asked in dict.fromkeys([*(part.task for part in job.parts if not part.training), job.task]):
                needs[asked] = needs.get(asked, frozenset()) | (job.reader.needs - {"live"})
        after = {asked: self._extractions(asked, identity, own) if own else () for asked, own in needs.items()}
        for job in jobs:
            parts = tuple(
                replace(part, after=after[part.task if not part.training else job.task]) for part in job.together
            )
            own = dict.fromkeys(one for part in parts for one in part.after) or after[job.task]
            job = replace(job, after=tuple(own), needs=needs[job.task], together=parts)
            self.jobs.append(self._after_training(job) if job.reader.resumes else job)

    def _after_training(self, job: Measure) -> Measure:
        """The job after that of the long trainings that it needs, which is planned here unless it is already."""
        task = self.place.read_by(job.modality, job.cell[0], job.task, self.setting)
        seeds = self._untrained(job)
        name = str(self.place.folder(job))
        if name not in self.trainings:
            self.trainings[name] = len(self.jobs)
            self.jobs.append(trainings.planned(job, seeds, task.problem))
        planned = self.jobs[self.trainings[name]]
        assert isinstance(planned, Train)
        if more := set(seeds) - set(planned.seeds):  # a cell that shares them lacks other seeds
            several = trainings.planned(planned.of, sorted(more.union(planned.seeds)), task.problem)
            self.jobs[self.trainings[name]] = several
        return replace(job, after=(*job.after, planned.id))

    def _untrained(self, job: Measure) -> list[int]:
        """The seeds of a job that a record lacks, or whose weights are wanted and were not kept."""
        if job.mode != "add":
            return list(job.seeds)
        records = [standing(part) for part in job.parts]
        lacking = {seed for seed in job.seeds if not all(one and seed in one.cell.seeds for one in records)}
        return sorted(lacking.union(*(keeping.lacking(part) for part in job.parts)))

    def _extractions(self, asked: str, identity: Identity, needs: frozenset[str]) -> tuple[str, ...]:
        """Plan the extractions that an upstream needs, of its parts where it is a fusion; returns their ids."""
        ids = []
        for source, own in upstreams.sources(identity, needs):
            name = f"extract {source.named.record_name} {self.tasks[asked].name if asked in self.tasks else asked}"
            at = self.extractions.get(name)
            planned = self.jobs[at] if at is not None else None
            if isinstance(planned, Extract):  # a part that is an upstream of this request as well
                assert at is not None
                self.jobs[at] = replace(planned, needs=planned.needs | own)
            else:
                self.extractions[name] = len(self.jobs)
                self.jobs.append(Extract(name, asked, source, own, self.setting))
            ids.append(name)
        return tuple(ids)

    def references(self) -> None:
        """Jobs of reference rows, for every task with a cell that is done or measured."""
        for asked, task in self.tasks.items():
            if task.derivation and task.derivation.perturbation:
                continue  # those of the task itself stand beside it: they depend on no audio of test, or on its length
            beside = tuple(
                job.id
                for job in self.jobs
                if isinstance(job, Measure) and any(part.task == asked for part in job.parts)
            )
            stands = any(cell[1] == task.name for cell in self.done)
            if not (beside or stands):
                continue  # there is no cell to compare the references with
            for name in downstreams.references(task.problem.kind):
                if self._has(asked, downstreams.reference_reads(name)):
                    job = self._reference(asked, name)
                    self.jobs += [replace(job, beside=() if stands else beside)] if job else []

    def _has(self, asked: str, modality: Modality | None) -> bool:
        """Whether a task has the reference rows that read this: the length of texts comes with cells that read texts,
        the duration wherever there is audio."""
        if modality == "text":
            return asked in self.texts_read
        return modality is None or self.tasks[asked].has_audio

    def _reference(self, asked: str, name: str) -> Measure | None:
        """The job of a reference row; None where it is done or cannot be made."""
        try:
            task = self.place.read_by(downstreams.reference_reads(name), name, asked, self.setting)
            return self._cell(asked, task, None, name, downstreams.resolve("probe"), (0,))
        except Exception as error:
            self._fail(name, self.tasks[asked].name, error, REFERENCE)
            return None

    def _readers(self, task: Task) -> Sequence[Reader]:
        """The heads of a task. One with a second stage comes before those that need the first alone: its training does
        for all, since the encoder is not kept."""
        readers = self.request.readers or [downstreams.resolve(name) for name in task.definition.heads]
        return sorted(readers, key=lambda reader: reader.settings.get("then", "nothing") == "nothing")

    def _cell(
        self, asked: str, task: Task, identity: Identity | None, reference: str, reader: Reader, seeds: tuple[int, ...]
    ) -> Measure | None:
        """The job of one cell; None where the cell is done. `task`: without what the upstream cannot read."""
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
            setting=self.setting,
            keep=self._kept(task, identity, reader) if identity else (),
        )
        if identity and (made := task.derivation) and made.perturbation:
            clean = self.place.read_by(identity.modality, job.cell[0], made.opens, self.request.setting)
            # Its head is the clean cell's, which keeps the weights.
            job = replace(job, training=keys.key(clean, identity, "", reader, self.request.skip_bad), keep=())
        if "text" in (job.modality or ""):
            self.texts_read.add(asked)
            job = replace(job, texts=task.other_texts)
        job = replace(job, id=f"measure {' '.join(job.cell)}")
        self.cells.append(job)
        record = leaderboard.find(self.request.results, *job.cell, warn=self.warn)
        self.costs.learn([record] if record else [])
        return self._decide(job, record)

    def _decide(self, job: Measure, record: Record | None) -> Measure | None:
        """The job with its mode and seeds, given the existing record; None where the cell is done."""
        ours = record if record and record.cell.key == job.key else None
        if record and not (ours or self.request.force) and (line := replacing.told(record, job)):
            self.warn(line)
        if ours is None or self.request.force:
            return replace(job, mode="replace", again=self.run) if self.request.force else job
        if set(job.seeds) - set(ours.cell.seeds):
            # Verify the stored files before adding seeds; damaged ones are made again.
            leaderboard.find(self.request.results, *job.cell, verify=True, warn=self.warn)
            return job
        if self.request.rerun:
            return replace(job, mode="compare", again=self.run, seeds=tuple(ours.cell.seeds))
        if keeping.lacking(job):
            self.warn(f"{' · '.join(job.cell)}: done, and its weights were not kept; it is trained again for them")
            return job
        self.done.append(job.cell)
        return None

    def _kept(self, task: Task, identity: Identity, reader: Reader) -> tuple[tuple[Reader, str], ...]:
        """The heads whose weights the training of a head keeps, with the keys of their cells: its own, and those of
        cells that share it."""
        if self.request.keeps(reader) and (why := keeping.refusal(task, identity, reader)):
            self.warn(f"{identity.named.record_name} · {task.name} · {reader.name}: weights are not kept: {why}")
            return ()
        asked = [one for one in self._readers(task) if self.request.keeps(one)]
        return keeping.together(asked, reader, task, identity, self.request.skip_bad)

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
    opened = dict(planner.tasks)
    for job in planner.jobs:  # those that hold the test sets of several are not asked for by name
        opened.setdefault(job.task, place.task(job.task, request.setting))
    sizes = joined({asked: size(task) for asked, task in opened.items()})
    return Plan(
        tuple(planner.jobs),
        tuple(planner.done),
        tuple(planner.failed),
        tuple(planner.cells),
        sizes,
        planner.costs,
        planner.run,
    )
