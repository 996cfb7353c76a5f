"""This machine: one job after another in this process. A job uses the cores or the GPU itself.

Several processes may do the same request at once: each takes cells that no other measures at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from cells import runs
from cells.jobs import Job, Outcome, skipped
from cells.measure import perform
from cells.runs import Run
from cells.workplace import Workplace


class Local:
    """Runs jobs, in the order given where it can. A job whose extraction failed is skipped, with the same failure."""

    def __init__(
        self,
        place: Workplace,
        run: Run | None = None,
        before: Mapping[str, Outcome] | None = None,
        around: Callable[[Job], AbstractContextManager[None]] = lambda job: nullcontext(),
    ) -> None:
        """
        Args:
            run: keeps the outcomes.
            before: outcomes of jobs that were done elsewhere.
            around: gives a context in which a job is done.
        """
        self._place, self._run, self._around = place, run, around
        self._waiting: dict[str, Job] = {}
        self._ended: dict[str, Outcome] = dict(before or {})

    def submit(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, in an order in which each comes after the jobs that it needs."""
        self._waiting |= {job.id: job for job in jobs}

    def wait(self) -> Iterator[Outcome]:
        """The outcome of every job, as it ends."""
        while self._waiting and not (self._run and self._run.cancelled):
            job = self._next()
            outcome = skipped(job, self._ended) or self._done(job)
            self._ended[job.id] = outcome
            if self._run:
                self._run.add(outcome)
            yield outcome

    def cancel(self) -> None:
        """Start no further job; one job runs at a time, in this process."""
        self._waiting.clear()

    def _next(self) -> Job:
        """The first job that can be done now; where other processes do all of these, the first of them."""
        first: Job | None = None
        for job in self._waiting.values():
            if any(one in self._waiting for one in (*job.after, *getattr(job, "beside", ()))):
                continue
            first = first or job
            if self._free(job):
                first = job
                break
        assert first is not None
        return self._waiting.pop(first.id)

    def _free(self, job: Job) -> bool:
        return runs.is_free(job)

    def _done(self, job: Job) -> Outcome:
        with self._run.announced(job) if self._run else nullcontext(), self._around(job):
            return perform(job, self._place, self._ended)
