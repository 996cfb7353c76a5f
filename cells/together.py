"""One training, many tests: cells that differ in the audio of test alone are measured by one job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import tasks
from commons.corridors.predictions import CLEAN, Predictions

if TYPE_CHECKING:
    from cells.jobs import Measure
    from tasks import Task

ROWS = 100_000  # utterances, clean and changed, that one training predicts at most: they are in memory together


def base_of(asked: str, task: Task) -> str:
    """The name that opens the task whose cell trains for this one: of changed audio its base, else itself."""
    made = task.derivation
    return made.opens if made and made.perturbation else asked


def joined(todo: Sequence[tuple[Measure, Task]]) -> Iterator[Measure]:
    """One job for the cells that one training answers; other jobs as they are.

    Cells are alike in training, seeds and mode. Where there are more than `ROWS` utterances, there are several jobs.
    """
    alike: dict[tuple[object, ...], list[tuple[Measure, Task]]] = {}
    for job, task in todo:
        alike.setdefault((job.training or job.key, job.mode, job.seeds), []).append((job, task))
    for own in alike.values():
        clean = [(job, task) for job, task in own if not job.training]
        changed = [(job, task) for job, task in own if job.training]
        if not changed:
            yield from (job for job, _ in own)
            continue
        size = _most(changed[0][1])
        for first in range(0, len(changed), size):
            some = changed[first : first + size]
            parts = [job for job, _ in (*clean * (first == 0), *some)]
            yield replace(
                parts[0],
                id=f"{parts[0].id} and {len(parts) - 1} more" if len(parts) > 1 else parts[0].id,
                task=tasks.together([task for _, task in some]),
                together=tuple(parts),
            )


def _most(task: Task) -> int:
    """How many test sets as large as that of this task one training may predict."""
    tested = sum(len(fold.test) for fold in task.problem.folds)
    return max(1, (ROWS - len(task.problem.ids) + tested) // max(1, tested))


def of_cell(predictions: Predictions, task: Task) -> Predictions:
    """The predictions of one cell, from those of a training that answers several.

    Those of changed audio have the column `clean`; they keep no vectors for pictures.
    """
    table, problem = predictions.table, task.problem
    tested = problem.ids[np.unique(np.concatenate([fold.test for fold in problem.folds]))]
    mine = table["id"].isin(tested).to_numpy()
    first = mine[(table["seed"] == table["seed"].min()).to_numpy()]
    own = table[mine].reset_index(drop=True)
    outputs = None if predictions.outputs is None else predictions.outputs[first]
    further, fitted = predictions.further, predictions.fitted
    made = task.derivation
    if made and made.perturbation:
        outputs, further, fitted = None, (), []  # the clean cell has them
        keys = ["fold", "seed", "twin"]
        twins = own.assign(twin=task.utterances["twin_of"].loc[own["id"]].to_numpy())
        clean = table.rename(columns={"id": "twin", "prediction": CLEAN})[[*keys, CLEAN]]
        own[CLEAN] = twins.merge(clean, on=keys, how="left", validate="one_to_one")[CLEAN]
    by_layer = None if predictions.by_layer is None else predictions.by_layer[:, first]
    return replace(predictions, table=own, by_layer=by_layer, outputs=outputs, further=further, fitted=fitted)
