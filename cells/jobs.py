"""Jobs: plain values in, files and an outcome out.

A job can be sent to another process, killed at any moment and run again: it opens its task and its features by
reference and does only what is not there yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from downstreams import Reader
    from tasks import Options
    from upstreams import Extraction, Identity

CellName = tuple[str, str, str]  # upstream, task, downstream, as files and tables name them


@dataclass(frozen=True)
class Setting:
    """What all jobs of a request share.

    Attributes:
        results: folder of records, absolute, as all folders of a job are.
        reading: how tasks are loaded; extraction: how features are made, and the device of the heads.
    """

    results: Path
    reading: Options
    extraction: Extraction


@dataclass(frozen=True)
class Extract:
    """Make the features of one upstream on one task's utterances that the store lacks.

    Attributes:
        task: the name by which it is opened: `emodb`, `csv:FILE` ...
    """

    id: str
    task: str
    upstream: Identity
    needs: frozenset[str]
    setting: Setting
    after: tuple[str, ...] = ()  # jobs that must have succeeded


@dataclass(frozen=True)
class Measure:
    """Train one head on one upstream's features of one task, score it, write the record; or the same of a reference.

    Attributes:
        task: the name by which it is opened; recorded_task: the one that records and tables carry.
        upstream: None for a reference row, which `reference` names.
        needs: the features that its extraction made, which it opens.
        key: hash of all that decides the figures; former_key: that of the record which stands, if it is of an earlier
            formula and of the same cell; empty otherwise.
        seeds: all seeds that the record shall hold.
        mode: `add` the seeds that are missing, `replace` what stands, or `compare` with it and keep it.
        beside: jobs of which one at least must have succeeded; empty: none need have.
    """

    id: str
    task: str
    recorded_task: str
    upstream: Identity | None
    reference: str
    reader: Reader
    needs: frozenset[str]
    key: str
    former_key: str
    seeds: tuple[int, ...]
    mode: Literal["add", "replace", "compare"]
    setting: Setting
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def cell(self) -> CellName:
        """(upstream, task, downstream)."""
        from commons.corridors.record import REFERENCE

        if self.upstream is None:
            return self.reference, self.recorded_task, REFERENCE
        return self.upstream.named.record_name, self.recorded_task, self.reader.name


Job = Extract | Measure


@dataclass(frozen=True)
class Extracted:
    """What an extraction did, for the records of the cells that read it.

    Attributes:
        counts: utterances computed, reused, padded, windowed.
        seconds: decode, forward and write, summed over workers; total by the clock.
        parameters: of the upstream's networks; None where it has none or nothing had to be computed.
    """

    counts: dict[str, int]
    seconds: dict[str, float]
    audio_seconds: float
    parameters: int | None
    device: str


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        cell: the cell it measured; None for an extraction.
        differs: of a cell that was measured again: how it differs from what stood there.
        failure: why the job failed; empty where it did not.
        skipped: it was not run, since a job that it needs failed.
    """

    job: str
    cell: CellName | None = None
    differs: tuple[str, ...] | None = None
    failure: str = ""
    skipped: bool = False
    extracted: Extracted | None = field(default=None, repr=False)
