"""Predictions (downstreams -> leaderboard): a head's predictions on test, and its choices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the record imports this module, and a plan must not import pandas for that
    import numpy as np
    import pandas as pd

    from commons.corridors.fitted import Fitted

CLEAN = "clean"  # of changed audio, a column of the table: the prediction for the same utterance unchanged
Plain = str | int | float | bool | None
Choice = dict[str, Plain]  # fold, seed, the choice, its figure, and `edge`: whether it is the end of a grid


@dataclass(frozen=True)
class Further:
    """Predictions of something else than the task's target, which tables show beside its figures.

    Attributes:
        name: a further target (gender, intensity, phonemes), or `gender_probe`, `speaker_probe`: a probe on the vectors
            of a head.
        kind: classification, ordinal or sequence.
        classes, places: as those of problem.Target.
        table: columns `id fold seed target prediction` and, but for a sequence, `score:<class>`. A sequence is a text:
            its symbols with spaces between them.
    """

    name: str
    kind: Literal["classification", "ordinal", "sequence"]
    classes: tuple[str, ...]
    places: tuple[float, ...]
    table: pd.DataFrame


@dataclass(frozen=True)
class Predictions:
    """Predictions of one head on one problem; R rows of seed 0, L layers, F folds, C classes.

    Attributes:
        table: columns `id fold seed target prediction`, and `score:<class>` (probabilities, float32) for classes.
        by_layer: (L, R) predictions on test with that layer alone: int16 classes or float32 values.
        dev_by_layer: (F, L) the `select_on` figure of every layer on the data on which the layer is chosen.
        choices: for each fold and seed: the choice, its figure, and `edge`: whether it is the end of a grid.
        layer_weights: for each of `choices`, the head's weights of the layers, which sum to 1; None where it has none.
        layer: the layer that most folds chose (the lower of equals); None for heads without layers.
        outputs: (R, H) float32, output of the head's first layer on test, for pictures; None where there is none.
        held_out: columns `id fold seed target` and `score:<class>`: probabilities of training and dev utterances,
            each by a fit without it; None for values, or where nothing was held out.
        marks: marks that tables show beside the figures.
        curves: of trained encoders every scoring of dev: fold, seed, metric, epoch, step, train_loss, dev_loss, dev (in
            that metric).
        trainable: how many values were trained, encoder and head together; None for heads that train no encoder.
        training_seconds: time of all trainings, summed, also of those that were done before; None for such heads.
        training_memory: memory of these trainings at its highest, MB: {"cpu": of a process}, and {"cuda": of torch on
            the GPU} where they ran on one; empty for such heads.
        fitted: the heads themselves, one for each fold and seed, where they can be kept; those that train an encoder
            give them on demand.
        features: of heads that select features, for each of `choices`: the number of each feature, or its name, and how
            large its weights are.
        seconds: wall time.
        further: predictions of further targets, of heads that learn several.
    """

    table: pd.DataFrame
    by_layer: np.ndarray | None = None
    dev_by_layer: np.ndarray | None = None
    choices: list[Choice] = field(default_factory=list)
    layer_weights: list[list[float]] | None = None
    layer: int | None = None
    outputs: np.ndarray | None = None
    held_out: pd.DataFrame | None = None
    marks: tuple[str, ...] = ()
    curves: list[Choice] = field(default_factory=list)
    trainable: int | None = None
    training_seconds: float | None = None
    training_memory: dict[str, float] = field(default_factory=dict)
    fitted: list[Fitted] = field(default_factory=list)
    features: list[dict[str, float]] | None = None
    seconds: float = 0.0
    further: tuple[Further, ...] = ()
