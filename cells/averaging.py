"""The cell of a late fusion: predictions of its parts, averaged.

Of classes, it is the mean of the parts' log-probabilities, normalised again to a sum of 1 (the geometric mean); of
values, the mean of the predictions. Parts have equal weights, so nothing is chosen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import leaderboard
from cells import sections
from commons import files
from commons.corridors import record
from commons.corridors.features import together
from commons.corridors.measured import Measured
from commons.corridors.predictions import Choice, Predictions
from commons.errors import EmorepError
from upstreams import LATE

if TYPE_CHECKING:
    from cells.jobs import Late
    from cells.workplace import Workplace
    from commons.corridors.record import Record
    from tasks import Task
    from upstreams import Identity

SMALLEST = float(np.finfo(np.float32).tiny)  # of a probability whose logarithm is taken
ROW = ["fold", "id"]


def measure(job: Late, place: Workplace) -> tuple[str, ...] | None:
    """Write the record of a late fusion; where it is compared with an existing one, return the differences.

    Raises:
        EmorepError: a part's record is gone, or the parts were not measured on the same folds and targets.
    """
    results = job.setting.results
    if job.mode != "compare":
        leaderboard.log_scoring(results, _write(results, job, place))
        return None
    with tempfile.TemporaryDirectory() as elsewhere:
        again = _write(Path(elsewhere), job, place)
    leaderboard.log_scoring(results, again)
    stands = leaderboard.find(results, *job.cell, verify=True)
    return tuple(leaderboard.same(stands, again)) if stands else ("the earlier record is gone or damaged",)


def _write(results: Path, job: Late, place: Workplace) -> Record:
    started = time.perf_counter()
    task = place.read_by(job.modality, job.cell[0], job.task, job.setting)
    records = [_record(job, name, key) for name, key in job.parts]
    tables = [leaderboard.predictions(job.setting.results, one) for one in records]
    predictions = averaged(job, records, tables, task.problem.classes)
    seconds = {"load": place.seconds(job.task, job.setting), "evaluate": time.perf_counter() - started}
    measured = Measured(
        cell=record.Cell(
            upstream=job.cell[0], task=job.cell[1], downstream=job.cell[2], key=job.key,
            precision=job.upstream.precision, seeds=list(job.seeds), limit=job.setting.reading.limit,
        ),
        task=sections.task(job, task),
        upstream=_upstream(job, task, records),
        downstream=_downstream(records),
        run=sections.run(seconds, None, {}),
        predictions=replace(predictions, marks=_marks(records, task)),
        utterances=task.utterances,
        groups=task.problem.groups,
    )  # fmt: skip
    with files.locked(results):
        return leaderboard.record(results, measured, None)


def _record(job: Late, part: str, key: str) -> Record:
    """The record of a part's cell. Raises EmorepError: it is gone, or another one."""
    stored = leaderboard.find(job.setting.results, part, job.recorded_task, job.reader.name, verify=True)
    if stored is None or stored.cell.key != key:
        where = f"{part} on {job.recorded_task} with {job.reader.name}"
        why = "is gone, damaged or another by now; run that part again with --force"
        raise EmorepError(f"{job.cell[0]}: the record of its part {where} {why}")
    return stored


def _label(identity: Identity) -> str | None:
    """What tables call the fusion; None where its name is that."""
    if not identity.display_name:
        return None
    return LATE + ",".join(part.display_name or part.named.record_name for part in identity.parts)


def _marks(records: Sequence[Record], task: Task) -> tuple[str, ...]:
    """What readers of a part must be warned of, beyond the task's own marks."""
    return tuple(sorted({mark for one in records for mark in one.marks} - set(task.marks)))


