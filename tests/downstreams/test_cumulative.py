"""The ordinal model: logistic regression of two levels, and probabilities of more that never contradict each other."""

import numpy as np
import torch

import downstreams
from downstreams import cumulative, logistic
from tests.downstreams.problems import make, reader

STRENGTHS = torch.tensor([0.01, 1.0])


def rows(n=120, width=6, levels=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=generator)
    y = torch.bucketize(x[:, 0] + 0.5 * torch.randn(n, generator=generator), torch.tensor([-0.4, 0.4][: levels - 1]))
    return x, y, torch.ones(1, n, dtype=torch.bool)


def test_two_levels_are_two_classes():
    x, y, members = rows(levels=2)
    ordinal = cumulative.fit(x, y, members, STRENGTHS, 2, 1e-8, True)
    classes = logistic.fit(x, y, members, STRENGTHS, 2, 1e-8, True)
    torch.testing.assert_close(ordinal(x), classes(x).log_softmax(1), atol=1e-5, rtol=1e-5)
    assert ordinal.converged.tolist() == [True, True]


def test_probabilities_of_levels_add_up_and_reaching_a_higher_level_is_never_more_probable():
    x, y, members = rows()
    shares = cumulative.fit(x, y, members, STRENGTHS, 3, 1e-8, True)(10 * x).exp()
    torch.testing.assert_close(shares.sum(1), torch.ones(len(x), 2))
    assert (shares >= 0).all()


def test_a_level_that_the_training_set_lacks_is_not_predicted():
    x, y, members = rows()
    members = members & (y != 2)
    shares = cumulative.fit(x, y, members, STRENGTHS, 3, 1e-8, True)(x).exp()
    assert shares.isfinite().all() and shares[:, 2].max() < 1e-9


def test_the_probe_orders_levels_that_features_carry():
    features, problem = make("ordinal", signal=3.0)
    table = downstreams.evaluate(reader("probe"), features, problem, [0]).table
    scores = table[[f"score:{name}" for name in problem.classes]].to_numpy()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    level = table["target"].map({name: i for i, name in enumerate(problem.classes)})
    assert np.corrcoef(scores @ [0, 1, 2], level)[0, 1] > 0.8
