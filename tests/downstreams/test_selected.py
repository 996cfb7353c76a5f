"""`selected`: which features it takes is decided on training rows alone, and it is the probe on these."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import downstreams
from downstreams import logistic, selection
from downstreams.few_labels import drawn
from tests.downstreams.problems import features_of, make, reader


def columns_of(predictions):
    return [{int(number) for number in own} for own in predictions.features]


def planted(kind="classification", informative=(2, 5, 9), n=90, width=12):
    """Features of which those in `informative` tell the target, all alike, and the others nothing."""
    features, problem = make(kind, n=n, depth=2, width=width, speakers=3, signal=0.0)
    rng = np.random.default_rng(3)
    features.pooled[:, 0, 1] = rng.standard_normal((n, width)).astype(np.float32)
    latent = problem.targets - problem.targets.mean()
    for column in informative:
        features.pooled[:, 0, 1, column] += 1.5 * latent
    return features, problem


def of_counts(features, problem, counts):
    return downstreams.evaluate(reader("selected", counts=counts, strengths=[0.1, 1.0, 10.0]), features, problem, [0])


@pytest.mark.parametrize("kind", ["classification", "ordinal", "regression"])
def test_the_features_that_tell_the_target_are_found(kind):
    features, problem = planted(kind)
    made = of_counts(features, problem, [3])
    assert columns_of(made) == [{2, 5, 9}] * 3
    assert [choice["features"] for choice in made.choices] == [3] * 3
    assert all(size > 0 for own in made.features for size in own.values())
    assert all(list(own.values()) == sorted(own.values(), reverse=True) for own in made.features)


def test_a_number_that_says_as_much_as_the_best_is_taken_and_too_few_are_not():
    """Of twelve features three tell the target: one is less than three, and twelve are not more."""
    made = of_counts(*planted(), [1, 3, 12])
    assert {choice["features"] for choice in made.choices} <= {3, 12} and 3 in {c["features"] for c in made.choices}


def test_a_weight_is_for_a_deviation_of_its_column_whatever_its_part():
    """Standardised columns of a fusion are multiplied by a factor of their part."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=draws) * torch.tensor([1.0, 5.0, 0.2, 3.0])
    y, members = torch.arange(60) % 3, torch.ones(1, 60, dtype=torch.bool)
    for factors in (None, torch.tensor([2.0, 0.5, 0.5, 0.5])):
        model = logistic.fit(x, y, members, torch.ones(1), 3, 1e-6, False, factors)
        step = torch.diag(x.std(0, unbiased=False))  # of one column after the other
        moved = (step / model.scale).double() @ model.weights[..., 0].double()
        assert torch.allclose(selection.importance(model, factors).double(), moved.norm(dim=1), rtol=1e-3)


def test_all_features_are_the_probe():
    features, problem = make(n=60, depth=2, speakers=3)
    last = features_of(features.pooled[:, :, 1:], features.frames)
    every, probe = (
        downstreams.evaluate(reader(head, **settings, strengths=[0.1, 1.0]), last, problem, [0])
        for head, settings in (("selected", {"counts": [64]}), ("probe", {}))
    )
    assert every.table.equals(probe.table)
    constant = 11  # `make` has a column that says nothing
    assert columns_of(every) == [set(range(constant))] * 3


@pytest.mark.parametrize("part", ["features", "labels"])
def test_selection_sees_nothing_of_test(part):
    """Rows of test permuted among each other, or told to be of other classes, change neither features nor weights."""
    features, problem = planted()
    fold = problem.folds[0]
    before = of_counts(features, replace(problem, folds=(fold,)), [2, 4])
    mixed = np.random.default_rng(0).permutation(fold.test)
    targets = problem.targets.copy()
    if part == "features":
        features.pooled[fold.test] = 9 * features.pooled[mixed]
    else:
        targets[fold.test] = targets[mixed]
    after = of_counts(features, replace(problem, folds=(fold,), targets=targets), [2, 4])
    assert after.features == before.features and after.choices == before.choices


def test_each_inner_training_set_has_its_own_features():
    """A feature that tells the classes of one group alone is selected where that group trains, and not without it."""
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.standard_normal((60, 6)), dtype=torch.float32)
    y = torch.arange(60) % 2
    x[:30, 1] += 4 * y[:30]
    x[30:, 4] += 4 * y[30:]
    members = torch.zeros(2, 60, dtype=torch.bool)
    members[0, :30], members[1, 30:] = True, True
    strengths = torch.tensor([0.1, 1.0])
    solve = partial(logistic.fit, n_classes=2)

    def solved(rows, targets, members, strengths, tolerance, factors=None):
        return solve(rows, targets, members, strengths, tolerance=tolerance, factors=factors)

    model = selection.fit(solved, 1, x, y, members, strengths, 1e-7)
    used = (model.weights.abs().sum(1) > 0).T  # of four problems, strengths running fastest
    assert used.nonzero()[:, 1].tolist() == [1, 1, 4, 4]
    alone = solved(x[:, [4]], y, members[1:], strengths, 1e-7)
    torch.testing.assert_close(model(x)[..., 2:], alone(x[:, [4]]), rtol=1e-4, atol=1e-4)


def test_the_share_that_classes_explain():
    x = torch.tensor([[0.0, 1.0, 7.0], [0.0, 2.0, 7.0], [1.0, 1.0, 7.0], [1.0, 2.0, 7.0]])
    y = torch.tensor([0, 0, 1, 1])
    for targets in (y, torch.eye(2)[y], y.float()):
        torch.testing.assert_close(selection.explained(x, targets), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert selection.best(torch.cat([x, x], 1), y, 3).tolist() == [0, 1, 3]


def test_features_of_every_draw_are_kept():
    features, problem = planted()
    draws = (problem.folds, problem.folds[:2])
    own = reader("selected", counts=[3], strengths=[0.1, 1.0])
    made = drawn(own, features, replace(problem, draws=draws), [0, 1], "cpu")
    assert len(made.features) == len(made.choices) == 5
