"""This machine: one job after another in this process. A job uses the cores or the GPU itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from cells.jobs import Extract, Job, Measure, Outcome
from cells.measure import perform
from cells.workplace import Workplace


class Local:
    """Runs jobs in the order given. A job whose extraction failed is skipped, with the same failure."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._waiting: deque[Job] = deque()
        self._ended: dict[str, Outcome] = {}

    def submit(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, in an order in which each comes after the jobs that it needs."""
        self._waiting.extend(jobs)

    def wait(self) -> Iterator[Outcome]:
        """The outcome of every job, as it ends."""
        while self._waiting:
            job = self._waiting.popleft()
            outcome = self._skipped(job) or perform(job, self._place, self._ended)
            self._ended[job.id] = outcome
            yield outcome

    def cancel(self) -> None:
        """Start no further job; one job runs at a time, in this process."""
        self._waiting.clear()

    def _skipped(self, job: Job) -> Outcome | None:
        cell = None if isinstance(job, Extract) else job.cell
        for before in job.after:
            if failure := self._ended[before].failure:
                if len(job.after) > 1:  # say which part of a fusion it was
                    failure = f"{before}: {failure}"
                return Outcome(job.id, cell, failure=failure, skipped=True)
        beside = job.beside if isinstance(job, Measure) else ()
        if beside and all(self._ended[one].failure for one in beside):
            return Outcome(job.id, cell, skipped=True)  # a reference row without a cell to compare it with
        return None
