"""What the jobs of a plan will do, and what they cost, before they do it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cells import trainings
from cells.costs import GPU
from cells.jobs import Extract, Job, Late, Measure, Outcome, Train, cell_of, parts_of, skipped
from cells.measure import explain
from commons.errors import EmorepError

if TYPE_CHECKING:
    from cells.costs import Estimate
    from cells.plan import Plan
    from cells.request import Request
    from cells.workplace import Workplace
    from downstreams.forecast import Forecast

MANY = 200  # jobs; of more, there is a line an upstream


def feasible(plan: Plan, place: Workplace) -> tuple[Plan, dict[str, Forecast | str]]:
    """The plan without trainings that fail at their first step, and without what needs them: its cells have failed.

    Then the forecasts of its trainings, by their jobs' ids, or why there is none. Of many jobs nothing is tried.
    """
    if len(plan.jobs) > MANY:
        return plan, {}
    expected: dict[str, Forecast | str] = {}
    ended: dict[str, Outcome] = {}
    for job in plan.jobs:
        outcome = skipped(job, ended)
        if outcome is None and isinstance(job, Train):
            try:
                expected[job.id] = trainings.forecast(job, place)
            except EmorepError as error:
                outcome = Outcome(job.id, failure=str(error))
            except Exception as error:
                expected[job.id] = explain(error, job.setting.results)
        if outcome:
            ended[job.id] = outcome
    kept = tuple(job for job in plan.jobs if job.id not in ended)
    lost = [
        replace(ended[job.id], cell=part.cell)
        for job in plan.jobs
        if job.id in ended and ended[job.id].failure
        for part in parts_of(job)
    ]
    return replace(plan, jobs=kept, failed=(*plan.failed, *lost)), expected


def lines(
    plan: Plan, request: Request, place: Workplace, absent: Mapping[str, str], expected: Mapping[str, Forecast | str]
) -> list[str]:
    """A line for every job (of trainings with their steps and hours), or for every upstream where there are many jobs;
    then what all of them cost.

    Args:
        absent: variants of the ablation that are not trained yet, and what that takes; their cells are planned then.
        expected: forecasts of trainings, see `feasible`.
    """
    said = [f"shard {request.shard}: {len(plan.cells)} cells"] if request.shard else []
    said += [f"done already: {len(plan.done)} cells"] if plan.done else []
    said += [f"cannot be run: {' · '.join(filter(None, one.cell or ()))}: {one.failure}" for one in plan.failed]
    said += _missing(request, absent)
    if absent and not plan.jobs:
        return said
    estimates = _estimates(plan, place)
    if len(plan.jobs) > MANY:
        return [*said, *_upstreams(plan, estimates), *_totals(plan, request, estimates)]
    measured = {name: own for name, own in expected.items() if not isinstance(own, str)}
    estimates |= {name: replace(estimates[name], seconds=own.core_seconds) for name, own in measured.items()}
    said += [*_jobs(plan, expected), *_totals(plan, request, estimates)]
    said += ["of trainings one step each was measured just now; scoring dev and test is left out"] * bool(measured)
    return said


def _missing(request: Request, absent: Mapping[str, str]) -> list[str]:
    own = request.ablation
    return [f"pre-train: {own.upstream(variant)}: {what}" for variant, what in absent.items()] if own else []


def _estimates(plan: Plan, place: Workplace) -> dict[str, Estimate]:
    """The estimate of every job; where there are not many, without the features that the store has."""
    estimates = plan.costs.of(plan.jobs, plan.sizes)
    if len(plan.jobs) <= MANY:
        for job in plan.jobs:
            if isinstance(job, Extract) and (whole := estimates[job.id]).seconds:
                share = min(1.0, plan.costs.extraction(job.upstream) * place.lacking(job) / whole.seconds)
                estimates[job.id] = replace(whole, seconds=share * whole.seconds, kept=share * whole.kept)
    return estimates


def short(plan: Plan, place: Workplace) -> str:
    """Cells and hours of a plan in one line, for a card."""
    estimates = _estimates(plan, place)
    extraction = sum(estimates[job.id].seconds for job in plan.jobs if isinstance(job, Extract))
    seconds = sum(one.seconds for one in estimates.values())
    cells = sum(len(parts_of(job)) for job in plan.jobs)
    return (
        f"{cells:,} cells to measure, {len(plan.done):,} done: about {hours(seconds)} of one core, "
        f"{hours(extraction)} of it extraction (within a factor of three)"
    )


def ready(plan: Plan, request: Request, absent: Mapping[str, str]) -> list[str]:
    """What planning has put on this machine: audited tasks, upstreams with their weights; what failed or is missing.

    Args:
        absent: as in `lines`.
    """
    identities = {job.upstream.named.record_name: job.upstream for job in plan.cells if job.upstream is not None}
    said = [
        f"audited: {name}: {own.utterances:,} utterances, {hours(own.seconds)} of audio, {own.folds} folds"
        for name, own in plan.sizes.items()
    ]
    said += [f"here: {name}{f', weights of {one.weights}' if one.weights else ''}" for name, one in identities.items()]
    said += [f"failed: {' · '.join(filter(None, one.cell or ()))}: {one.failure}" for one in plan.failed]
    said += _missing(request, absent)
    return said if plan.failed or absent else [*said, "jobs of these cells need no network"]


def _jobs(plan: Plan, expected: Mapping[str, Forecast | str]) -> list[str]:
    said: list[str] = []
    for job in plan.jobs:
        if isinstance(job, Extract):
            said.append(f"extract: {job.upstream.named.record_name} · {job.task}")
        elif isinstance(job, Train):
            said.append(f"train: {' · '.join(job.of.cell)}: {expected[job.id]}")
        elif isinstance(job, Late):
            parts = " and ".join(name for name, _ in job.parts)
            said.append(f"average: {' · '.join(job.cell)}: the predictions of {parts}")
        elif isinstance(job, Measure):
            more = f" and {len(job.parts) - 1} of changed audio" * bool(job.together)
            said.append(f"measure: {' · '.join(job.cell)}{more}")
    return said


def _upstreams(plan: Plan, estimates: dict[str, Estimate]) -> list[str]:
    """A line for every upstream."""
    extractions, trained, cells = Counter[str](), Counter[str](), Counter[str]()
    seconds = defaultdict[str, float](float)
    for job in plan.jobs:
        name = _upstream(job)
        counts = extractions if isinstance(job, Extract) else trained if isinstance(job, Train) else cells
        counts[name] += job.fits if isinstance(job, Train) else 1
        seconds[name] += estimates[job.id].seconds
    return [
        f"{name}: {extractions[name]:,} extractions, "
        + f"{trained[name]:,} trainings of networks, " * bool(trained[name])
        + f"{cells[name]:,} cells, {hours(spent)} of one core"
        for name, spent in seconds.items()
    ]


def _upstream(job: Job) -> str:
    if isinstance(job, Extract):
        return job.upstream.named.record_name
    own = job.of if isinstance(job, Train) else job
    if isinstance(own, Measure) and own.upstream is None:
        return "reference rows"
    return (cell_of(own) or job.id.split())[0]


def _totals(plan: Plan, request: Request, estimates: dict[str, Estimate]) -> list[str]:
    if not plan.jobs:
        return ["nothing is left to do"]
    extraction = sum(estimates[job.id].seconds for job in plan.jobs if isinstance(job, Extract))
    seconds = sum(one.seconds for one in estimates.values())
    movable = sum(one.seconds for one in estimates.values() if one.gpu)
    kept = sum(one.kept for one in estimates.values())
    extractions = sum(isinstance(job, Extract) for job in plan.jobs)
    trained = sum(job.fits for job in plan.jobs if isinstance(job, Train))
    basis = f"times of {plan.costs.records:,} earlier records" if plan.costs.records else "built-in constants"
    gpu = f"{hours(movable / GPU)} on a GPU were it {GPU:.0f} times as fast as a core, which is not measured"
    cells = sum(len(parts_of(job)) for job in plan.jobs)
    return [
        f"{len(plan.jobs):,} jobs: {extractions:,} extractions, "
        + f"{trained:,} trainings of networks, " * bool(trained)
        + f"{cells:,} cells",
        f"about {hours(seconds)} of one core: {hours(extraction)} extraction, {hours(seconds - extraction)} heads; "
        f"{hours(movable)} of it could be on a GPU ({gpu})",
        f"about {_bytes(kept)} kept: features, records and predictions",
        f"from {basis}; off by a factor of three at times"
        + "; features that the store has already are counted as well" * (len(plan.jobs) > MANY),
        *_script(plan, request, estimates),
    ]


def _script(plan: Plan, request: Request, estimates: dict[str, Estimate]) -> list[str]:
    """What an engine would submit."""
    if request.engine is None:
        return []
    from cells import engine_settings, parcels
    from cells.engines import slurm

    packed = parcels.packed(plan.jobs, estimates, request.engine.minutes * 60, request.engine.gpus > 0)
    waves = Counter(one.wave for one in packed)
    said = [f"{len(packed)} {'parcel' if len(packed) == 1 else 'parcels'} of jobs: "
            f"{' then '.join(str(waves[wave]) for wave in sorted(waves))}"]  # fmt: skip
    if isinstance(request.engine, engine_settings.Slurm):
        said += ["", *slurm.script(request.engine, request.results, waves[0]).splitlines()]
    return said


def hours(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
