"""Intervals: equal to a plain loop, honest with few groups and near 100 %, absent where they cannot be known."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from commons.metrics import METRICS, REGRESSION, ccc, recalls, sums, ua, wa
from leaderboard.records.intervals import freedom, jackknife, shares
from studies.interval_coverage import DIFFICULTY, GROUPS, coverage, coverage_of_design, designs, draw
from tests.commons.added_up import added_up

UNIT = (0.0, 1.0)


@pytest.mark.parametrize("metric", ["WA", "UA"])
@pytest.mark.parametrize("difficulty", DIFFICULTY.values(), ids=DIFFICULTY)
@pytest.mark.parametrize("groups", GROUPS)
def test_95_percent_of_intervals_hold_the_truth(metric, difficulty, groups):
    assert 0.92 <= coverage(groups, difficulty, metric, draws=600) <= 0.98


@pytest.mark.parametrize("equal", [True, False], ids=["equal shares", "unequal shares"])
def test_95_percent_of_recalls_of_few_speakers_hold_the_truth(equal):
    """URDU-like: 29 speakers, 4 to 8 of them have a class; with 28 degrees of freedom 86 to 93 % would."""
    random, draws, having = np.random.default_rng(1), 1000, (4, 6, 7, 8)
    truth = expit(0.8 + np.random.default_rng(3).normal(size=10**6)).mean()
    held = np.zeros(4)
    for _ in range(draws):
        counts = np.zeros((29, 4, 4))
        start = 0
        for c, speakers in enumerate(having):
            share = np.full(speakers, 1 / speakers) if equal else random.dirichlet(np.ones(speakers))
            n = 1 + random.multinomial(100 - speakers, share)
            right = random.binomial(n, expit(0.8 + random.normal(size=speakers)))
            who = slice(start, start := start + speakers)
            counts[who, c, c], counts[who, c, c - 1] = right, n - right
        carried = counts.sum(-1) / counts.sum((0, -1))
        _, low, high, _ = jackknife(counts[None], recalls, UNIT, carried)
        held += (low <= truth) & (truth <= high)
    assert (held / draws >= 0.93).all() and (held / draws <= (0.98 if equal else 0.995)).all()


@pytest.mark.parametrize("design", ["URDU, 29", "24, log-normal sizes", "24, a class of 2 only"])
def test_intervals_of_uneven_designs_hold_the_truth_often_enough(design):
    """With groups less one as degrees of freedom it is 94, 90 and 90 %."""
    assert coverage_of_design(designs()[design], "normal", draws=600) >= 0.94


def test_degrees_of_freedom_follow_from_the_groups_that_carry_a_figure():
    """They are those of the quadratic form itself (Satterthwaite): its trace squared by the trace of its square."""
    random = np.random.default_rng(2)
    for w in (random.dirichlet(np.ones(7)), np.full(5, 0.2), np.r_[random.dirichlet(np.ones(4)), 0, 0]):
        centred = np.eye(len(w)) - w[None]
        form = centred.T @ np.diag((w / (1 - w)) ** 2) @ centred
        assert freedom(w) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert freedom(np.full(5, 0.2)) == pytest.approx(4)
    assert freedom(np.r_[np.full(3, 1 / 3), np.zeros(20)]) == pytest.approx(2), "a class of three speakers"
    assert freedom(np.array([0.999, 0.001])) == 1, "never fewer than one"


def test_a_class_of_one_speaker_leaves_no_interval_for_any_metric_that_weighs_classes_alike():
    counts = draw(np.random.default_rng(4), 6, 1.0)
    counts[1:, 0] = 0  # the first class is of the first speaker alone
    for name, metric in METRICS.items():
        if metric.kind == "classification":
            value, low, high, undefined = jackknife(counts[None], metric, metric.limits, shares(counts, metric))
            assert np.isfinite(value) and np.isnan(low) == np.isnan(high) == metric.by_class, name
            assert undefined == metric.by_class


def test_equals_a_plain_loop_over_groups_and_seeds():
    random = np.random.default_rng(3)
    statistics = np.stack([draw(random, 7, 1.0), draw(random, 7, 1.5)])
    value = np.mean([ua(s.sum(0)) for s in statistics])
    without = np.array([np.mean([ua(np.delete(s, g, 0).sum(0)) for s in statistics]) for g in range(7)])
    error = np.sqrt(6 / 7 * ((without - without.mean()) ** 2).sum())
    half = student.ppf(0.975, 6) * error / (value * (1 - value))
    expected = [value, expit(logit(value) - half), expit(logit(value) + half), 0]
    np.testing.assert_allclose(jackknife(statistics, ua, UNIT), expected, rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_bounds_enclose_the_value_and_stay_in_range(name):
    metric, random = METRICS[name], np.random.default_rng(5)
    for groups in (2, 3, 30):
        n = 20 * groups
        group = np.arange(n) % groups
        values = metric.kind == REGRESSION
        target = random.normal(size=n) if values else random.integers(0, 3, n)
        guess = target + 0.2 * random.normal(size=n) if values else np.where(random.random(n) < 0.9, target, 0)
        statistics = added_up(metric.kind, target, guess, group, groups)[None]
        ends = metric.limits
        value, low, high, _ = jackknife(statistics, metric, ends)
        assert ends[0] <= low <= value <= high <= ends[1]


def test_alike_utterances_of_a_group_count_once():
    """Ten copies of every utterance say no more about other speakers than one."""
    counts = draw(np.random.default_rng(2), 8, 1.0)[None]
    np.testing.assert_allclose(jackknife(10 * counts, wa, UNIT), jackknife(counts, wa, UNIT))


def test_no_interval_where_none_can_be_known():
    counts = draw(np.random.default_rng(2), 5, 1.0)[None]
    _, low, high, _ = jackknife(counts[:, :1], wa, UNIT)
    assert np.isnan([low, high]).all(), "one group"

    perfect = np.eye(4)[None, None] * np.ones((1, 5, 1, 1))
    value, low, high, undefined = jackknife(perfect, wa, UNIT)
    assert value == 1 and np.isnan([low, high]).all() and undefined == 0, "all right everywhere"

    counts[:, 1:, 2] = 0  # class 2 is group 0's alone
    value, low, high, undefined = jackknife(counts, ua, UNIT)
    assert np.isfinite(value) and np.isnan([low, high]).all() and undefined == 1
    value, low, high, undefined = jackknife(counts, recalls, UNIT)
    assert np.isnan(low).tolist() == [False, False, True, False] and undefined.tolist() == [0, 0, 1, 0]
    assert np.isfinite(jackknife(counts, wa, UNIT)[:3]).all(), "accuracy needs no class in particular"


def test_values_have_intervals_too():
    random = np.random.default_rng(4)
    target = random.normal(size=300)
    statistics = sums(target, target + random.normal(size=300), np.arange(300) % 10, n_groups=10)[None]
    value, low, high, _ = jackknife(statistics, ccc, (-1.0, 1.0))
    assert low < value < high and high - low < 0.4


def test_shares_lie_between_0_and_100_and_errors_may_be_more_than_the_symbols():
    of = {name: metric.limits for name, metric in METRICS.items() if metric.unit == "percent"}
    assert of.pop("PER") == (0.0, np.inf)
    assert set(of.values()) == {(0.0, 100.0)}
    assert METRICS["CCC"].limits == (-1.0, 1.0) and METRICS["MAE"].limits == (0.0, np.inf)
