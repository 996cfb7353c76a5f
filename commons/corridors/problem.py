"""Problem (tasks -> downstreams): targets and splits as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from commons.errors import EmorepError
from commons.metrics import METRICS

Kind = Literal["classification", "regression", "conversation", "ordinal"]
KINDS = ("classification", "regression", "conversation", "ordinal")


@dataclass(frozen=True)
class Fold:
    """One split, as int64 row indices of utterances that have a target.

    Attributes:
        train, dev, test: disjoint; dev may be empty.
        inner: groups that are held out in inner cross-validation, a partition of train and dev together; empty where
            `dev` is an official part.
        beside: further test sets, which the same training answers: of changed audio, the same utterances without it.
    """

    name: str
    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    inner: tuple[np.ndarray, ...] = ()
    beside: tuple[np.ndarray, ...] = ()

    @property
    def tests(self) -> tuple[np.ndarray, ...]:
        """All test sets. Heads predict each by itself: what one gets must not depend on the others."""
        return self.test, *self.beside

    @property
    def tested(self) -> np.ndarray:
        """Rows of all test sets, in the order of the predictions."""
        return np.concatenate(self.tests)


@dataclass(frozen=True)
class Target:
    """A further target of the N utterances, for heads that learn several tasks.

    Attributes:
        name: the column that it comes from: intensity, gender, phonemes ...
        kind: classification or regression.
        classes: class names in the order of `values`; empty for regression.
        values: (N,) int64 class indices, -1 = none; for regression float64, NaN = none.

    Raises:
        EmorepError: a value is not the index of a class.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    values: np.ndarray

    def __post_init__(self) -> None:
        if self.kind not in ("classification", "regression"):
            raise EmorepError(f"target {self.name}: kind {self.kind!r} is neither classification nor regression")
        if self.kind == "classification" and len(self.values) and self.values.max() >= len(self.classes):
            raise EmorepError(
                f"target {self.name}: a value is {self.values.max()}, but there are {len(self.classes)} classes"
            )

    @property
    def mask(self) -> np.ndarray:
        """(N,) bool: the utterances that have a value."""
        return ~np.isnan(self.values) if self.kind == "regression" else self.values >= 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """N utterances with their targets and folds; row i here is row i of the utterances and of the features.

    Attributes:
        ids: (N,) str.
        kind: classification, regression, conversation, or ordinal: its classes are levels, from the lowest up.
        classes: class names in the order of the targets; empty for regression.
        targets: (N,) int64 class indices, -1 = none; for regression float64, NaN = none.
        groups: (N,) str, the unit of resampling.
        speaker: (N,) str; where the corpus tells no speakers, `groups`.
        dialogue, turn: (N,) each, or None where the corpus has none.
        select_on: the metric by which choices on dev are made.
        causal: the target of a turn lies after it in its dialogue, so a head may use this turn and earlier ones only.
        draws: where training utterances are drawn, the folds of each draw (`folds` is the first); a seed is a draw.
        test_standardised: test features are standardised by their own statistics instead of those of train.
        also: further targets to train on; only `targets` are scored.

    Raises:
        EmorepError: the arrays are inconsistent.
    """

    ids: np.ndarray
    kind: Kind
    classes: tuple[str, ...]
    targets: np.ndarray
    folds: tuple[Fold, ...]
    groups: np.ndarray
    speaker: np.ndarray
    dialogue: np.ndarray | None = None
    turn: np.ndarray | None = None
    select_on: str = "WA"
    causal: bool = False
    draws: tuple[tuple[Fold, ...], ...] = ()
    test_standardised: bool = False
    also: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.kind not in KINDS:
            raise EmorepError(f"problem: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.select_on not in METRICS:
            raise EmorepError(f"problem: no metric {self.select_on!r} (known: {', '.join(METRICS)})")
        if len(np.unique(self.ids)) != n:
            raise EmorepError("problem: utterance ids are not unique")
        for name in ("targets", "groups", "speaker", "dialogue", "turn"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise EmorepError(f"problem: {name} has {len(column)} rows, ids have {n}")
        for target in self.also:
            if len(target.values) != n:
                raise EmorepError(f"problem: target {target.name} has {len(target.values)} rows, ids have {n}")
        has_target = self.has_target
        if self.kind != "regression" and n and self.targets.max() >= len(self.classes):
            raise EmorepError(f"problem: a target is {self.targets.max()}, there are {len(self.classes)} classes")
        if not self.folds:
            raise EmorepError("problem: no folds")
        if self.kind == "conversation" and (self.dialogue is None or self.turn is None):
            raise EmorepError("problem: a conversation needs the dialogue and the turn of every utterance")
        for fold in (*self.folds, *chain.from_iterable(self.draws)):
            _check(fold, has_target)

    @property
    def has_target(self) -> np.ndarray:
        """(N,) bool: the rows that folds may hold; others are context."""
        return ~np.isnan(self.targets) if self.kind == "regression" else self.targets >= 0


def _check(fold: Fold, has_target: np.ndarray) -> None:
    parts = np.concatenate([fold.train, fold.dev, fold.tested])
    if len(parts) and not (parts.min() >= 0 and parts.max() < len(has_target)):
        raise EmorepError(f"fold {fold.name!r}: an index is outside the {len(has_target)} utterances")
    if len(np.unique(parts)) != len(parts):
        raise EmorepError(f"fold {fold.name!r}: train, dev and test overlap")
    if not has_target[parts].all():
        raise EmorepError(f"fold {fold.name!r}: holds an utterance without a target")
    if not len(fold.train) or not len(fold.test):
        raise EmorepError(f"fold {fold.name!r}: {'train' if not len(fold.train) else 'test'} is empty")
    if fold.inner:
        held_out = np.sort(np.concatenate(fold.inner))
        if not np.array_equal(held_out, np.sort(np.concatenate([fold.train, fold.dev]))):
            raise EmorepError(f"fold {fold.name!r}: its inner groups are not a partition of train and dev")
