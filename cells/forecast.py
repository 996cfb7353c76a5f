"""What the jobs of a plan will do, before they do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import downstreams
from cells.jobs import Extract, Late, Measure
from cells.measure import explain
from commons import device

if TYPE_CHECKING:
    from cells.plan import Plan
    from cells.workplace import Workplace
    from downstreams.forecast import Forecast


def lines(plan: Plan, place: Workplace) -> list[str]:
    """A line for every job: of trainings with their number, their steps and the hours that they will take."""
    said = [f"done already: {len(plan.done)} cells"] if plan.done else []
    said += [f"cannot be run: {' · '.join(filter(None, one.cell or ()))}: {one.failure}" for one in plan.failed]
    trained: set[str] = set()
    for job in plan.jobs:
        if isinstance(job, Extract):
            said.append(f"extract: {job.upstream.named.record_name} · {job.task}")
            continue
        if isinstance(job, Late):
            parts = " and ".join(name for name, _ in job.parts)
            said.append(f"average: {' · '.join(job.cell)}: the predictions of {parts}")
            continue
        text = f"measure: {' · '.join(job.cell)}"
        if job.reader.resumes and job.upstream is not None:
            training = str(place.folder(job))
            text += f": {'of the same training' if training in trained else _of(job, place)}"
            trained.add(training)
        said.append(text)
    return said


def _of(job: Measure, place: Workplace) -> str:
    """The forecast of a training, or why it cannot be made."""
    try:
        return str(forecast(job, place))
    except Exception as error:
        return explain(error, job.setting.results)


def forecast(job: Measure, place: Workplace) -> Forecast:
    """The forecast of the trainings of a job. Raises EmorepError."""
    assert job.upstream is not None
    task = place.read_by(job.modality, job.cell[0], job.task, job.setting)
    features = place.features(job.task, job.upstream, job.reader.needs, job.setting)
    on = device.choose(job.setting.extraction.device)
    return downstreams.expected(
        job.reader, features, task.problem_of(job.reader.further), job.seeds, on, place.folder(job)
    )
