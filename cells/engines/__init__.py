"""Engines, which run the jobs of a plan: on this machine, on Slurm, on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from cells.jobs import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cells.costs import Estimate
    from cells.plan import Plan
    from cells.request import Request
    from cells.runs import Run
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


def chosen(
    request: Request, place: Workplace, runs: Run, estimates: Mapping[str, Estimate], warn: Callable[[str], None]
) -> Engine:
    """The engine of a request: this machine, which works at `place`, or others.

    Raises:
        EmorepError: its package is not installed, or there is no cluster.
    """
    from cells import engine_settings

    settings = request.engine
    if settings is None:
        from cells.engines.local import Local

        return Local(place, runs)
    from cells.engines.cluster import Cluster

    if isinstance(settings, engine_settings.Slurm):
        from cells.engines.slurm import Slurm

        return Cluster(Slurm(settings, runs, warn), settings, runs, estimates)
    from cells.engines.ray import Ray

    return Cluster(Ray(settings, runs), settings, runs, estimates)


def outcomes(request: Request, place: Workplace, plan: Plan, warn: Callable[[str], None]) -> Iterator[Outcome]:
    """The outcomes of a plan's jobs, run by the request's engine, as they end. Raises EmorepError."""
    from cells import engine_settings, runs, trainings

    if not plan.jobs:
        return
    results, estimates = request.setting.results, plan.costs.of(plan.jobs, plan.sizes)
    how = engine_settings.name(request.engine)
    with runs.begun(results, plan.run, plan.jobs, plan.failed, estimates, how) as begun:
        trainings.forget(results, "")
        try:
            yield from run(chosen(request, place, begun, estimates, warn), plan.jobs)
        finally:
            trainings.forget(results, plan.run)


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
