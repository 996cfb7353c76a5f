"""Reference rows: what is reached without listening; one of them is told true labels."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from downstreams.predictions import Predictions, fold_table
from downstreams.registry import get
from tasks.metrics import REGRESSION


def majority(problem: Any) -> Predictions:
    """Each fold's most frequent class among what may be trained on (the mean, for values)."""
    tables = []
    for fold in problem.folds:
        known = problem.targets[np.concatenate([fold.train, fold.dev])]
        if problem.kind == REGRESSION:
            values = np.full(len(fold.test), known.mean())
        else:
            shares = np.bincount(known, minlength=len(problem.classes)) / len(known)
            values = np.tile(shares, (len(fold.test), 1))
        tables.append(fold_table(problem, fold, 0, values))
    return Predictions(pd.concat(tables, ignore_index=True))


def persistence(problem: Any) -> Predictions:
    """The speaker's last emotion: the true class of her last turn before the one asked about that has one, in this
    dialogue; where she has none yet, the class that `majority` predicts.

    No model has those labels: a row to compare with, marked `oracle`. A row of a causal problem asks about the turn
    after it; labels are those that its earlier rows ask for, so that of a dialogue's first turn is not among them.
    """
    told = np.full(len(problem.ids), -1)
    _, dialogue = np.unique(problem.dialogue, return_inverse=True)
    order = np.lexsort((problem.turn, dialogue))
    for rows in np.split(order, np.flatnonzero(np.diff(dialogue[order])) + 1):
        asked = np.roll(rows, -1) if problem.causal else rows
        last: dict[Any, int] = {}
        for row, who in zip(rows, problem.speaker[asked], strict=True):
            told[row] = last.get(who, -1)
            if problem.targets[row] >= 0:
                last[who] = problem.targets[row]
    tables = []
    for fold in problem.folds:
        known = problem.targets[np.concatenate([fold.train, fold.dev])]
        usual = np.bincount(known, minlength=len(problem.classes)).argmax()
        named = np.where(told[fold.test] < 0, usual, told[fold.test])
        tables.append(fold_table(problem, fold, 0, np.eye(len(problem.classes))[named]))
    return Predictions(pd.concat(tables, ignore_index=True), marks=("oracle",))


def duration(problem: Any, seconds: np.ndarray) -> Predictions:
    """The probe on one feature, the logarithm of the utterance's length in seconds (N,)."""
    pooled = np.log(np.maximum(seconds, 1e-3)).astype(np.float32)[:, None, None, None]
    probe = get("probe")
    found = probe.load()(SimpleNamespace(pooled=pooled), problem, probe.settings, [0], "cpu")
    # A floor needs no warning that its strength or its fit might be better.
    choices = [{name: value for name, value in choice.items() if name != "edge"} for choice in found.choices]
    return replace(found, choices=choices, marks=())
