"""Targets and folds of a task, from its usable utterances and its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from commons.corridors.problem import Fold, Problem
from commons.errors import EmorepError
from commons.metrics import REGRESSION
from tasks import corpora, definition
from tasks.definition import Definition
from tasks.errors import TaskError
from tasks.reading import Reading
from tasks.splits import folds


def targets(utterances: pd.DataFrame, wanted: Definition) -> np.ndarray:
    """(N,) int64 class of each utterance, -1 for none; of a regression, (N,) float64 values."""
    if wanted.kind == REGRESSION:
        return utterances[wanted.target].to_numpy(dtype=np.float64)
    index = {value: i for i, values in enumerate(wanted.labels.values()) for value in values}
    return utterances[wanted.target].map(index).fillna(-1).to_numpy(dtype=np.int64)


def of_next_turn(targets: np.ndarray, dialogue: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(N,) the target of the next turn in the dialogue; -1 where there is none.

    A head may use the audio of a row and of earlier rows only.
    """
    order = np.lexsort((turn, dialogue))
    follows = np.flatnonzero((dialogue[order][1:] == dialogue[order][:-1]) & (turn[order][1:] == turn[order][:-1] + 1))
    shifted = np.full_like(targets, -1)
    shifted[order[follows]] = targets[order[follows + 1]]
    return shifted


def with_targets(fold: Fold, targets: np.ndarray) -> Fold:
    """The fold without the rows that have no target."""

    def keep(part: np.ndarray) -> np.ndarray:
        return part[targets[part] >= 0]

    inner = tuple(group for group in map(keep, fold.inner) if len(group))
    return replace(fold, train=keep(fold.train), dev=keep(fold.dev), test=keep(fold.test), inner=inner)


def text(column: pd.Series | pd.Index) -> np.ndarray:
    """(N,) unicode array of a column."""
    return np.array([str(value) for value in column.tolist()])


def split(wanted: Definition, reading: Reading) -> tuple[Problem, list[str]]:
    """Targets and folds of the utterances, and notes on them.

    Raises:
        TaskError: a column that the definition names is missing, or the split is impossible.
    """
    rows, rule = reading.utterances, wanted.folds
    group = definition.GROUPS[wanted.group_by]
    asked_for = {"folds": {rule.by, group, rule.apart} - {""}, "pairs": set(wanted.pairs)}
    for key, columns in asked_for.items():
        lacking = sorted(columns - set(rows))
        if lacking:
            raise TaskError(
                f"{definition.path(wanted.name)}: {key}: {wanted.corpus} has no column {', '.join(lacking)}"
            )
    ids, groups, asked = text(rows.index), text(rows[group] if group else rows.index), targets(rows, wanted)
    speakers = text(rows["speaker"]) if "speaker" in rows else groups
    dialogue, turn = (rows[column].to_numpy() if column in rows else None for column in ("dialogue", "turn"))
    if wanted.next_turn and dialogue is not None and turn is not None:
        asked = of_next_turn(asked, dialogue, turn)
    try:
        built, notes = _folds(wanted, reading, ids, speakers, asked)
        problem = Problem(
            ids=ids,
            kind=wanted.kind,
            classes=tuple(wanted.labels),
            targets=asked,
            folds=built,
            groups=groups,
            speaker=speakers,
            dialogue=dialogue,
            turn=turn,
            select_on=wanted.select_on,
            causal=wanted.next_turn,
            sentence=text(rows["sentence"].fillna("")) if "sentence" in rows else None,
        )
        return problem, notes
    except EmorepError as error:
        raise TaskError(f"{wanted.name}: {error}") from error


def _folds(
    wanted: Definition, reading: Reading, ids: np.ndarray, speakers: np.ndarray, asked: np.ndarray
) -> tuple[tuple[Fold, ...], list[str]]:
    """The folds of a task, and notes on them."""
    rows, rule = reading.utterances, wanted.folds
    notes: list[str] = []
    there = ~np.isnan(asked) if wanted.kind == REGRESSION else asked >= 0
    # Values have no classes to keep in every part.
    strata = np.zeros(len(asked), dtype=np.int64) if wanted.kind == REGRESSION else asked
    units = speakers if rule.inner == "speaker" else text(rows[rule.inner] if rule.inner else rows.index)
    values = text(rows[rule.by])
    if rule.by == "partition":
        return folds.official(values, ids, units, there, strata, wanted.dev), notes

    def keep(tests: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The folds' rows that have a target, without folds of none."""
        kept = {name: test[there[test]] for name, test in tests.items()}
        return {name: test for name, test in kept.items() if len(test)}

    if rule.groups:
        tests = keep(folds.leave_groups_out(rule.by, values, rule.groups))
    else:
        tests = keep(folds.leave_out(rule.by, values, rule.k))
    if rule.apart:
        others = keep(folds.leave_out(rule.apart, text(rows[rule.apart]), rule.apart_k))
        built = tuple(
            folds.build_one(k, parts, ids, speakers, strata, wanted.dev, None, units)
            for k, parts in folds.crossed(tests, others)
        )
        return built, notes
    draws = None
    if wanted.dev == "superb":
        draws = None if reading.limited else corpora.dev_rows(wanted.corpus, reading.root, tests, ids)
        notes.append(
            "dev: s3prl's own draw, from the split files in meta_data"
            if draws
            else "dev: SUPERB's rule, other draw (put s3prl's meta_data into the corpus folder to repeat its own)"
        )
    return folds.build(tests, ids, speakers, strata, wanted.dev, draws, units), notes
