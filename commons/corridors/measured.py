"""Measured (cells -> leaderboard): the parts of one cell's record, before it is scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from commons.corridors.predictions import Predictions
from commons.corridors.record import Cell, Downstream, Run, Task, Upstream


@dataclass(frozen=True)
class Measured:
    """A measured cell, before it is scored.

    Attributes:
        cell, task, upstream, downstream, run: sections of the record.
        predictions: the head's predictions on test.
        utterances: table indexed by utterance id; its columns speaker, gender, language and dialogue are kept.
        groups: (N,) str, the unit of resampling of every row of `utterances`.
        pooled: (rows of the first seed, D) float16, standardised time-mean of each test utterance at the chosen layer;
            None where the head chose none.
    """

    cell: Cell
    task: Task
    upstream: Upstream
    downstream: Downstream
    run: Run
    predictions: Predictions
    utterances: pd.DataFrame
    groups: np.ndarray
    pooled: np.ndarray | None = None
