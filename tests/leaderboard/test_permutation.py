"""The test of two systems: exact where it can be, right in its errors, fast; ranks that say no more than it."""

import itertools

import numpy as np
import pytest

from commons.metrics import METRICS, REGRESSION
from leaderboard.comparison.permutation import DRAWS, contributions, p_values, signs, smallest_p, swap_test
from leaderboard.comparison.ranks import rank_intervals
from leaderboard.comparison.statistics import detectable, difference
from studies.interval_coverage import PAIRS, draw_pair, false_alarms, over_corpora
from studies.rank_errors import holm
from tests.commons.added_up import added_up


def pair(metric, groups=6, seeds=(1, 1)):
    """Statistics (S, G, ...) of two systems on the same 40 utterances a group."""
    random = np.random.default_rng(groups)
    n, kind = 40 * groups, METRICS[metric].kind
    group = np.arange(n) % groups
    target = random.normal(size=n) if kind == REGRESSION else random.integers(0, 3, n)

    def system(right):
        guess = np.where(random.random(n) < right, target, random.permutation(target))
        return added_up(kind, target, guess, group, groups)

    return tuple(np.stack([system(right) for _ in range(s)]) for right, s in zip((0.7, 0.6), seeds, strict=True))


@pytest.mark.parametrize("metric", METRICS)
def test_equals_swapping_the_predictions_of_every_set_of_groups(metric):
    first, second = pair(metric, seeds=(2, 1))
    differences = []
    for swapped in itertools.product([False, True], repeat=6):
        swap = np.array(swapped).reshape(1, 6, *[1] * (first.ndim - 2))
        a, b = np.where(swap, second, first).sum(1), np.where(swap, first, second).sum(1)
        differences.append(abs((METRICS[metric](a) - METRICS[metric](b)).mean()))
    expected = np.mean(np.array(differences) >= differences[0] - 1e-9)
    assert swap_test(first, second, metric, signs(6)) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS)
def test_the_linear_metrics_are_sums_over_groups_and_no_others(metric):
    first, second = pair(metric, groups=7)
    swap = (signs(7)[:20] == -1).reshape(20, 7, *[1] * (first.ndim - 2))
    a, b = np.where(swap, second, first).sum(1), np.where(swap, first, second).sum(1)
    exact = METRICS[metric](a) - METRICS[metric](b)
    added = signs(7)[:20] @ contributions(first, second, metric)
    assert np.allclose(added, exact) == METRICS[metric].linear


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("groups", [4, 6, 10, 24, 100])
def test_false_alarms_and_intervals_of_a_difference(kind, groups):
    """At most about 5 % of tests cry wolf; where a speaker has one class only, fewer (the test is then careful)."""
    alarms, known, held = false_alarms(groups, kind, draws=300 if groups < 100 else 150)
    assert alarms <= 0.095
    assert known == 1 or kind == "one class a speaker"
    assert known < 0.2 or 0.90 <= held <= 0.995


def test_false_alarms_and_intervals_over_corpora():
    alarms, held = over_corpora("exchangeable", draws=150)
    assert alarms <= 0.1 and held >= 0.89


def test_a_real_difference_is_found_as_often_as_the_detectable_one_promises():
    random, significant, errors = np.random.default_rng(0), 0, []
    swaps = signs(24)
    pairs = [draw_pair(random, 24, "exchangeable") for _ in range(300)]
    errors = np.array([difference(a[None], b[None], METRICS["UA"]).error for a, b in pairs])
    size = detectable(errors, 24)
    for first, second in pairs:  # the second loses so many of its hits, evenly
        second = second.copy()
        for c in range(4):
            lost = random.binomial(second[:, c, c].astype(int), size / 100 * second[:, c].sum() / second[:, c, c].sum())
            second[:, c, c] -= lost
            second[:, c, (c + 1) % 4] += lost
        significant += swap_test(first[None], second[None], "UA", swaps) <= 0.05
    assert 0.7 <= significant / 300 <= 0.9


def test_smallest_p_is_reached_and_never_passed():
    for groups in (2, 5, 12, 13, 24):
        better = np.ones((groups, 1))
        assert p_values(better, signs(groups))[0] == pytest.approx(smallest_p(groups), abs=2 / DRAWS)
        assert p_values(better, signs(groups))[0] >= smallest_p(groups) or groups > 12
    assert smallest_p(6) == 1 / 32 and smallest_p(1) == 1 and len(signs(12)) == 2**11


def test_no_difference_has_p_1_and_an_undefined_one_none():
    first, _ = pair("UA")
    assert swap_test(first, first, "UA", signs(6)) == swap_test(first, first, "macro_F1", signs(6)) == 1
    first[:, :, 0] = 0
    assert np.isnan(swap_test(first, first, "UA", signs(6)))
    assert np.isnan(difference(first, first, METRICS["UA"]).value)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, np.nan]).tolist() == [1.0, 1.0] and holm([]).tolist() == []


def test_ranks_count_who_is_significantly_better():
    better = np.zeros((4, 4), dtype=bool)
    better[0, 2] = better[0, 3] = better[1, 3] = True
    ranks, last = rank_intervals(better)
    assert ranks.tolist() == [1, 1, 2, 3] and last.tolist() == [2, 3, 4, 4]
    assert [r.tolist() for r in rank_intervals(np.zeros((3, 3), dtype=bool))] == [[1, 1, 1], [3, 3, 3]]
