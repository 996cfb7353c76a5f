"""Runs one job: an extraction, or a cell, from features to its record."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import downstreams
import leaderboard
from cells import averaging, keys, runs, sections
from cells.jobs import PART, Extract, Extracted, Job, Late, Measure, Outcome
from cells.workplace import Workplace
from commons import claims, device, files, journals
from commons.corridors.features import together
from commons.corridors.measured import Measured
from commons.errors import EmorepError
from commons.progress import bar

if TYPE_CHECKING:
    from commons.corridors.features import Features
    from commons.corridors.predictions import Predictions
    from commons.corridors.record import Record
    from tasks import Task

FAILURES = "failures"  # in the results folder: tracebacks, a file for each process that had one


def perform(job: Job, place: Workplace, before: Mapping[str, Outcome]) -> Outcome:
    """The outcome of a job, which is run here. An exception of an upstream or a head is the failure of the job.

    Args:
        before: outcomes of earlier jobs, if this process knows them.
    """
    cell = None if isinstance(job, Extract) else job.cell
    try:
        if isinstance(job, Extract):
            features = place.features(job.task, job.upstream, job.needs, job.setting, (job.part, job.parts))
            return Outcome(job.id, extracted=_extracted(features))
        with claims.claimed(runs.claims(job.setting.results), job.id):
            if isinstance(job, Late):
                return Outcome(job.id, cell, differs=averaging.measure(job, place))
            return Outcome(job.id, cell, differs=_measure(job, place, _before(job, before)))
    except Exception as error:
        return Outcome(job.id, cell, failure=explain(error, job.setting.results))


def _before(job: Measure, before: Mapping[str, Outcome]) -> Extracted | None:
    """What the extractions said on which a cell rests; parts of one extraction are added up."""
    made = [(one.partition(PART)[0], before[one].extracted) for one in job.after if one in before]
    parts: dict[str, list[Extracted]] = {}
    for name, one in made:
        if one:
            parts.setdefault(name, []).append(one)
    return _together([_added(several) for several in parts.values()])


def _added(parts: Sequence[Extracted]) -> Extracted:
    """What the parts of one extraction made, together."""
    if len(parts) == 1:
        return parts[0]
    return Extracted(
        counts={name: sum(one.counts.get(name, 0) for one in parts) for name in parts[0].counts},
        seconds={phase: sum(one.seconds.get(phase, 0.0) for one in parts) for phase in parts[0].seconds},
        audio_seconds=None if parts[0].audio_seconds is None else sum(one.audio_seconds or 0.0 for one in parts),
        parameters=next((one.parameters for one in parts if one.parameters), None),
        device=parts[0].device,
    )


def _together(several: Sequence[Extracted]) -> Extracted | None:
    """What one extraction made, or those of all parts of a fusion; None where nothing is known of them."""
    if len(several) < 2:
        return several[0] if several else None
    return Extracted(
        counts={name: max(one.counts.get(name, 0) for one in several) for name in several[0].counts},
        seconds={phase: sum(one.seconds.get(phase, 0.0) for one in several) for phase in several[0].seconds},
        audio_seconds=several[0].audio_seconds,
        parameters=together((one.parameters, one.counts) for one in several),
        device=max(several, key=lambda one: one.device != "cpu").device,
    )


def _extracted(features: Features) -> Extracted:
    return Extracted(features.counts, features.seconds, features.audio_seconds, features.parameters, features.device)


def _measure(job: Measure, place: Workplace, extracted: Extracted | None) -> tuple[str, ...] | None:
    """Write the cell's record; of a cell that is compared, return the differences."""
    results, task = job.setting.results, _task(job, place)
    if keys.key(task, job.upstream, job.reference, job.reader, job.setting.reading.skip_bad) != job.key:
        raise EmorepError(
            f"{job.recorded_task}: its corpus, table or definition changed after it was planned; run the command again"
        )
    needs = job.needs | (job.reader.needs & {"live"})
    features = place.features(job.task, job.upstream, needs, job.setting) if job.upstream else None
    extracted = extracted or (_extracted(features) if features else None)
    if job.mode == "compare":
        with tempfile.TemporaryDirectory() as elsewhere:
            again = _write(Path(elsewhere), job, job.seeds, place, features, extracted)
            leaderboard.log_scoring(results, again)
            stands = standing(job)
            return tuple(leaderboard.same(stands, again)) if stands else ("the earlier record is gone or damaged",)
    _fill(job, place, features, extracted)
    return None


