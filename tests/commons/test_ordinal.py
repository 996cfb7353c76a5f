"""Figures of levels: against their definitions, utterance by utterance, and as sums over groups."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from commons import ordinal
from commons.metrics import CLASSIFICATION, METRICS, ORDINAL, REGRESSION, sums

PLACES = [0.25, 0.5, 1.0]


@pytest.fixture(scope="module")
def made():
    """Targets, scores, sets and groups of made-up answers, some of them equal."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 200)
    scores = random.dirichlet([1, 1, 1], 200) + 0.7 * np.eye(3)[targets]
    scores[::4] = 1.0
    return targets, scores / scores.sum(1, keepdims=True), np.arange(200) // 5, np.arange(200) // 25


def statistics(targets, scores, sets, groups):
    n = groups.max() + 1
    counts = sums(targets, scores.argmax(1), groups, n_groups=n, n_classes=3)
    return ordinal.sums(counts, targets, ordinal.outcomes(targets, scores, PLACES, sets), groups)


def test_every_figure_is_what_its_definition_says(made):
    targets, scores, sets, _ = made
    own = statistics(*made).sum(0)
    value = scores @ PLACES
    assert METRICS["level_MAE"](own) == pytest.approx(np.abs(np.array(PLACES)[targets] - value).mean())
    steps = np.rint((value - PLACES[0]) / (PLACES[-1] - PLACES[0]) * ordinal.STEPS)
    assert METRICS["Spearman"](own) == pytest.approx(stats.spearmanr(targets, steps).statistic)
    assert METRICS["Spearman"](own) == pytest.approx(stats.spearmanr(targets, value).statistic, abs=5e-3)
    right = [
        np.sign(value[i] - value[j]) * np.sign(targets[i] - targets[j]) / 2 + 0.5
        for i, j in combinations(range(200), 2)
        if sets[i] == sets[j] and targets[i] != targets[j]
    ]
    assert 0.5 in right and METRICS["pairs"](own) == pytest.approx(100 * np.mean(right))


def test_metrics_of_classes_read_the_levels_as_classes(made):
    targets, scores, _, _ = made
    counts = sums(targets, scores.argmax(1), n_classes=3)[0]
    for metric in METRICS.values():
        assert metric.fits(ORDINAL) == (metric.kind in (CLASSIFICATION, ORDINAL))
        if metric.kind == CLASSIFICATION:
            assert metric(statistics(*made).sum(0)) == metric(counts)
    assert not any(METRICS[name].fits(REGRESSION) for name in ("level_MAE", "Spearman", "pairs"))


def test_statistics_of_groups_add_up_and_a_group_alone_gives_its_own_figure(made):
    targets, scores, sets, groups = made
    by_group = statistics(*made)
    mine = groups == 3
    alone = statistics(targets[mine], scores[mine], sets[mine], np.zeros(mine.sum(), dtype=int))
    np.testing.assert_allclose(by_group[3], alone[0])
    for name in ("level_MAE", "Spearman", "pairs", "UA"):
        np.testing.assert_allclose(METRICS[name](by_group)[3], METRICS[name](alone[0]))


def test_perfect_and_reversed_answers_reach_the_ends_and_constant_ones_have_no_correlation():
    targets, nothing = np.arange(3), np.zeros(3, dtype=int)
    for scores, pairs, rho in ((np.eye(3), 100.0, 1.0), (np.eye(3)[::-1], 0.0, -1.0), (np.ones((3, 3)), 50.0, np.nan)):
        own = statistics(targets, scores, nothing, nothing)[0]
        assert METRICS["pairs"](own) == pairs
        np.testing.assert_allclose(METRICS["Spearman"](own), rho)
    apart = statistics(targets, np.eye(3), targets, nothing)[0]
    assert np.isnan(METRICS["pairs"](apart))
