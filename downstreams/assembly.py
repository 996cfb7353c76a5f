"""From what heads give fold by fold to the predictions of the whole problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from commons.corridors.predictions import Choice, Predictions
from commons.corridors.problem import Fold, Problem
from downstreams.errors import DownstreamError


@dataclass(frozen=True)
class FoldResult:
    """A head that was trained step by step on one fold with one seed.

    Attributes:
        choice: what was chosen on dev, such as the rate and the step.
        figure: `select_on` on dev, which chose; -inf where training overflowed.
        probabilities: (n, C) of the utterances of all test sets.
        outputs: (n, H) of the first layer on test.
        layer_weights: (L,) that the head learned, where it weighs layers.
    """

    fold: Fold
    seed: int
    choice: Choice
    figure: float
    probabilities: np.ndarray
    outputs: np.ndarray
    layer_weights: list[float] | None = None


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
    frame = pd.DataFrame({"id": problem.ids[fold.tested], "fold": fold.name, "seed": seed})
    if problem.kind == "regression":
        return frame.assign(target=target.astype(np.float64), prediction=values.astype(np.float64))
    classes = np.asarray(problem.classes, dtype=object)
    frame["target"], frame["prediction"] = classes[target], classes[values.argmax(1)]
    scores = pd.DataFrame(values.astype(np.float32), columns=[f"score:{name}" for name in problem.classes])
    return pd.concat([frame, scores], axis=1)


def overflow(fold: Fold) -> DownstreamError:
    """The error of a head whose training on a fold went beyond what a float holds."""
    return DownstreamError(
        f"fold '{fold.name}': predictions are not finite, features of this scale let training overflow; "
        "probe, which standardises them, can read them."
    )
