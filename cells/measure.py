"""Runs one job: an extraction, trainings, or a cell, from features to its record."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import downstreams
import leaderboard
import upstreams
from cells import averaging, keeping, keys, runs, sections, trainings
from cells.jobs import PART, Extract, Extracted, Job, Late, Measure, Outcome, Pretrain, Train, cell_of
from cells.together import of_cell
from cells.workplace import Workplace
from commons import device, files, journals
from commons.corridors.features import together
from commons.corridors.measured import Measured
from commons.errors import EmorepError
from commons.places import Places
from commons.progress import bar, of_task

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
    cell = cell_of(job)
    device.forget_peak()
    try:
        if isinstance(job, Extract):
            features = place.features(job.task, job.upstream, job.needs, job.setting, (job.part, job.parts))
            return Outcome(job.id, extracted=_extracted(features))
        if isinstance(job, Train):
            with runs.attempted(job):  # others prefer other jobs, and share its folds and seeds where there are none
                trainings.train(job, place)
            return Outcome(job.id)
        with runs.claimed(job):
            if isinstance(job, Pretrain):
                _pretrain(job)
                return Outcome(job.id)
            if isinstance(job, Late):
                return Outcome(job.id, cell, differs=averaging.measure(job, place))
            first, *others = _measure(job, place, {part.id: _before(part, before) for part in job.parts})
            trainings.drop_folds(job, place)
            several = zip(job.parts[1:], others, strict=True)
            return Outcome(
                job.id, cell, differs=first, also=tuple(Outcome(one.id, one.cell, differs=own) for one, own in several)
            )
    except Exception as error:
        return Outcome(job.id, cell, failure=explain(error, job.setting.results))


def _pretrain(job: Pretrain) -> None:
    own = job.setting.extraction
    places = Places(cache=own.cache, runs=job.runs)
    upstreams.train(job.ablation, job.variant, job.speech, places, own.device, own.jobs, seen=job.seen, files=job.files)


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


Differs = tuple[str, ...] | None  # of a cell that is compared, the differences from its record


def _measure(job: Measure, place: Workplace, extracted: Mapping[str, Extracted | None]) -> list[Differs]:
    """Write the records of the job's cells; of cells that are compared, return the differences.

    Args:
        extracted: by the id of each part, what is known of its extraction.
    """
    results = job.setting.results
    for part in job.parts:
        known = keys.key(_task(part, place), part.upstream, part.reference, part.reader, part.setting.reading.skip_bad)
        if known != part.key:
            raise EmorepError(
                f"{part.recorded_task}: its corpus, table or definition changed after it was planned; run the command "
                "again"
            )
    needs = job.needs | (job.reader.needs & {"live"})
    features = place.features(job.task, job.upstream, needs, job.setting) if job.upstream else None
    known_of = {part.id: extracted.get(part.id) or _reused(part, features, place) for part in job.parts}
    if job.mode != "compare":
        _fill(job, place, features, known_of)
        return [_with_weights(part, place) for part in job.parts]
    with tempfile.TemporaryDirectory() as elsewhere:
        again = _write(Path(elsewhere), job, job.parts, job.seeds, place, features, known_of)
        differ: list[Differs] = []
        for part, one in zip(job.parts, again, strict=True):
            leaderboard.log_scoring(results, one)
            stands = standing(part)
            same = leaderboard.same(stands, one) if stands else ["the earlier record is gone or damaged"]
            differ.append(tuple(same))
        return differ


def _with_weights(job: Measure, place: Workplace) -> Differs:
    """Train seeds again whose weights are wanted and were not kept; returns what differs from the record, if any does:
    then they are not those of its predictions, and none are kept."""
    lacking, record = tuple(keeping.lacking(job)), standing(job)
    if not lacking or record is None or job.upstream is None:
        return None
    task = _task(job, place)
    features = place.features(job.task, job.upstream, job.needs | (job.reader.needs & {"live"}), job.setting)
    predictions = _predictions(job, task, lacking, features, place)
    differs = keeping.differences(record, leaderboard.predictions(job.setting.results, record), predictions)
    if differs:
        keeping.forget(job, place.folder(job))
        return differs
    keeping.write(job, task, predictions, place.folder(job))
    return None


def _reused(part: Measure, features: Features | None, place: Workplace) -> Extracted | None:
    """What the record of a cell says of features that another process has made."""
    if features is None:
        return None
    lengths = _task(part, place).utterances.get("duration")
    seconds = features.audio_seconds if lengths is None else float(lengths.sum())
    return replace(_extracted(features), audio_seconds=seconds)


def _task(job: Measure, place: Workplace) -> Task:
    return place.read_by(job.modality, job.cell[0], job.task, job.setting)


def _fill(job: Measure, place: Workplace, features: Features | None, extracted: Mapping[str, Extracted | None]) -> None:
    """Add the missing seeds to the records, one by one, so that finished seeds are kept if the job is killed.

    A record that is replaced is kept until all seeds are done.
    """
    several = [(seed,) for seed in job.seeds] if job.mode == "add" else [job.seeds]
    written: dict[str, Record] = {}
    try:
        for seeds in several:
            lacking = [part for part in job.parts if job.mode != "add" or not _holds(standing(part), seeds)]
            if lacking:
                records = _write(job.setting.results, job, lacking, seeds, place, features, extracted)
                written |= {part.id: own for part, own in zip(lacking, records, strict=True)}
    finally:
        for record in written.values():  # one line a cell, however many seeds there are
            leaderboard.log_scoring(job.setting.results, record)


def _holds(record: Record | None, seeds: Sequence[int]) -> bool:
    return record is not None and set(seeds) <= set(record.cell.seeds)


def standing(job: Measure) -> Record | None:
    """The existing record of the job's cell, complete and with its key; None where there is none."""
    record = leaderboard.find(job.setting.results, *job.cell, verify=True)
    return record if record and record.cell.key == job.key else None


