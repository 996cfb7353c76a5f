"""Votes of annotators: divergences are those of scipy, statistics add up, the threshold is EMO-SUPERB's."""

import numpy as np
import pytest
from scipy.spatial.distance import cosine, jensenshannon
from scipy.stats import entropy
from sklearn.metrics import f1_score

from commons import votes
from commons.metrics import METRICS, sums


@pytest.fixture(scope="module")
def made():
    random = np.random.default_rng(0)
    counts = random.integers(0, 6, (300, 4)) * (random.random((300, 4)) < 0.6)
    counts[counts.sum(1) == 0, 0] = 3
    return votes.shares(counts), random.dirichlet(np.full(4, 0.5), 300), random.integers(0, 7, 300)


def statistics(voted, predicted, groups, n=7):
    target = voted.argmax(1)
    counts = sums(target, predicted.argmax(1), groups, n_groups=n, n_classes=4)
    return votes.sums(counts, target, votes.outcomes(voted, predicted), groups)


def test_divergences_are_those_of_scipy(made):
    voted, predicted, _ = made
    whole = statistics(*made).sum(0)
    pairs = list(zip(voted, predicted, strict=True))
    assert METRICS["JS"](whole) == pytest.approx(np.mean([jensenshannon(v, p, base=2) ** 2 for v, p in pairs]))
    assert METRICS["KL"](whole) == pytest.approx(np.mean([entropy(v, np.maximum(p, votes.SMALLEST)) for v, p in pairs]))
    assert METRICS["cosine"](whole) == pytest.approx(np.mean([1 - cosine(v, p) for v, p in pairs]))
    assert METRICS["votes_Brier"](whole) == pytest.approx(np.mean(((predicted - voted) ** 2).sum(1)))
    expected = f1_score(voted > 0.25, predicted > 0.25, average="macro")
    assert METRICS["threshold_F1"](whole) == pytest.approx(100 * expected)
    assert METRICS["WA"](whole) == pytest.approx(100 * np.mean(voted.argmax(1) == predicted.argmax(1)))


def test_a_perfect_prediction_is_at_the_best_end_and_a_wrong_certain_one_at_the_worst():
    sure = np.eye(4)
    best, worst = (votes.outcomes(sure, p).values.mean(0) for p in (sure, np.roll(sure, 1, axis=1)))
    assert best == pytest.approx([0, 0, 1, 0]) and worst == pytest.approx([1, -np.log(votes.SMALLEST), 0, 2])


def test_statistics_of_groups_add_up(made):
    voted, predicted, groups = made
    one = statistics(voted[groups == 3], predicted[groups == 3], np.zeros((groups == 3).sum(), int), 1)[0]
    assert np.allclose(statistics(*made)[3], one)
