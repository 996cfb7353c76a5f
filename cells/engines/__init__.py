"""Engines run the jobs of a plan: on this machine, or (to come) on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from cells.jobs import Job, Outcome

if TYPE_CHECKING:
    from cells.workplace import Workplace


class Engine(Protocol):
    """Runs jobs, each after those that it names; outcomes come as jobs end."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs on, in an order in which none comes before one that it needs."""
        ...

    def wait(self) -> Iterator[Outcome]:
        """The outcome of every job, as it ends."""
        ...

    def cancel(self) -> None:
        """Stop: start no further job, end those that run. What is done stays done."""
        ...


def chosen(place: Workplace) -> Engine:
    """The engine of a request. This machine is the only one so far."""
    from cells.engines.local import Local

    return Local(place)


def run(engine: Engine, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Submit jobs and give their outcomes as they end; whatever stops the caller cancels the rest."""
    engine.submit(jobs)
    ended = False
    try:
        yield from engine.wait()
        ended = True
    finally:
        if not ended:
            engine.cancel()