def _write(
    results: Path,
    job: Measure,
    parts: Sequence[Measure],
    seeds: tuple[int, ...],
    place: Workplace,
    features: Features | None,
    extracted: Mapping[str, Extracted | None],
) -> list[Record]:
    """Train once, then score and write the record of each part; seeds are added to records that are there."""
    task = _task(job, place)
    started = time.perf_counter()
    predictions = _predictions(job, task, seeds, features, place)
    spent = max(time.perf_counter() - started, predictions.training_seconds or 0.0)  # these may have been jobs before
    trained = _Trained(task, features, predictions, spent, place.folder(job))
    return [_record(results, part, seeds, place, trained, extracted[part.id]) for part in parts]


@dataclass(frozen=True)
class _Trained:
    """One training: the task that was opened for it, whose rows the features are, and what it predicts."""

    task: Task
    features: Features | None
    predictions: Predictions
    seconds: float
    work: Path | None  # its folder


def _record(
    results: Path,
    job: Measure,
    seeds: tuple[int, ...],
    place: Workplace,
    trained: _Trained,
    extracted: Extracted | None,
) -> Record:
    """Score the predictions of a cell and write its record.

    Another process may add seeds while this one trains. So the existing record is read after the training, under a
    lock that is held until the new record is written.
    """
    task, features = _task(job, place), trained.features
    several = job.training or task is not trained.task  # the training predicts other test sets as well
    predictions = sections.with_names(job, of_cell(trained.predictions, task) if several else trained.predictions)
    if predictions.outputs is not None:
        predictions = replace(predictions, outputs=sections.standardised(predictions.outputs))
    with files.locked(results):
        extends = standing(job) if job.mode == "add" else None
        if extends and _holds(extends, seeds):
            return extends  # another process has added the same seeds
        if not extends:
            leaderboard.drop_weights(results, job.cell)
        earlier = extends.run.seconds.get("evaluate", 0.0) if extends else 0.0
        seconds = {"load": place.seconds(job.task, job.setting), "evaluate": earlier + trained.seconds}
        measured = Measured(
            cell=sections.cell(job, seeds),
            task=sections.task(job, task),
            upstream=sections.upstream(
                job, task, features, trained.task, extracted, extends.upstream.parameters if extends else None
            ),
            downstream=sections.downstream(job, task, predictions, extends),
            run=sections.run(seconds, extracted, predictions.training_memory),
            predictions=predictions,
            utterances=task.utterances,
            groups=task.problem.groups,
            pooled=None if job.training else sections.chosen_layer(job, features, predictions, trained.task),
        )
        record = leaderboard.record(results, measured, extends)
    if keeping.wanted(job) and job.mode != "compare":
        keeping.write(job, task, predictions, trained.work)
    return record


def _predictions(
    job: Measure, task: Task, seeds: tuple[int, ...], features: Features | None, place: Workplace
) -> Predictions:
    """The predictions of the head, or of a reference, which does not use the audio."""
    if features is None:
        lengths = task.text_lengths if job.modality == "text" else task.utterances.get("duration", np.empty(0))
        return downstreams.reference(job.reference, task.problem, np.asarray(lengths))
    problem = task.problem_of(job.reader.further)
    with bar(of_task(task.name, f"{job.cell[0]}, {job.reader.name}"), "fits") as progress:
        on = device.choose(job.setting.extraction.device)
        work = place.folder(job)
        keep = keeping.readouts(job)
        return downstreams.evaluate(job.reader, features, problem, list(seeds), on, progress, work, keep)


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
