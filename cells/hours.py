"""How long a plan will take, before it is run: what a card prints first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import upstreams
from cells.jobs import Extract, Measure

if TYPE_CHECKING:
    from cells.plan import Plan
    from cells.workplace import Workplace

TRIED = 8  # utterances that are extracted to learn the speed
PROBE = 6e-7  # s for an utterance, a fold, a layer, a value of it and a class: measured on one core, 0.4e-6 to 1.7e-6


def line(plan: Plan, place: Workplace) -> str:
    """How many cells and hours; of an upstream whose features are in the store, extraction costs nothing.

    Speed is that of a few utterances of each upstream; heads other than the probe are not counted.
    """
    extraction = sum(_extraction(job, place) for job in _first(plan))
    known = [job for job in plan.jobs if isinstance(job, Measure) and job.upstream and _counted(job)]
    heads = sum(_probe(job, place) for job in known)
    others = sum(isinstance(job, Measure) and job.upstream is not None and not _counted(job) for job in plan.jobs)
    cells = sum(isinstance(job, Measure) for job in plan.jobs)
    said = f"{cells} cells to measure, {len(plan.done)} done; {_hours(extraction + heads)} on one core: "
    said += f"extraction {_hours(extraction)}, heads {_hours(heads)} (within a factor of three)"
    return said + (f"; cells of other heads, not counted: {others}" if others else "")


def _first(plan: Plan) -> list[Extract]:
    """The extractions of every upstream and task; those of derived tasks on the same recordings come once."""
    seen: dict[tuple[str, str], Extract] = {}
    for job in plan.jobs:
        if isinstance(job, Extract):
            seen.setdefault((job.upstream.fingerprint, job.task.partition(",")[0].rpartition(":")[2]), job)
    return list(seen.values())


def _extraction(job: Extract, place: Workplace) -> float:
    """Seconds of an extraction, from a few utterances; what is in the store already costs nothing."""
    task = place.task(job.task, job.setting)
    few = task.utterances.iloc[:TRIED]
    made = upstreams.extract(job.upstream, few, job.needs, job.setting.extraction, None, place.models)
    if not made.counts.get("computed") or not made.audio_seconds:
        return 0.0
    spent = sum(made.seconds.get(phase, 0.0) for phase in ("decode", "forward", "write"))
    return spent / made.audio_seconds * float(task.utterances["duration"].sum())


def _counted(job: Measure) -> bool:
    return job.reader.head.startswith("probe")


def _probe(job: Measure, place: Workplace) -> float:
    """Seconds of a cell of the probe."""
    assert job.upstream is not None
    problem = place.task(job.task, job.setting).problem
    size = sum(len(fold.train) + len(fold.dev) for fold in (problem.draws or (problem.folds,))[0])
    seeds = len(job.seeds) if problem.draws else 1
    return PROBE * size * seeds * job.upstream.depth * job.upstream.width * max(1, len(problem.classes))


def _hours(seconds: float) -> str:
    """`1.5 h`, `12 min`, `under 1 min`."""
    if seconds < 60:
        return "under 1 min"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{round(seconds / 60)} min"
