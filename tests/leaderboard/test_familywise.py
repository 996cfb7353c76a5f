"""Many pairs at once: exact where it can be, no floor by the number of pairs, few errors, and power that Holm lacks."""

import itertools

import numpy as np
import pytest

from commons.metrics import METRICS, REGRESSION
from leaderboard.comparison import familywise, permutation
from leaderboard.comparison.familywise import (
    PRIOR,
    Couple,
    Part,
    all_pairs,
    of_columns,
    of_couples,
    of_systems,
    swaps_for,
)
from leaderboard.comparison.permutation import signs, smallest_p, swap_test
from studies.rank_errors import KINDS, false_alarms, power
from tests.commons.added_up import added_up


def systems(metric, number=4, groups=6, seeds=(2, 1, 1, 2)):
    """Statistics (S, G, ...) of several systems on the same 30 utterances a group."""
    random = np.random.default_rng(groups)
    n, kind = 30 * groups, METRICS[metric].kind
    group = np.arange(n) % groups
    target = random.normal(size=n) if kind == REGRESSION else random.integers(0, 3, n)

    def one(right):
        guess = np.where(random.random(n) < right, target, random.permutation(target))
        return added_up(kind, target, guess, group, groups)

    rights = np.linspace(0.5, 0.9, number)
    return [np.stack([one(right) for _ in range(s)]) for right, s in zip(rights, itertools.cycle(seeds), strict=False)]


def by_hand(several, metric):
    """p of every pair, and step-down max-T, by swapping the predictions of every set of groups."""
    groups, figure, all_ = several[0].shape[1], METRICS[metric], range(len(several))
    pairs = list(itertools.combinations(all_, 2))

    def figures(swapped):
        moved = []
        for i, j in pairs:
            swap = np.array(swapped).reshape(1, groups, *[1] * (several[0].ndim - 2))
            a, b = (several[k][np.arange(2) % len(several[k])] for k in (i, j))
            first, second = np.where(swap, b, a).sum(1), np.where(swap, a, b).sum(1)
            moved.append((figure(first) - figure(second)).mean())
        return moved

    differences = np.abs([figures(swapped) for swapped in itertools.product([False, True], repeat=groups)])
    squares = []
    for i, j in pairs:
        a, b = (several[k][np.arange(2) % len(several[k])] for k in (i, j))
        middle, half = (a + b).sum(1) / 2, (a - b) / 2
        alone = [(figure(middle + half[:, g]) - figure(middle - half[:, g])).mean() for g in range(groups)]
        squares.append(np.square(alone).sum())
    scale = np.sqrt((PRIOR * np.median(squares) + groups * np.array(squares)) / (PRIOR + groups))
    t = differences / scale
    adjusted, last = np.empty(len(pairs)), 0.0
    left = list(np.argsort(-t[0]))
    while left:
        last = max(last, (t[:, left].max(1) >= t[0, left[0]] - 1e-9).mean())
        adjusted[left.pop(0)] = last
    return (differences >= differences[0] - 1e-9).mean(0), adjusted


@pytest.mark.parametrize("metric", METRICS)
def test_equals_swapping_the_predictions_of_every_set_of_groups(metric):
    several = systems(metric)
    tested = all_pairs([Part(several, np.arange(6))], metric, 6)
    p, adjusted = by_hand(several, metric)
    assert tested.p == pytest.approx(p) and tested.adjusted == pytest.approx(adjusted)
    alone = [swap_test(a, b, metric, signs(6)) for a, b in itertools.combinations(several, 2)]
    assert tested.p == pytest.approx(alone), "of one pair it is the test of two systems"


@pytest.mark.parametrize("metric", ["UA", "macro_F1", "CCC"])
def test_a_mean_over_tasks_swaps_a_speaker_in_all_of_them(metric):
    """Two tasks of the same speakers, and one of others: each figure of each task is computed anew for every swap."""
    first, again, other = systems(metric, 3), systems(metric, 3, seeds=(1, 1, 1)), systems(metric, 3, groups=4)
    parts = [Part(first, np.arange(6), 0.25), Part(again, np.arange(6), 0.25), Part(other, 6 + np.arange(4), 0.5)]
    tested, swaps = all_pairs(parts, metric, 10), signs(10)
    for index, (i, j) in enumerate(itertools.combinations(range(3), 2)):
        differences = np.zeros(len(swaps))
        for part in parts:
            a, b = (part.systems[k][np.arange(2) % len(part.systems[k])] for k in (i, j))
            swap = (swaps[:, part.at] < 0).reshape(len(swaps), 1, -1, *[1] * (a.ndim - 2))
            one, two = np.where(swap, b, a).sum(2), np.where(swap, a, b).sum(2)
            differences += part.weight * (METRICS[metric](one) - METRICS[metric](two)).mean(-1)
        sizes = np.abs(differences)
        assert tested.p[index] == pytest.approx((sizes >= sizes[0] - 1e-9).mean())


