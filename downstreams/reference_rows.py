"""Reference rows: what is reached without the features; one of them knows true labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from commons.corridors.predictions import Predictions
from commons.corridors.problem import Problem
from commons.metrics import REGRESSION
from downstreams import probe
from downstreams.assembly import fold_table
from downstreams.checks import dialogues
from downstreams.registry import REFERENCES
from downstreams.settings import Probe


def predict(name: str, problem: Problem, lengths: np.ndarray) -> Predictions:
    """The predictions of the reference of this name.

    Args:
        lengths: (N,) seconds for `duration`, (N, 2) words and characters for `text_length`; others do not use them.

    Raises:
        UnknownName: there is no such reference.
    """
    if REFERENCES.find(name).reads:
        return length(problem, lengths)
    return majority(problem) if name == "majority" else persistence(problem)


def majority(problem: Problem) -> Predictions:
    """Each fold's most frequent class among what may be trained on (the mean, for values and for votes).

    Where utterances may have the classes of their own corpus alone, it is the most frequent one of these.
    """
    tables = []
    for fold in problem.folds:
        rows = np.concatenate([fold.train, fold.dev])
        known = problem.targets[rows]
        if problem.votes is not None:
            values = np.tile(problem.votes[rows].mean(0), (len(fold.tested), 1))
        elif problem.kind == REGRESSION:
            values = np.full(len(fold.tested), known.mean())
        else:
            shares = np.bincount(known, minlength=len(problem.classes)) / len(known)
            values = np.tile(shares, (len(fold.tested), 1))
            if problem.allowed is not None:
                values = np.where(problem.allowed[fold.tested], values, 0.0)
                values /= values.sum(1, keepdims=True)
        tables.append(fold_table(problem, fold, 0, values))
    return Predictions(pd.concat(tables, ignore_index=True))


def persistence(problem: Problem) -> Predictions:
    """The speaker's last emotion: the true class of her last labelled turn before the one asked about.

    The turn is of the same dialogue; where there is none yet, it is the class that `majority` predicts. No model has
    those labels: a row to compare with, marked `oracle`. A row of a causal problem asks about the turn after it;
    labels are those that its earlier rows ask for, so that of a dialogue's first turn is not among them.

    Raises:
        DownstreamError: the problem has no dialogues.
    """
    last_label = np.full(len(problem.ids), -1)
    for rows in dialogues(problem):
        asked = np.roll(rows, -1) if problem.causal else rows
        last: dict[str, int] = {}
        for row, speaker in zip(rows, problem.speaker[asked], strict=True):
            last_label[row] = last.get(speaker, -1)
            if problem.targets[row] >= 0:
                last[speaker] = problem.targets[row]
    tables = []
    for fold in problem.folds:
        known = problem.targets[np.concatenate([fold.train, fold.dev])]
        usual = np.bincount(known, minlength=len(problem.classes)).argmax()
        predicted = np.where(last_label[fold.tested] < 0, usual, last_label[fold.tested])
        tables.append(fold_table(problem, fold, 0, np.eye(len(problem.classes))[predicted]))
    return Predictions(pd.concat(tables, ignore_index=True), marks=("oracle",))


def length(problem: Problem, lengths: np.ndarray) -> Predictions:
    """The probe on logarithms of lengths: seconds (N,), or words and characters (N, 2)."""
    pooled = np.log(np.maximum(lengths, 1e-3)).astype(np.float32).reshape(len(lengths), 1, 1, -1)
    predictions = probe.read(pooled, problem, Probe(), "cpu")
    # A floor needs no warning that its strength or its fit might be better.
    choices = [{name: value for name, value in choice.items() if name != "edge"} for choice in predictions.choices]
    return replace(predictions, choices=choices, marks=())
