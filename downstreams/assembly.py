"""From what heads give fold by fold to the predictions of the whole problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from commons.corridors.fitted import Fitted
from commons.corridors.predictions import Choice, Further, Predictions
from commons.corridors.problem import Fold, Problem
from downstreams.errors import DownstreamError
from downstreams.shelf import State


@dataclass(frozen=True)
class HeldOut:
    """What a head gives for utterances that may be trained on and that it was not fitted on.

    Attributes:
        rows: (m,) int64.
        probabilities: (m, C).
    """

    rows: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class FoldResult:
    """A head that was trained step by step on one fold with one seed.

    Attributes:
        choice: what was chosen on dev, such as the rate and the step.
        figure: `select_on` on dev, which chose; -inf where training overflowed.
        probabilities: (n, C) of the utterances of all test sets.
        outputs: (n, H) of the first layer on test.
        layer_weights: (L,) that the head learned, where it weighs layers.
        dev: (m, C) probabilities of the fold's dev part, by the same network; None where they were not kept.
        fitted: the head itself, where it can be kept.
        more: what else it gives of the fold; tensors and plain values.
    """

    fold: Fold
    seed: int
    choice: Choice
    figure: float
    probabilities: np.ndarray
    outputs: np.ndarray
    layer_weights: list[float] | None = None
    dev: np.ndarray | None = None
    fitted: Fitted | None = None
    more: State = field(default_factory=dict)


def assemble(problem: Problem, results: list[FoldResult], seconds: float) -> Predictions:
    """The predictions of all folds and seeds; `outputs` are those of the first seed.

    Raises:
        DownstreamError: training overflowed.
    """
    for result in results:
        if not np.isfinite(result.figure):
            raise overflow(result.fold)
    weights = [result.layer_weights for result in results if result.layer_weights is not None]
    return Predictions(
        table=pd.concat([fold_table(problem, r.fold, r.seed, r.probabilities) for r in results], ignore_index=True),
        choices=[{"fold": r.fold.name, "seed": r.seed, **r.choice, "dev": r.figure} for r in results],
        layer_weights=weights or None,
        outputs=np.concatenate([r.outputs for r in results if r.seed == results[0].seed]),
        held_out=all_of(
            [
                None if r.dev is None else held_out_table(problem, r.fold, r.seed, HeldOut(r.fold.dev, r.dev))
                for r in results
            ]
        ),
        fitted=[r.fitted for r in results if r.fitted is not None],
        seconds=seconds,
    )


def fold_table(problem: Problem, fold: Fold, seed: int, values: np.ndarray) -> pd.DataFrame:
    """Rows of the utterances of one fold's test sets, as Predictions has them.

    Args:
        values: (n, C) probabilities, or (n,) predicted values.

    Raises:
        DownstreamError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise overflow(fold)
    target = problem.targets[fold.tested]
    if problem.kind != "regression":
        return fold_rows(problem.ids, fold.name, seed, fold.tested, target, problem.classes, values)
    frame = pd.DataFrame({"id": problem.ids[fold.tested], "fold": fold.name, "seed": seed})
    return frame.assign(target=target.astype(np.float64), prediction=values.astype(np.float64))


def fold_rows(
    ids: np.ndarray,
    fold: str,
    seed: int,
    rows: np.ndarray,
    target: np.ndarray,
    classes: tuple[str, ...],
    probabilities: np.ndarray,
) -> pd.DataFrame:
    """The rows `rows` of a table of predictions of classes: `id fold seed target prediction score:<class>`.

    Args:
        target: (n,) true class indices.
        probabilities: (n, C).
    """
    frame = pd.DataFrame({"id": ids[rows], "fold": fold, "seed": seed})
    names = np.asarray(classes, dtype=object)
    frame["target"], frame["prediction"] = names[target], names[probabilities.argmax(1)]
    scores = pd.DataFrame(probabilities.astype(np.float32), columns=[f"score:{name}" for name in classes])
    return pd.concat([frame, scores], axis=1)


def held_out_table(problem: Problem, fold: Fold, seed: int, held_out: HeldOut) -> pd.DataFrame:
    """Rows of one fold's held-out utterances, as Predictions has them. Raises DownstreamError: as `fold_table`."""
    table = fold_table(problem, replace(fold, test=held_out.rows, beside=()), seed, held_out.probabilities)
    return table.drop(columns="prediction")


def all_of(tables: Sequence[pd.DataFrame | None]) -> pd.DataFrame | None:
    """The tables of all folds under each other; None where a fold has none."""
    known = [table for table in tables if table is not None]
    return pd.concat(known, ignore_index=True) if known and len(known) == len(tables) else None


def highest(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The highest value of each name.

    >>> highest([{"cpu": 5.0, "cuda": 9.0}, {"cpu": 7.0}, {}])
    {'cpu': 7.0, 'cuda': 9.0}
    """
    most: dict[str, float] = {}
    for own in several:
        most |= {name: max(value, most.get(name, value)) for name, value in own.items()}
    return most


def joined(several: Sequence[Sequence[Further]]) -> tuple[Further, ...]:
    """The further predictions of several folds, seeds or draws, one table for each name; empty tables are left out."""
    tables: dict[str, list[Further]] = {}
    for further in several:
        for one in further:
            if len(one.table):
                tables.setdefault(one.name, []).append(one)
    return tuple(
        replace(own[0], table=pd.concat([one.table for one in own], ignore_index=True)) for own in tables.values()
    )


def overflow(fold: Fold) -> DownstreamError:
    """The error of a head whose training on a fold went beyond what a float holds."""
    return DownstreamError(
        f"fold '{fold.name}': predictions are not finite: training overflows; set smaller rates in a settings file, or "
        "use probe, which is fitted without any"
    )
