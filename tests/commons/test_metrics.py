"""The yardstick agrees with audmetric, scikit-learn and scipy, and adds up."""

import audmetric
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import balanced_accuracy_score, f1_score

from commons.metrics import METRICS, f1_scores, recalls, seven, sums
from commons.ordinal import STEPS

seeds = st.integers(0, 2**32 - 1)


def _labels(seed: int, classes: int = 4, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    targets = np.r_[np.arange(classes), chance.integers(0, classes, n)]
    return targets, np.where(chance.random(len(targets)) < 0.5, targets, chance.integers(0, classes, len(targets)))


@given(seeds)
def test_classification_agrees_with_audmetric_and_sklearn(seed):
    t, p = _labels(seed)
    counts = sums(t, p, n_classes=4)[0]
    assert METRICS["WA"](counts) == pytest.approx(100 * audmetric.accuracy(t, p))
    assert METRICS["UA"](counts) == pytest.approx(100 * audmetric.unweighted_average_recall(t, p))
    assert METRICS["UA"](counts) == pytest.approx(100 * balanced_accuracy_score(t, p))
    assert METRICS["WF1"](counts) == pytest.approx(100 * f1_score(t, p, average="weighted"))
    assert METRICS["macro_F1"](counts) == pytest.approx(100 * audmetric.unweighted_average_fscore(t, p))


@given(seeds)
def test_regression_agrees_with_audmetric_and_scipy(seed):
    chance = np.random.default_rng(seed)
    t, noise = chance.normal(3, 1, 50), chance.normal(0, 1, 50)
    p = 0.5 * t + noise
    s = sums(t, p)[0]
    assert METRICS["CCC"](s) == pytest.approx(audmetric.concordance_cc(t, p))
    assert METRICS["Pearson"](s) == pytest.approx(pearsonr(t, p).statistic)
    assert METRICS["MAE"](s) == pytest.approx(audmetric.mean_absolute_error(t, p))


@given(seeds)
def test_statistics_of_groups_add_up_to_those_of_all(seed):
    t, p = _labels(seed)
    groups = np.random.default_rng(seed).integers(0, 5, len(t))
    by_group = sums(t, p, groups, n_groups=5, n_classes=4)
    assert by_group.shape == (5, 4, 4)
    np.testing.assert_array_equal(by_group.sum(0), sums(t, p, n_classes=4)[0])
    values = sums(t.astype(float), p.astype(float), groups, n_groups=5)
    np.testing.assert_allclose(values.sum(0), sums(t.astype(float), p.astype(float))[0])


def test_f1_of_many_classes_is_that_of_few():
    """Beyond some classes it adds up sums, since the product of before would hold their number to the third."""
    t, p = _labels(0, classes=40, n=400)
    assert f1_scores(sums(t, p, n_classes=40)) == pytest.approx(f1_score(t, p, average=None, zero_division=0)[None])
    few, many = np.zeros((33, 33)), sums(t % 32, p % 32, n_classes=32)[0]
    few[:32, :32] = many
    np.testing.assert_allclose(f1_scores(few)[:32], f1_scores(many), rtol=1e-15)


def test_metrics_take_leading_axes_and_need_no_loop():
    t, p = _labels(0)
    groups = np.arange(len(t)) % 3
    counts = sums(t, p, groups, n_groups=3, n_classes=4)
    for name in ("WA", "UA", "WF1", "macro_F1"):
        one_by_one = [METRICS[name](sums(t[groups == g], p[groups == g], n_classes=4)[0]) for g in range(3)]
        np.testing.assert_allclose(METRICS[name](counts), one_by_one)


def test_a_class_without_utterances_leaves_ua_undefined_and_accuracy_not():
    counts = sums(np.array([0, 0, 1]), np.array([0, 2, 1]), n_classes=3)[0]
    assert np.isnan(METRICS["UA"](counts)) and np.isnan(recalls(counts)[2])
    assert METRICS["WA"](counts) == pytest.approx(200 / 3)
    np.testing.assert_allclose(f1_scores(counts), [2 / 3, 1, 0])


def test_constant_predictions_have_no_pearson_but_a_ccc_of_zero():
    s = sums(np.array([1.0, 2.0, 3.0]), np.full(3, 2.0))[0]
    assert np.isnan(METRICS["Pearson"](s)) and METRICS["CCC"](s) == 0


@pytest.mark.parametrize("constant", [0.0, 1 / 3, 0.1, 2.7, -1e-3, 1e6 + 0.1, 1e-9])
@pytest.mark.parametrize("n", [2, 10, 137, 30_000])
def test_no_constant_has_a_correlation_whatever_the_rounding(constant, n):
    values, same = np.random.default_rng(n).normal(size=n), np.full(n, constant)
    for t, p in ((values, same), (same, values), (same, same)):
        s = sums(t, p, np.arange(n) % 2, n_groups=2).sum(0)
        assert np.isnan(METRICS["Pearson"](s))
        assert METRICS["CCC"](s) == 0 or (t is p and np.isnan(METRICS["CCC"](s)))
    assert METRICS["CCC"](sums(same, same + 1)[0]) == 0


def test_small_spreads_keep_their_correlation():
    random = np.random.default_rng(0)
    t = 3 + 1e-5 * random.normal(size=500)
    p = t + 1e-6 * random.normal(size=500)
    assert METRICS["Pearson"](sums(t, p)[0]) == pytest.approx(pearsonr(t, p).statistic, abs=1e-3)


def test_no_utterances_give_nan_not_an_error():
    for name, metric in METRICS.items():
        shape = {
            "classification": (4, 4),
            "regression": (16,),
            "ordinal": (4, 4 + 3 + STEPS + 1),
            "distribution": (4, 4 + 7),
            "sequence": (2,),
        }[metric.kind]
        value = metric(np.zeros(shape))
        assert np.isnan(value) or name == "macro_F1"


@given(seeds)
def test_sentiment_is_read_as_its_conventions_say(seed):
    chance = np.random.default_rng(seed)
    t = np.r_[chance.integers(-3, 4, 30), chance.uniform(-3, 3, 30)].astype(float)
    p = t + chance.normal(0, 1.5, len(t))
    s = sums(t, p)[0]
    assert METRICS["Acc2_nonneg"](s) == pytest.approx(100 * np.mean((t >= 0) == (p >= 0)))
    assert METRICS["F1_nonneg"](s) == pytest.approx(100 * f1_score(t >= 0, p >= 0, average="weighted"))
    some = t != 0
    assert METRICS["Acc2_posneg"](s) == pytest.approx(100 * np.mean((t[some] > 0) == (p[some] > 0)))
    assert METRICS["F1_posneg"](s) == pytest.approx(100 * f1_score(t[some] > 0, p[some] > 0, average="weighted"))
    assert METRICS["Acc7"](s) == pytest.approx(100 * np.mean(np.round(t.clip(-3, 3)) == np.round(p.clip(-3, 3))))


def test_seven_classes_clamp_and_round_halves_to_even():
    np.testing.assert_array_equal(
        seven(np.array([-9.0, -2.5, -0.5, 0.4, 0.5, 1.5, 2.6, 4.0])), [-3, -2, 0, 0, 0, 2, 3, 3]
    )
