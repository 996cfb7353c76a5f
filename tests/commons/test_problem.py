"""Further targets of a problem: what each kind may hold, and which rows have a value."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from commons.corridors.problem import BY_ROW, Fold, Problem, Target
from commons.errors import EmorepError


def sequences(*several):
    values = np.empty(len(several), dtype=object)
    for i, one in enumerate(several):
        values[i] = None if one is None else np.array(one, dtype=np.int64)
    return values


def test_rows_without_a_value_are_masked_in_every_kind():
    for target, plain in (
        (Target("gender", "classification", ("f", "m"), np.array([1, -1])), [1, -1]),
        (Target("intensity", "ordinal", ("low", "high"), np.array([1, -1]), (0.5, 1.0)), [1, -1]),
        (Target("phonemes", "sequence", ("a", "b"), sequences([1, 0, 1], [])), [[1, 0, 1], []]),
        (Target("phonemes", "sequence", ("a", "b"), sequences([1], None)), [[1], []]),
    ):
        assert target.mask.tolist() == [True, False]
        assert target.plain() == plain


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (("mood", "cloudy", ("a",), np.array([0])), "kind 'cloudy' is none of"),
        (("gender", "classification", ("f",), np.array([1])), "a value is 1, but there are 1 classes"),
        (("phonemes", "sequence", ("a",), sequences([0, 1])), "a value is 1, but there are 1 classes"),
        (("phonemes", "sequence", ("a",), sequences([-1])), "a value is -1, but there are 1 classes"),
        (("intensity", "ordinal", ("low", "high"), np.array([0])), "2 ascending places are expected"),
        (("intensity", "ordinal", ("low", "high"), np.array([0]), (1.0, 0.5)), "2 ascending places are expected"),
        (("gender", "classification", ("f", "m"), np.array([0]), (0.0, 1.0)), "0 ascending places are expected"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_by_name(facts, reason):
    with pytest.raises(EmorepError, match=f"target {facts[0]}: {reason}"):
        Target(*facts)


def problem_of(kind, **more):
    """Four utterances with a value in every array that all kinds have."""
    text = np.array(["a", "b", "c", "d"])
    arrays = {name: text for name in ("groups", "speaker", "dialogue", "sentence")}
    ordinary = Target("gender", "classification", ("f", "m"), np.array([0, 1, -1, 0]))
    fold = Fold("1", np.array([0, 1]), np.array([], dtype=np.int64), np.array([2, 3]))
    return Problem(
        ids=text, kind=kind, classes=("x", "y"), targets=np.array([0, 1, 1, 0]), turn=np.arange(4), folds=(fold,),
        also=(ordinary,), **arrays, **more,
    )  # fmt: skip


def test_rows_are_taken_from_every_array_of_a_problem():
    assert {one.name for one in fields(Problem) if "ndarray" in str(one.type)} == {"ids", *BY_ROW}
    rows = np.array([0, 1, 2, 3, 3, 2])
    ids = np.array(["a", "b", "c", "d", "d2", "c2"])
    fold = Fold("1", np.array([0, 1]), np.array([], dtype=np.int64), np.array([4, 5]), beside=(np.array([2, 3]),))
    shares = np.array([[1, 0], [0.25, 0.75], [0, 1], [0.5, 0.5]])
    for whole in (problem_of("distribution", votes=shares), problem_of("classification", allowed=shares >= 0)):
        taken = whole.taken(rows, ids, [fold])
        assert taken.ids.tolist() == ids.tolist() and taken.folds == (fold,) and taken.kind == whole.kind
        for name in BY_ROW:
            before, after = getattr(whole, name), getattr(taken, name)
            assert (before is None) == (after is None)
            if before is not None:
                np.testing.assert_array_equal(after, before[rows])
        assert taken.also[0].values.tolist() == [0, 1, -1, 0, 0, -1]
