"""Jobs: plain values in, files and an outcome out.

A job can be sent to another process, killed at any moment and run again. It opens its task and its features by name,
and does only work that is not done yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from commons.corridors.utterances import Modality
    from downstreams import Reader
    from tasks import Options
    from upstreams import Ablation, Extraction, Identity

PART = " part "  # in the id of a job that does a part of an extraction or of trainings
CellName = tuple[str, str, str]  # upstream, task, downstream, as files and tables name them


@dataclass(frozen=True)
class Setting:
    """Values that all jobs of a request share.

    Attributes:
        results: folder of records; all folders of a job are absolute.
        reading: options for loading tasks.
        extraction: options for making features; also the device of the heads.
    """

    results: Path
    reading: Options
    extraction: Extraction


@dataclass(frozen=True)
class Extract:
    """Make the features, missing in the store, of one upstream on one task's utterances.

    Attributes:
        task: the name that opens the task: `emodb`, `csv:FILE` ...
        after: jobs that must have succeeded before.
        part, parts: of several jobs that share one extraction, which one this is, from 0: it takes every utterance
            whose number leaves `part` when divided by `parts`.
    """

    id: str
    task: str
    upstream: Identity
    needs: frozenset[str]
    setting: Setting
    after: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1


def given(upstream: Identity | str, texts: str) -> str:
    """How files and tables name an upstream, or a reference row, that is given these texts."""
    name = upstream if isinstance(upstream, str) else upstream.named.record_name
    return f"{name}@{texts}" if texts else name


@dataclass(frozen=True)
class Measure:
    """Write the record of one cell: train a head on an upstream's features, or compute a reference row, and score it.

    Attributes:
        task: the name that opens the task; recorded_task: its name in records and tables.
        upstream: None for a reference row, which `reference` names.
        needs: the features that its extraction made and that it opens.
        key: hash of everything that decides the figures.
        seeds: all seeds that the record must hold in the end.
        mode: `add` missing seeds to the existing record, `replace` it, or `compare` with it and keep it.
        again: of a cell that is measured again, the run that does so: its long trainings are of that run alone.
        beside: of a reference row, the cells that it is shown with; it runs unless all of them failed. Empty: always.
        texts: of a cell that reads texts of a user's file, the file's stem and a hash of its content; else empty.
        keep: heads whose weights are kept, each with the key of its cell: this one, and those that share its training;
            empty: none are.
        training: of a cell whose test audio is changed, the key of its training, which is that of the clean cell.
        together: cells that this job measures by one training, itself among them, each with its own task; empty: it
            measures one. `task` then opens the task that has all of their test sets.
    """

    id: str
    task: str
    recorded_task: str
    upstream: Identity | None
    reference: str
    reader: Reader
    needs: frozenset[str]
    key: str
    seeds: tuple[int, ...]
    mode: Literal["add", "replace", "compare"]
    setting: Setting
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    texts: str = ""
    keep: tuple[tuple[Reader, str], ...] = ()
    training: str = ""
    again: str = ""
    together: tuple[Measure, ...] = ()

    @property
    def parts(self) -> tuple[Measure, ...]:
        """A job for each cell that is measured."""
        return self.together or (self,)

    @property
    def cell(self) -> CellName:
        """(upstream, task, downstream); texts of a user's file are named behind the upstream: NAME@FILE~1a2b3c4d."""
        from commons.corridors.record import REFERENCE

        if self.upstream is None:
            return given(self.reference, self.texts), self.recorded_task, REFERENCE
        return given(self.upstream, self.texts), self.recorded_task, self.reader.name

    @property
    def modality(self) -> Modality | None:
        """What the upstream or reference row reads of an utterance; None: neither audio nor text."""
        import downstreams

        return self.upstream.modality if self.upstream else downstreams.reference_reads(self.reference)


@dataclass(frozen=True)
class Late:
    """Write the record of one cell of late fusion: the mean of the predictions of other cells.

    Attributes:
        upstream: the facts of all parts together.
        parts: of each part its upstream, as files and tables name it, and the key of its cell.
        mode: `replace` an existing record, or `compare` with it and keep it.
        Others as in Measure.
    """

    id: str
    task: str
    recorded_task: str
    upstream: Identity
    parts: tuple[tuple[str, str], ...]
    reader: Reader
    key: str
    seeds: tuple[int, ...]
    mode: Literal["replace", "compare"]
    setting: Setting
    after: tuple[str, ...] = ()
    texts: str = ""

    @property
    def cell(self) -> CellName:
        """(upstream, task, downstream), as in Measure."""
        return given(self.upstream, self.texts), self.recorded_task, self.reader.name

    @property
    def modality(self) -> Modality:
        """What the parts read of an utterance."""
        return self.upstream.modality