def averaged(
    job: Late, records: Sequence[Record], tables: Sequence[pd.DataFrame], classes: Sequence[str]
) -> Predictions:
    """The mean of the parts' predictions, seed by seed, and what every part chose.

    Raises:
        EmorepError: the parts were measured on other utterances, folds or targets, or lack a seed.
    """
    whole: list[pd.DataFrame] = []
    choices: list[Choice] = []
    for seed in job.seeds:
        own = [_of_seed(job, one, table, seed) for one, table in zip(records, tables, strict=True)]
        _same_question(job, records, own)
        made = own[0][["id", "fold", "target"]].assign(seed=seed)
        if classes:
            columns = [f"score:{name}" for name in classes]
            mean = np.mean([np.log(one[columns].to_numpy(np.float64).clip(SMALLEST)) for one in own], axis=0)
            shares = np.exp(mean - mean.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            made["prediction"] = np.asarray(classes, dtype=object)[shares.argmax(axis=1)]
            made[columns] = shares.astype(np.float32)
        else:
            made["prediction"] = np.mean([one["prediction"].to_numpy(np.float64) for one in own], axis=0)
        whole.append(made.reset_index(drop=True))
        choices += _choices(records, list(dict.fromkeys(own[0]["fold"])), seed)
    return Predictions(table=pd.concat(whole, ignore_index=True), choices=choices)


def _of_seed(job: Late, one: Record, table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The predictions of a part with one seed; a deterministic part gives those of its only one."""
    wanted = one.cell.seeds[0] if one.downstream.deterministic else seed
    own = table[table["seed"] == wanted]
    if not len(own):
        raise EmorepError(f"{job.cell[0]}: its part {one.cell.upstream} lacks seed {seed}; run again")
    return own.set_index(ROW, drop=False)


def _same_question(job: Late, records: Sequence[Record], own: list[pd.DataFrame]) -> None:
    """Bring the rows of all parts into one order. Raises EmorepError where they differ in folds or targets."""
    first = own[0]
    for index, table in enumerate(own):
        same = len(table) == len(first) and bool(first.index.isin(table.index).all())
        if same:
            own[index] = table = table.loc[first.index]
        if not same or not (table["target"].to_numpy() == first["target"].to_numpy()).all():
            raise EmorepError(
                f"{job.cell[0]}: the parts {records[0].cell.upstream} and {records[index].cell.upstream} were measured "
                f"on other folds, utterances or targets of {job.recorded_task}; measure both again with --force"
            )


def _choices(records: Sequence[Record], folds: Sequence[str], seed: int) -> list[Choice]:
    """What the parts chose in each fold, under their names: fbank.layer, fbank.strength."""
    choices: list[Choice] = []
    for fold in folds:
        choice: Choice = {"fold": fold, "seed": seed}
        for one in records:
            wanted = one.cell.seeds[0] if one.downstream.deterministic else seed
            chosen = next((c for c in one.chosen.folds if (c["fold"], c["seed"]) == (fold, wanted)), {})
            choice |= {f"{one.cell.upstream}.{what}": v for what, v in chosen.items() if what not in ("fold", "seed")}
        choices.append(choice)
    return choices


def _downstream(records: Sequence[Record]) -> record.Downstream:
    """The section on the head, which is that of all parts; what was trained of them is summed."""
    own = records[0].downstream
    summed = {
        what: sum(getattr(one.downstream, what) or 0 for one in records)
        for what in ("trainable", "hours")
        if getattr(own, what) is not None
    }
    return own.model_copy(update=summed)


def _upstream(job: Late, task: Task, records: Sequence[Record]) -> record.Upstream:
    """The section on the upstream: what its parts say, put together."""
    identity = job.upstream
    sizes = {one.cell.upstream: (one.upstream.parameters, one.upstream.counts) for one in records}
    return record.Upstream(
        name=job.cell[0],
        title=identity.title,
        label=_label(identity),
        fingerprint=identity.fingerprint,
        weights=identity.weights or None,
        licence=identity.licence or None,
        parameters=together(sizes.values()),
        seen=identity.seen,
        seen_by_parts=identity.known_seen if identity.seen == "unknown" else {},
        audio_seconds=records[0].upstream.audio_seconds,
        modality=identity.modality,
        input=sections.given(job, task),
        draw=identity.named.draw,
        cite=list(identity.named.cite),
        fusion="late",
        parts=[name for name, _ in job.parts],
    )
