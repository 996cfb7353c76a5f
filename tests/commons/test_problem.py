"""Further targets of a problem: what each kind may hold, and which rows have a value."""

from __future__ import annotations

import numpy as np
import pytest

from commons.corridors.problem import Target
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