Cell = Measure | Late


@dataclass(frozen=True)
class Train:
    """Do the long trainings of a cell's head, one for each fold and seed. They stay in the results folder, where the
    cell finds them, and others that share them. No record is written.

    Attributes:
        of: the cell.
        seeds: those to train.
        fits: number of trainings, over all parts.
        part, parts: of several jobs that share the trainings, which one this is, from 0: it does every training whose
            number leaves `part` when divided by `parts`.
        Others as in Measure.
    """

    id: str
    of: Measure
    seeds: tuple[int, ...]
    fits: int
    after: tuple[str, ...] = ()
    part: int = 0
    parts: int = 1

    @property
    def setting(self) -> Setting:
        return self.of.setting

    @property
    def task(self) -> str:
        """The name that opens the task."""
        return self.of.task


@dataclass(frozen=True)
class Pretrain:
    """Pre-train one variant of an ablation, unless that is done.

    Attributes:
        speech: folders of speech, absolute.
        runs: the folder of runs, absolute.
        seen: corpora of the benchmark among the speech -> "audio"; None: not known.
        files: NAME -> file, for recipes that name $NAME.
    """

    id: str
    ablation: Ablation
    variant: str
    speech: tuple[Path, ...]
    runs: Path
    seen: Mapping[str, str] | None
    files: Mapping[str, str]
    setting: Setting
    after: tuple[str, ...] = ()


Divided = Extract | Train  # jobs that can be done in parts, side by side
Job = Divided | Cell | Pretrain


def cell_of(job: Job) -> CellName | None:
    """The cell that a job measures; None where it measures none."""
    return job.cell if isinstance(job, Cell) else None


def with_setting(job: Job, change: Callable[[Setting], Setting]) -> Job:
    """The job with another setting, its parts as well."""
    if isinstance(job, Train):
        return replace(job, of=_measured(job.of, change))
    return _measured(job, change) if isinstance(job, Measure) else replace(job, setting=change(job.setting))


def _measured(job: Measure, change: Callable[[Setting], Setting]) -> Measure:
    return replace(job, setting=change(job.setting), together=tuple(_measured(part, change) for part in job.together))


def parts_of(job: Job) -> tuple[Cell, ...]:
    """The cells that a job measures, as jobs of their own."""
    if isinstance(job, Measure):
        return job.parts
    return (job,) if isinstance(job, Late) else ()


@dataclass(frozen=True)
class Extracted:
    """The result of an extraction, for records of cells that use its features.

    Attributes:
        counts: utterances computed, reused, padded, windowed.
        seconds: decode, forward and write, summed over workers; total: wall time.
        parameters: number of parameters of the upstream's networks; None where it has none or nothing was computed.
    """

    counts: dict[str, int]
    seconds: dict[str, float]
    audio_seconds: float | None
    parameters: int | None
    device: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        cell: the cell that it measured; None where it measured none.
        differs: where a cell was measured again to compare it, the differences from its record.
        failure: why the job failed; empty where it succeeded.
        skipped: whether it was not run because a job that it needs failed.
        also: outcomes of the other cells that the job measured.
    """

    job: str
    cell: CellName | None = None
    differs: tuple[str, ...] | None = None
    failure: str = ""
    skipped: bool = False
    also: tuple[Outcome, ...] = ()
    extracted: Extracted | None = field(default=None, repr=False)


def skipped(job: Job, ended: Mapping[str, Outcome]) -> Outcome | None:
    """The outcome of a job that is not run: one that it needs failed, or all cells that it stands beside did.

    Args:
        ended: outcomes by their jobs' ids.
    """
    for before in job.after:
        if before in ended and (failure := ended[before].failure):
            if len(job.after) > 1:  # say which part of a fusion it was
                failure = f"{before}: {failure}"
            return Outcome(job.id, cell_of(job), failure=failure, skipped=True)
    beside = job.beside if isinstance(job, Measure) else ()
    if beside and all(one in ended and ended[one].failure for one in beside):
        return Outcome(job.id, cell_of(job), skipped=True)  # a reference row without a cell to compare it with
    return None