def test_the_number_of_pairs_sets_no_floor():
    """33 upstreams, of which one is clearly better: Holm over 528 pairs finds nothing with 10,000 swaps."""
    random = np.random.default_rng(0)
    own = random.normal(size=(24, 33)) + 5 * (np.arange(33) == 7)
    tested = of_systems(own / 24, signs(24))
    mine = np.array([7 in pair for pair in itertools.combinations(range(33), 2)])
    assert (tested.adjusted[mine] <= 0.05).all() and not (tested.adjusted[~mine] <= 0.05).any()
    assert tested.p.min() * 528 > 0.05 and (tested.adjusted >= tested.p).all()
    own = random.normal(size=(10, 8)) + 10 * np.arange(8)
    assert (of_systems(own / 10, signs(10)).adjusted <= 0.05).all(), "8 upstreams on 10 speakers"


def test_five_groups_tell_nothing_and_six_may():
    better = np.ones((6, 1))
    assert of_columns(better, signs(6)).adjusted.tolist() == [smallest_p(6)] and smallest_p(6) < 0.05
    tested = of_columns(better[:5], signs(5))
    assert tested.adjusted.tolist() == [smallest_p(5)] and smallest_p(5) > 0.05 and np.isinf(tested.needed)


def test_what_is_needed_is_what_is_significant():
    random = np.random.default_rng(0)
    own = random.normal(size=(30, 12)) + np.linspace(0, 3, 12)
    tested = of_systems(own / 30, signs(30))
    first, second = np.triu_indices(12, 1)
    sizes = np.abs((own[:, first] - own[:, second]).mean(0))
    assert (tested.adjusted[sizes > 1.3 * tested.needed] <= 0.05).all()
    assert (tested.adjusted[sizes < 0.6 * tested.needed] > 0.05).all()


def test_same_and_undefined_systems():
    own = np.random.default_rng(0).normal(size=(9, 3))[:, [0, 0, 1]]
    tested = of_systems(own, signs(9))
    assert tested.p[0] == tested.adjusted[0] == 1
    columns = np.stack([np.ones(9), np.full(9, np.nan)], axis=1)
    tested = of_columns(columns, signs(9))
    assert np.isnan(tested.p[1]) and tested.adjusted.tolist() == [2**-8, 1.0]
    assert len(of_systems(own[:, :1], signs(9)).p) == 0


def test_rows_of_several_tasks_and_metrics_are_adjusted_together():
    couples = [
        Couple(*systems("UA", 2), "UA", np.arange(6)),
        Couple(*systems("CCC", 2, groups=4), "CCC", 6 + np.arange(4)),
        Couple(*systems("macro_F1", 2), "macro_F1", np.arange(6)),
    ]
    tested = of_couples(couples, 10)
    for p, couple in zip(tested.p, couples, strict=True):
        alone = swap_test(couple.first, couple.second, couple.metric, signs(len(couple.at)))
        assert p == pytest.approx(alone)
    assert (tested.adjusted >= tested.p).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("upstreams", "groups"), [(8, 6), (8, 10), (8, 24), (40, 10), (40, 24)])
def test_a_false_difference_appears_in_about_one_of_20_boards_at_most(upstreams, groups, kind):
    assert false_alarms(groups, upstreams, kind, draws=100) <= 0.12


def test_power_of_40_upstreams():
    mine, holms = power(24, 40, draws=5)
    assert mine > 0.5 and holms == 0


def test_many_upstreams_have_fewer_swaps_where_each_is_computed_anew():
    assert len(swaps_for("macro_F1", 24, 200)) == 2001 and len(swaps_for("UA", 24, 200)) == 10_001
    few, every = (
        all_pairs([Part(systems("macro_F1", 33, groups=13), np.arange(13))], m, 13) for m in ("macro_F1", "UA")
    )
    assert few.smallest == few.p.min() == 1 / 2001 and every.smallest == 1 / 10_001, "not that of swaps never made"
    assert len(swaps_for("macro_F1", 24, 12)) == 10_001 and len(swaps_for("macro_F1", 12, 200)) == 2048


@pytest.mark.parametrize("metric", ["UA", "macro_F1"])
def test_what_is_held_at_once_is_bounded_by_groups_and_classes(metric, monkeypatch):
    """One pair on many groups, or of many classes: swaps come in chunks, by the widest of what each makes."""
    several, held = systems(metric, 2, groups=20), []
    whole = all_pairs([Part(several, np.arange(20))], metric, 20)
    alone = swap_test(*several[:2], metric, signs(20))
    monkeypatch.setattr(permutation, "HELD", 3000)
    counted = permutation.chunks
    for module in (permutation, familywise):
        monkeypatch.setattr(module, "chunks", lambda *of: (held.append(rows.shape) or rows for rows in counted(*of)))
    assert all_pairs([Part(several, np.arange(20))], metric, 20).adjusted == pytest.approx(whole.adjusted)
    assert swap_test(*several[:2], metric, signs(20)) == pytest.approx(alone)
    of_couples([Couple(several[0], several[1], metric, np.arange(20))], 20)
    numbers = 20 if metric == "UA" else 2 * 9  # groups, or seeds times counts of 3 classes: at least that many a swap
    assert {groups for _, groups in held} == {20} and max(rows for rows, _ in held) * numbers <= 3000
