"""Engines, which run the jobs of a plan on this machine or (later) on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from cells.jobs import Job, Outcome

if TYPE_CHECKING:
    from cells.request import Request
    from cells.workplace import Workplace


class Engine(Protocol):
    """Runs jobs, each after the jobs that it names; gives outcomes as jobs end."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, in an order in which each comes after the jobs that it needs."""
        ...

    def wait(self) -> Iterator[Outcome]:
        """The outcome of every job, as it ends."""
        ...

    def cancel(self) -> None:
        """Start no further job and end those that run; finished work is kept."""
        ...


def chosen(request: Request, place: Workplace) -> Engine:
    """The engine of a request, which works at `place`. This machine is the only one so far."""
    from cells.engines.local import Local

    return Local(place)


def run(engine: Engine, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Submit jobs and give their outcomes as they end; where the caller stops, the other jobs are cancelled."""
    engine.submit(jobs)
    ended = False
    try:
        yield from engine.wait()
        ended = True
    finally:
        if not ended:
            engine.cancel()
