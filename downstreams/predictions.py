"""What a head hands on: its predictions on test, and how it came to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from downstreams.errors import DownstreamError


@dataclass(frozen=True)
class Predictions:
    """Predictions of one head on one problem; R rows of seed 0, L layers, F folds, C classes.

    Attributes:
        table: columns `id fold seed target prediction`, and `score:<class>` (probabilities, float32) for classes.
        by_layer: (L, R) predictions on test had that layer alone been used: int16 classes or float32 values.
        dev_by_layer: (F, L) the `select_on` figure of every layer on the data that chose.
        choices: one a fold and seed: what was chosen, the figure that chose it, and `edge` where it lay at the end
            of a grid.
        layer_weights: for each of `choices` the head's weights of the layers, which sum to 1; None where it has none.
        layer: the layer most folds chose (the lower of equals), None for heads without layers.
        outputs: (R, H) float32, the head's first-layer output on test for pictures; None where there is none.
        marks: what a table must say beside the figures.
        seconds: wall time.
    """

    table: pd.DataFrame
    by_layer: np.ndarray | None = None
    dev_by_layer: np.ndarray | None = None
    choices: list[dict[str, Any]] = field(default_factory=list)
    layer_weights: list[list[float]] | None = None
    layer: int | None = None
    outputs: np.ndarray | None = None
    marks: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What became of one fold and seed of a head that is trained step by step."""

    fold: Any
    seed: int
    chosen: dict[str, Any]  # on dev
    figure: float  # `select_on` on dev, which chose; -inf where training overflowed
    test: np.ndarray  # (n, C) probabilities
    outputs: np.ndarray  # (n, H) of the first layer
    weights: list[float] | None = None  # (L,) of the layers, where the head weighs them


def collected(problem: Any, readings: list[Reading], seconds: float) -> Predictions:
    """The predictions of all folds and seeds; `outputs` are those of the first seed.

    Raises:
        DownstreamError: training overflowed.
    """
    for reading in readings:
        if not np.isfinite(reading.figure):
            raise overflow(reading.fold)
    weights = [reading.weights for reading in readings if reading.weights is not None]
    return Predictions(
        table=pd.concat([fold_table(problem, r.fold, r.seed, r.test) for r in readings], ignore_index=True),
        choices=[{"fold": r.fold.name, "seed": r.seed, **r.chosen, "dev": r.figure} for r in readings],
        layer_weights=weights or None,
        outputs=np.concatenate([r.outputs for r in readings if r.seed == readings[0].seed]),
        seconds=seconds,
    )


def fold_table(problem: Any, fold: Any, seed: int, values: np.ndarray) -> pd.DataFrame:
    """Rows of one fold's test utterances: `values` are (n, C) probabilities, or (n,) predicted values.

    Raises:
        DownstreamError: a value is not finite.
    """
    if not np.isfinite(values).all():
        raise overflow(fold)
    target = problem.targets[fold.test]
    frame = pd.DataFrame({"id": problem.ids[fold.test], "fold": fold.name, "seed": seed})
    if problem.kind == "regression":
        return frame.assign(target=target.astype(np.float64), prediction=values.astype(np.float64))
    classes = np.asarray(problem.classes, dtype=object)
    frame["target"], frame["prediction"] = classes[target], classes[values.argmax(1)]
    scores = pd.DataFrame(values.astype(np.float32), columns=[f"score:{name}" for name in problem.classes])
    return pd.concat([frame, scores], axis=1)


def overflow(fold: Any) -> DownstreamError:
    """What a head says whose training on a fold went beyond what a float holds."""
    return DownstreamError(
        f"fold '{fold.name}': predictions are not finite, features of this scale let training overflow; "
        "probe, which standardises them, can read them."
    )
