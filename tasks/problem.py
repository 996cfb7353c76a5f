"""What downstreams are asked: targets and splits as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np

from tasks.errors import TaskError
from tasks.metrics import METRICS

KINDS = ("classification", "regression", "conversation")


@dataclass(frozen=True)
class Fold:
    """One split, as int64 row indices of utterances that have a target.

    Attributes:
        train, dev, test: disjoint; dev may be empty.
        inner: held-out groups that partition train and dev together, for inner cross-validation; empty where
            `dev` is an official part.
    """

    name: str
    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    inner: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Problem:
    """N utterances with their targets and folds; row i here is row i of the utterances and of the features.

    Attributes:
        ids: (N,) str.
        kind: classification, regression or conversation.
        classes: class names in the order of the targets; empty for regression.
        targets: (N,) int64 class indices, -1 = none; for regression float64, NaN = none.
        groups: (N,) str, the unit of resampling.
        speaker: (N,) str; where the corpus tells no speakers, `groups`.
        dialogue, turn: (N,) each, or None where the corpus has none.
        select_on: the metric that choices on dev go by.
        causal: what is asked of a turn lies after it in its dialogue, so a head may read this row and those of earlier
            turns only.
        draws: of few labels, `folds` once for each draw of what trains (`folds` is the first); a seed is a draw.
        test_standardised: test features are to be standardised by their own statistics, not by those of what trains.

    Raises:
        TaskError: the parts do not fit together.
    """

    ids: np.ndarray
    kind: str
    classes: tuple[str, ...]
    targets: np.ndarray
    folds: tuple[Fold, ...]
    groups: np.ndarray
    speaker: np.ndarray
    dialogue: np.ndarray | None
    turn: np.ndarray | None
    select_on: str = "WA"
    causal: bool = False
    draws: tuple[tuple[Fold, ...], ...] = ()
    test_standardised: bool = False

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.kind not in KINDS:
            raise TaskError(f"problem: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.select_on not in METRICS:
            raise TaskError(f"problem: no metric {self.select_on!r} (known: {', '.join(METRICS)})")
        if len(np.unique(self.ids)) != n:
            raise TaskError("problem: utterance ids are not unique")
        for name in ("targets", "groups", "speaker", "dialogue", "turn"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise TaskError(f"problem: {name} has {len(column)} rows, ids have {n}")
        has_target = self.has_target
        if self.kind != "regression" and n and self.targets.max() >= len(self.classes):
            raise TaskError(f"problem: a target is {self.targets.max()}, there are {len(self.classes)} classes")
        if not self.folds:
            raise TaskError("problem: no folds")
        if self.kind == "conversation" and (self.dialogue is None or self.turn is None):
            raise TaskError("problem: a conversation needs the dialogue and the turn of every utterance")
        for fold in (*self.folds, *chain.from_iterable(self.draws)):
            _check(fold, has_target)

    @property
    def has_target(self) -> np.ndarray:
        """(N,) bool: the rows that folds may hold; others are context."""
        return ~np.isnan(self.targets) if self.kind == "regression" else self.targets >= 0


def _check(fold: Fold, has_target: np.ndarray) -> None:
    parts = np.concatenate([fold.train, fold.dev, fold.test])
    if len(parts) and not (parts.min() >= 0 and parts.max() < len(has_target)):
        raise TaskError(f"fold {fold.name!r}: an index is outside the {len(has_target)} utterances")
    if len(np.unique(parts)) != len(parts):
        raise TaskError(f"fold {fold.name!r}: train, dev and test overlap")
    if not has_target[parts].all():
        raise TaskError(f"fold {fold.name!r}: holds an utterance without a target")
    if not len(fold.train) or not len(fold.test):
        raise TaskError(f"fold {fold.name!r}: {'train' if not len(fold.train) else 'test'} is empty")
    if fold.inner:
        held_out = np.sort(np.concatenate(fold.inner))
        if not np.array_equal(held_out, np.sort(np.concatenate([fold.train, fold.dev]))):
            raise TaskError(f"fold {fold.name!r}: its inner groups are not a partition of train and dev")
