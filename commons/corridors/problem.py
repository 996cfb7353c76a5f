"""Problem (tasks -> downstreams): targets and splits as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from commons.errors import EmorepError
from commons.metrics import METRICS

Kind = Literal["classification", "regression", "conversation", "ordinal", "distribution"]
KINDS = ("classification", "regression", "conversation", "ordinal", "distribution")
TargetKind = Literal["classification", "regression", "ordinal", "sequence"]
TARGET_KINDS = ("classification", "regression", "ordinal", "sequence")
_NONE = np.empty(0, dtype=np.int64)
BY_ROW = ("targets", "groups", "speaker", "dialogue", "turn", "sentence", "votes", "allowed")  # arrays of a row each


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
        kind: classification, regression, ordinal, or sequence: an utterance has several symbols in their order.
        classes: class names, levels from the lowest up, or symbols, in the order of `values`; empty for regression.
        values: (N,) int64 class indices, -1 = none; for regression float64, NaN = none; for a sequence an object array
            of int64 arrays of indices, empty or None = none.
        places: of an ordinal target the place of each class on the scale from 0 to 1, ascending; else empty.

    Raises:
        EmorepError: a value is not the index of a class, or classes and places do not fit each other.
    """

    name: str
    kind: TargetKind
    classes: tuple[str, ...]
    values: np.ndarray
    places: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in TARGET_KINDS:
            raise EmorepError(f"target {self.name}: kind {self.kind!r} is none of {', '.join(TARGET_KINDS)}")
        levels = len(self.classes) if self.kind == "ordinal" else 0
        if len(self.places) != levels or sorted(set(self.places)) != list(self.places):
            raise EmorepError(f"target {self.name}: {levels} ascending places are expected, got {list(self.places)}")
        if self.kind == "regression":
            return
        indices = np.concatenate([*map(_symbols, self.values), _NONE]) if self.kind == "sequence" else self.values
        lowest = 0 if self.kind == "sequence" else -1
        if len(indices) and not (lowest <= indices.min() and indices.max() < len(self.classes)):
            strange = indices.max() if indices.max() >= len(self.classes) else indices.min()
            raise EmorepError(f"target {self.name}: a value is {strange}, but there are {len(self.classes)} classes")

    @property
    def mask(self) -> np.ndarray:
        """(N,) bool: the utterances that have a value."""
        if self.kind == "sequence":
            return np.array([len(_symbols(value)) > 0 for value in self.values], dtype=bool)
        return ~np.isnan(self.values) if self.kind == "regression" else self.values >= 0

    def plain(self) -> list[object]:
        """The values as plain numbers, or lists of them; they decide a cell's key."""
        if self.kind == "sequence":
            return [_symbols(value).tolist() for value in self.values]
        return self.values.tolist()


def _symbols(value: np.ndarray | None) -> np.ndarray:
    """The symbols of one utterance; none where it has no label."""
    return _NONE if value is None else value


@dataclass(frozen=True, kw_only=True)
class Problem:
    """N utterances with their targets and folds; row i here is row i of the utterances and of the features.

    Attributes:
        ids: (N,) str.
        kind: classification, regression, conversation; ordinal: its classes are levels, from the lowest up;
            distribution: annotators' votes are asked for, and `targets` are the classes of most votes.
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
        votes: (N, C) shares of the annotators' votes, NaN where `targets` has none; of a distribution alone.
        allowed: (N, C) bool, the classes that each row may have: those of its own corpus, where several are joined.
            None: all rows may have all classes. In training and in prediction a row's softmax is over these alone.
        sentence: (N,) str, the sentence that is spoken, empty where it is not known; None where the corpus has none.

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
    votes: np.ndarray | None = None
    allowed: np.ndarray | None = None
    sentence: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.kind not in KINDS:
            raise EmorepError(f"problem: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.select_on not in METRICS:
            raise EmorepError(f"problem: no metric {self.select_on!r} (known: {', '.join(METRICS)})")
        if len(np.unique(self.ids)) != n:
            raise EmorepError("problem: utterance ids are not unique")
        for name in BY_ROW:
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise EmorepError(f"problem: {name} has {len(column)} rows, ids have {n}")
        for target in self.also:
            if len(target.values) != n:
                raise EmorepError(f"problem: target {target.name} has {len(target.values)} rows, ids have {n}")
        if (self.kind == "distribution") != (self.votes is not None):
            raise EmorepError("problem: a distribution, and no other problem, has votes")
        if self.votes is not None and self.votes.shape != (n, len(self.classes)):
            raise EmorepError(f"problem: votes have shape {self.votes.shape}, expected {(n, len(self.classes))}")
        has_target = self.has_target
        if self.kind != "regression" and n and self.targets.max() >= len(self.classes):
            raise EmorepError(f"problem: a target is {self.targets.max()}, there are {len(self.classes)} classes")
        if self.allowed is not None:
            _check_allowed(self.allowed, self)
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

    def taken(self, rows: np.ndarray, ids: np.ndarray, folds: Sequence[Fold]) -> Problem:
        """The problem of these rows, in this order and as often as they are named, with other ids and folds."""

        def of(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return replace(
            self,
            ids=ids,
            targets=self.targets[rows],
            groups=self.groups[rows],
            speaker=self.speaker[rows],
            dialogue=of(self.dialogue),
            turn=of(self.turn),
            sentence=of(self.sentence),
            votes=of(self.votes),
            allowed=of(self.allowed),
            also=tuple(replace(target, values=target.values[rows]) for target in self.also),
            folds=tuple(folds),
            draws=(),
        )


def _check_allowed(allowed: np.ndarray, problem: Problem) -> None:
    shape = len(problem.ids), len(problem.classes)
    if problem.kind != "classification" or allowed.shape != shape or allowed.dtype != np.bool_:
        raise EmorepError(
            f"problem: allowed is {allowed.dtype} {allowed.shape} of a {problem.kind}; bool {shape} of a "
            "classification is expected"
        )
    rows = np.flatnonzero(problem.has_target)
    strange = rows[~allowed[rows, problem.targets[rows]]]
    if len(strange):
        row = strange[0]
        name = problem.classes[problem.targets[row]]
        raise EmorepError(f"problem: {problem.ids[row]} has the class {name}, which is not among its allowed ones")


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
