"""Jobs on other machines: packed into parcels, which a scheduler starts. Outcomes come back by the results folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cells import parcels
from cells.jobs import Job, Outcome, Setting, cell_of, with_setting
from cells.parcels import Parcel

if TYPE_CHECKING:
    from cells.costs import Estimate
    from cells.engine_settings import Workers
    from cells.runs import Run

SETTLING = 3.0  # s after a parcel's end until its last outcomes are read: shared disks show a file late
REFUSED = ".refused"  # the suffix of the file in which a process says why it did nothing of a parcel


class Scheduler(Protocol):
    """Starts a process for each parcel, somewhere."""

    poll: float  # s between two looks

    def start(self, files: Sequence[Path]) -> list[str]:
        """Start or queue processes that do these parcels; returns a handle for each. Raises EmorepError."""
        ...

    def ended(self, handle: str) -> str | None:
        """None while a process runs or waits; then why it ended, "" where by itself. Raises EmorepError."""
        ...

    def stop(self, handles: Sequence[str]) -> None:
        """End these processes."""
        ...


class Cluster:
    """Runs jobs by a scheduler; outcomes are those that the processes wrote."""

    def __init__(self, scheduler: Scheduler, settings: Workers, run: Run, estimates: Mapping[str, Estimate]) -> None:
        self._scheduler, self._settings, self._run, self._estimates = scheduler, settings, run, estimates
        self._parcels: list[Parcel] = []
        self._ended: dict[str, Outcome] = {}
        self._alive: list[str] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, in an order in which each comes after the jobs that it needs."""
        there = [self._there(job) for job in jobs]
        settings = self._settings
        self._parcels += parcels.packed(there, self._estimates, settings.minutes * 60, settings.gpus > 0)

    def _there(self, job: Job) -> Job:
        """The job with the cores of the machine that will do it."""
        cores = self._settings.cpus

        def setting(own: Setting) -> Setting:
            return replace(
                own, reading=replace(own.reading, jobs=cores), extraction=replace(own.extraction, jobs=cores)
            )

        return with_setting(job, setting)

    def wait(self) -> Iterator[Outcome]:
        """The outcome of every job, as it ends."""
        for wave in sorted({parcel.wave for parcel in self._parcels}):
            own = [parcel for parcel in self._parcels if parcel.wave == wave]
            files = [parcels.write(parcel, self._run.folder, self._ended, self._settings.data) for parcel in own]
            self._alive = self._scheduler.start(files)
            yield from self._wave(dict(zip(self._alive, zip(own, files, strict=True), strict=True)))
            if self._run.cancelled:
                self.cancel()
                return

    def cancel(self) -> None:
        """Start no further job and end those that run; finished work is kept."""
        self._run.cancel()
        self._scheduler.stop(self._alive)
        self._alive = []

    def _wave(self, running: dict[str, tuple[Parcel, Path]]) -> Iterator[Outcome]:
        """Outcomes until all processes have ended."""
        while running and not self._run.cancelled:
            over = {handle: why for handle in running if (why := self._scheduler.ended(handle)) is not None}
            yield from self._fresh()
            for handle, why in over.items():
                parcel, file = running.pop(handle)
                self._alive.remove(handle)
                yield from self._closed(parcel, file, why)
            if not over and running:
                time.sleep(self._scheduler.poll)

    def _fresh(self) -> Iterator[Outcome]:
        """Outcomes that were written since the last look."""
        for job, outcome in self._run.outcomes().items():
            if job not in self._ended:
                self._ended[job] = outcome
                yield outcome

    def _closed(self, parcel: Parcel, file: Path, why: str) -> Iterator[Outcome]:
        """The outcomes of a parcel whose process has ended; jobs without one have failed."""
        until = time.monotonic() + SETTLING
        yield from self._fresh()
        while any(job.id not in self._ended for job in parcel.jobs) and time.monotonic() < until:
            if (said := _refusal(file)) or why:
                why = said or why
                break
            time.sleep(0.1)
            yield from self._fresh()
        for job in parcel.jobs:
            if job.id not in self._ended:
                reason = why or "its process ended without a word; run the same command again"
                self._ended[job.id] = Outcome(job.id, cell_of(job), failure=reason)
                self._run.add(self._ended[job.id])
                yield self._ended[job.id]


def _refusal(file: Path) -> str:
    """Why a process did nothing of a parcel; "" where it said nothing."""
    try:
        return file.with_suffix(REFUSED).read_text().strip()
    except OSError:
        return ""