def _task(job: Measure, place: Workplace) -> Task:
    return place.read_by(job.modality, job.cell[0], job.task, job.setting)


def _fill(job: Measure, place: Workplace, features: Features | None, extracted: Extracted | None) -> None:
    """Add the missing seeds to the record, one by one, so that finished seeds are kept if the job is killed.

    A record that is replaced is kept until all seeds are done.
    """
    parts = [(seed,) for seed in job.seeds] if job.mode == "add" else [job.seeds]
    record: Record | None = None
    try:
        for seeds in parts:
            stands = standing(job) if job.mode == "add" else None
            if not (stands and set(seeds) <= set(stands.cell.seeds)):
                record = _write(job.setting.results, job, seeds, place, features, extracted)
    finally:
        if record is not None:  # one line, however many seeds there are
            leaderboard.log_scoring(job.setting.results, record)


def standing(job: Measure) -> Record | None:
    """The existing record of the job's cell, complete and with its key; None where there is none."""
    record = leaderboard.find(job.setting.results, *job.cell, verify=True)
    return record if record and record.cell.key == job.key else None


def _write(
    results: Path,
    job: Measure,
    seeds: tuple[int, ...],
    place: Workplace,
    features: Features | None,
    extracted: Extracted | None,
) -> Record:
    """Train, score and write the record; seeds are added to an existing record in these results.

    Another process may add seeds while this one trains. So the existing record is read after the training, under a
    lock that is held until the new record is written.
    """
    task = _task(job, place)
    started = time.perf_counter()
    predictions = _predictions(job, task, seeds, features, place)
    spent = time.perf_counter() - started
    with files.locked(results):
        extends = standing(job) if job.mode == "add" else None
        if extends and set(seeds) <= set(extends.cell.seeds):
            return extends  # another process has added the same seeds
        earlier = extends.run.seconds.get("evaluate", 0.0) if extends else 0.0
        seconds = {"load": place.seconds(job.task, job.setting), "evaluate": earlier + spent}
        measured = Measured(
            cell=sections.cell(job, seeds),
            task=sections.task(job, task),
            upstream=sections.upstream(
                job, task, features, extracted, extends.upstream.parameters if extends else None
            ),
            downstream=sections.downstream(job, task, predictions, extends),
            run=sections.run(seconds, extracted),
            predictions=predictions,
            utterances=task.utterances,
            groups=task.problem.groups,
            pooled=sections.chosen_layer(features, predictions, task),
        )
        return leaderboard.record(results, measured, extends)


def _predictions(
    job: Measure, task: Task, seeds: tuple[int, ...], features: Features | None, place: Workplace
) -> Predictions:
    """The predictions of the head, or of a reference, which does not use the audio."""
    if features is None:
        lengths = task.text_lengths if job.modality == "text" else task.utterances.get("duration", np.empty(0))
        return downstreams.reference(job.reference, task.problem, np.asarray(lengths))
    with bar(f"{task.name}: {job.cell[0]}, {job.reader.name}", "fits") as progress:
        on = device.choose(job.setting.extraction.device)
        work = place.folder(job)
        if job.reader.resumes:
            expected = downstreams.expected(job.reader, features, task.problem, list(seeds), on, work)
            print(f"{' · '.join(job.cell)}: {expected}", file=sys.stderr)
        predictions = downstreams.evaluate(job.reader, features, task.problem, list(seeds), on, progress, work)
    if predictions.outputs is not None:
        return replace(predictions, outputs=sections.standardised(predictions.outputs))
    return predictions


def explain(error: Exception, results: Path) -> str:
    """The message of a failure; the traceback of an unexpected exception goes to a file in the results folder."""
    if isinstance(error, EmorepError):
        return str(error)
    text = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}\n"
    try:
        more = f"the traceback is in {journals.append(results / FAILURES, text, '.log')}"
    except OSError:
        more = text
    return f"{type(error).__name__}: {error} (an unexpected error; {more})"
