"""Predictions (downstreams -> leaderboard): what a head predicted on test, and how it came to that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the record imports this module: asking what is done must not import pandas
    import numpy as np
    import pandas as pd

Plain = str | int | float | bool | None
Choice = dict[str, Plain]  # fold, seed, what was chosen, the figure that chose it, `edge`: at the end of a grid


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
    choices: list[Choice] = field(default_factory=list)
    layer_weights: list[list[float]] | None = None
    layer: int | None = None
    outputs: np.ndarray | None = None
    marks: tuple[str, ...] = ()
    seconds: float = 0.0
