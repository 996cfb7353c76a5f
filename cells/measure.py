"""One job, run here: an extraction, or a cell from features to its record."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import downstreams
import leaderboard
from cells import sections
from cells.jobs import Extract, Extracted, Job, Measure, Outcome
from cells.workplace import Workplace
from commons import device
from commons.corridors.measured import Measured
from commons.errors import EmorepError
from commons.progress import bar

if TYPE_CHECKING:
    from commons.corridors.features import Features
    from commons.corridors.predictions import Predictions
    from commons.corridors.record import Record


def perform(job: Job, place: Workplace, before: Mapping[str, Outcome]) -> Outcome:
    """Run a job; `before`: outcomes of the jobs it comes after. Whatever an upstream or head raises is its failure."""
    cell = job.cell if isinstance(job, Measure) else None
    try:
        if isinstance(job, Extract):
            return Outcome(job.id, extracted=_extract(job, place))
        extracted = next((before[one].extracted for one in job.after), None)
        return Outcome(job.id, cell, differs=_measure(job, place, extracted))
    except Exception as error:
        return Outcome(job.id, cell, failure=explain(error, job.setting.results))


def _extract(job: Extract, place: Workplace) -> Extracted:
    features = place.features(job.task, job.upstream, job.needs)
    return Extracted(features.counts, features.seconds, features.audio_seconds, features.parameters, features.device)


def _measure(job: Measure, place: Workplace, extracted: Extracted | None) -> tuple[str, ...] | None:
    """Writes the cell's record; of a cell that is compared, returns how it differs."""
    results = job.setting.results
    features = place.features(job.task, job.upstream, job.reader.needs) if job.upstream else None
    if job.mode == "compare":
        with tempfile.TemporaryDirectory() as elsewhere:
            again = _write(Path(elsewhere), job, job.seeds, place, features, extracted)
            leaderboard.log_scoring(results, again)
            stands = standing(job)
            return tuple(leaderboard.same(stands, again)) if stands else ()
    record = standing(job) if job.mode == "add" else None
    missing = [seed for seed in job.seeds if record is None or seed not in record.cell.seeds]
    # One by one, what is done when a job is killed stays done. A cell that is replaced stands until all are done.
    parts = [(seed,) for seed in missing] if job.mode == "add" else [job.seeds]
    stood = record
    try:
        for seeds in parts:
            record = _write(results, job, seeds, place, features, extracted, record)
    finally:
        if record is not None and record is not stood:  # one scoring, of however many seeds
            leaderboard.log_scoring(results, record)
    return None


def standing(job: Measure) -> Record | None:
    """The whole record of the job's cell that has its key, or an earlier formula's; else None."""
    record = leaderboard.find(job.setting.results, *job.cell, verify=True)
    return record if record and record.cell.key in (job.key, *job.former_keys) else None


def _write(
    results: Path,
    job: Measure,
    seeds: tuple[int, ...],
    place: Workplace,
    features: Features | None,
    extracted: Extracted | None,
    extends: Record | None = None,
) -> Record:
    """Trains, scores and writes the record, to which `extends` adds its seeds."""
    task = place.task(job.task)
    started = time.perf_counter()
    predictions = _predictions(job, seeds, place, features)
    spent = time.perf_counter() - started
    earlier = extends.run.seconds.get("evaluate", 0.0) if extends else 0.0
    measured = Measured(
        cell=sections.cell(job, seeds),
        task=sections.task(task),
        upstream=sections.upstream(job, features, extracted, extends.upstream.parameters if extends else None),
        downstream=sections.downstream(job, task),
        run=sections.run({"load": place.seconds(job.task), "evaluate": earlier + spent}, extracted),
        predictions=predictions,
        utterances=task.utterances,
        groups=task.problem.groups,
        pooled=sections.chosen_layer(features, predictions, task),
    )
    return leaderboard.record(results, measured, extends)


def _predictions(job: Measure, seeds: tuple[int, ...], place: Workplace, features: Features | None) -> Predictions:
    """The head's predictions; those of a reference know nothing of the sound."""
    task = place.task(job.task)
    if features is None:
        return downstreams.reference(job.reference, task.problem, task.utterances["duration"].to_numpy())
    with bar(f"{task.name}: {job.cell[0]}, {job.reader.name}", "fits") as progress:
        where = device.choose(job.setting.device)
        predictions = downstreams.evaluate(job.reader, features, task.problem, list(seeds), where, progress)
    if predictions.outputs is not None:
        return replace(predictions, outputs=sections.standardised(predictions.outputs))
    return predictions


def explain(error: Exception, results: Path) -> str:
    """A failure for the table; of one that no room foresaw, the traceback goes to a file beside the results."""
    if isinstance(error, EmorepError):
        return str(error)
    log = results / "failures.log"
    try:
        results.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}\n")
        where = f"the traceback is in {log}"
    except OSError:
        where = "".join(traceback.format_exception(error))
    return f"{type(error).__name__}: {error} (not foreseen by this program; {where})"
