"""The batched solvers agree with scikit-learn, problem by problem."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from downstreams import logistic, ridge

STRENGTHS = [1e-4, 1e-2, 1.0]
# The reference runs to the last digit, where its line search gives up.
pytestmark = pytest.mark.filterwarnings("ignore:.*(Line Search|line search|Rounding errors)")


def data(n, d, n_classes=4, seed=0):
    """Correlated, shifted features of very different scales, one column constant, and three training sets."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    mixing = rng.standard_normal((d, d)) * np.exp(-np.arange(d) / (d / 4))
    rows = (rng.standard_normal((n, d)) + 0.4 * rng.standard_normal((n_classes, d))[y]) @ mixing.T
    rows = rows * 10 ** rng.uniform(-3, 3, d) + 10
    rows[:, 0] = 3.0
    members = np.ones((3, n), bool)
    members[0, : n // 3] = members[1, n // 2 :] = False
    rows[members[1], 1] = 7.0  # constant on one training set only
    return rows.astype(np.float32), y, members


@pytest.mark.parametrize(("n", "d"), [(300, 40), (60, 150), (60, 400)])  # the last is solved in the span of its rows
def test_logistic_equals_scikit_learn(n, d):
    rows, y, members = data(n, d)
    solution = logistic.fit(*map(torch.tensor, (rows, y, members, STRENGTHS)), 4)
    ours = solution(torch.tensor(rows)).softmax(1).numpy()
    assert solution.converged.all()
    for q, member in enumerate(members):
        scaler = StandardScaler().fit(rows[member].astype(np.float64))
        z = scaler.transform(rows) * (scaler.var_ > 1e-9)  # what is constant on train becomes 0 on test as well
        for s, strength in enumerate(STRENGTHS):
            theirs = LogisticRegression(C=strength, class_weight="balanced", solver="newton-cg", tol=1e-8)
            expected = theirs.fit(z[member], y[member]).predict_proba(z)
            assert np.abs(ours[:, :, q * len(STRENGTHS) + s] - expected).max() < 1e-3


@pytest.mark.parametrize(("n", "d"), [(200, 10), (40, 200)])
def test_a_class_without_members_is_never_predicted(n, d):
    rows, y, _ = data(n, d)
    members = (y != 2)[None]
    probabilities = logistic.fit(*map(torch.tensor, (rows, y, members, STRENGTHS)), 4)(torch.tensor(rows)).softmax(1)
    assert torch.isfinite(probabilities).all()
    assert probabilities[:, 2].max() == 0


@pytest.mark.parametrize(("n", "d"), [(300, 40), (60, 150)])
def test_ridge_equals_scikit_learn(n, d):
    rows, y, members = data(n, d)
    values = y + 0.3 * np.random.default_rng(1).standard_normal(n)
    ours = ridge.fit(*map(torch.tensor, (rows, values, members, STRENGTHS)))(torch.tensor(rows)).numpy()
    for q, member in enumerate(members):
        scaler = StandardScaler().fit(rows[member].astype(np.float64))
        z = scaler.transform(rows) * (scaler.var_ > 1e-9)
        for s, strength in enumerate(STRENGTHS):
            expected = Ridge(alpha=1 / strength).fit(z[member], values[member]).predict(z)
            assert np.abs(ours[:, 0, q * len(STRENGTHS) + s] - expected).max() < 2e-3


@pytest.mark.parametrize("wide", [False, True])
def test_features_that_say_nothing_of_the_classes_are_solved_at_once(wide, monkeypatch):
    """Every sentence in every emotion: nothing can be learned from texts, and only rounding is left to descend."""
    sentences = torch.randn(14, 2000 if wide else 100, generator=torch.Generator().manual_seed(0))
    rows, targets = sentences.repeat(7, 1), torch.arange(7).repeat_interleave(14)
    members = torch.ones(1, len(rows), dtype=torch.bool)
    monkeypatch.setattr(logistic, "STEPS", 20)
    strengths = torch.tensor([0.1, 10.0, 1000.0, 10_000.0]) / rows.shape[1]
    fit = logistic.fit(rows, targets, members, strengths, 7, 1e-7)
    assert fit.converged.all()
    assert fit(rows).softmax(1).sub(1 / 7).abs().max() < 1e-3
