"""Errors of sequences: a distance, and rates that are ratios of sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons.metrics import METRICS
from commons.sequences import errors, sums

symbols = st.lists(st.sampled_from("abc"), max_size=6)


@given(symbols, symbols, symbols)
def test_errors_are_a_distance(one, two, three):
    assert errors(one, two) == errors(two, one)
    assert (errors(one, two) == 0) == (one == two)
    assert errors(one, three) <= errors(one, two) + errors(two, three)
    assert abs(len(one) - len(two)) <= errors(one, two) <= max(len(one), len(two))


def test_the_rate_of_several_groups_is_the_ratio_of_their_sums():
    targets, answers = ["a b c d", "a", "b"], ["a b c d", "b", "b a"]
    by_group = sums(targets, answers, np.array([0, 1, 1]), 2)
    np.testing.assert_array_equal(by_group, [[0, 4], [2, 2]])
    assert METRICS["PER"](by_group[1]) == 100
    assert METRICS["PER"](by_group.sum(0)) == pytest.approx(100 * 2 / 6)  # the mean of the groups' rates is 50
