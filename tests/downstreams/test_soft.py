"""Votes as targets: the probe's soft cross-entropy, and heads that read the class of most votes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

import downstreams
from downstreams import logistic
from tests.downstreams.problems import make, short


def data(n=80, width=6, seed=0):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, width)).astype(np.float32)
    rows = (rows - rows.mean(0)) / rows.std(0)
    shares = random.dirichlet(np.full(3, 0.6), n).astype(np.float32)
    return torch.as_tensor(rows), torch.as_tensor(shares)


def test_soft_targets_are_weighted_copies_of_hard_ones():
    """scikit-learn on every row once a class, weighed by its share, is the same model."""
    x, shares = data()
    fit = logistic.fit(x, shares, torch.ones(1, len(x), dtype=torch.bool), torch.tensor([0.5]), 3, 1e-9, balanced=False)
    copies, labels, weights = np.repeat(x.numpy(), 3, axis=0), np.tile(np.arange(3), len(x)), shares.numpy().ravel()
    other = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(copies, labels, sample_weight=weights)
    mine = fit(x)[..., 0].softmax(1).numpy()
    assert np.allclose(mine, other.predict_proba(x.numpy()), atol=2e-4)


@pytest.mark.parametrize("balanced", [True, False])
def test_votes_of_one_voice_are_hard_labels(balanced):
    x, shares = data()
    hard = shares.argmax(1)
    members = torch.ones(2, len(x), dtype=torch.bool)
    members[1, :20] = False
    args = (members, torch.tensor([0.1, 1.0]), 3, 1e-9, balanced)
    one, two = logistic.fit(x, hard, *args), logistic.fit(x, torch.eye(3)[hard], *args)
    assert torch.allclose(one(x), two(x), atol=1e-4)


@pytest.fixture(scope="module")
def problem():
    """The made-up problem of classes, of which every third vote is for the next class."""
    features, hard = make("classification")
    votes = 0.7 * np.eye(3)[hard.targets] + 0.3 * np.eye(3)[(hard.targets + 1) % 3]
    return features, replace(hard, kind="distribution", votes=votes, select_on="WA")


def test_probe_learns_the_votes_and_a_hard_head_the_class_of_most(problem):
    features, soft = problem
    probe = downstreams.resolve("probe")
    own = downstreams.evaluate(probe, features, soft, [0])
    hard = downstreams.evaluate(probe, features, replace(soft, kind="classification", votes=None), [0])
    rows = own.table["id"].map({name: i for i, name in enumerate(soft.ids)}).to_numpy()
    columns = [c for c in own.table if c.startswith("score:")]

    def surprise(made):
        return (
            -(soft.votes[rows] * log_softmax(np.log(made.table[columns].to_numpy().clip(1e-12)), axis=1)).sum(1).mean()
        )

    assert surprise(own) < surprise(hard)
    assert (own.table["prediction"] == hard.table["prediction"]).mean() > 0.6
    for head in ("superb",):
        made = downstreams.evaluate(short(head), features, soft, [0])
        again = downstreams.evaluate(short(head), features, replace(soft, kind="classification", votes=None), [0])
        assert made.table.equals(again.table), "it reads the class of most votes alone"


def test_a_fold_is_blind_to_the_votes_of_its_test_speakers(problem):
    features, soft = problem
    fold = soft.folds[0]
    speaker = np.isin(soft.speaker, np.unique(soft.speaker[fold.test]))
    votes = soft.votes.copy()
    votes[speaker] = np.random.default_rng(0).permutation(votes[speaker])
    made = [downstreams.evaluate(downstreams.resolve("probe"), features, p, [0])
            for p in (soft, replace(soft, votes=votes))]  # fmt: skip
    tables = [m.table[m.table["fold"] == fold.name].drop(columns="target") for m in made]
    assert tables[0].equals(tables[1]) and made[0].choices[0] == made[1].choices[0]


def test_the_floor_of_votes_is_their_mean(problem):
    _, soft = problem
    made = downstreams.reference("majority", soft, np.zeros(0)).table
    fold = soft.folds[0]
    mean = soft.votes[np.r_[fold.train, fold.dev]].mean(0)
    assert made.loc[made["fold"] == fold.name, [c for c in made if c.startswith("score:")]].to_numpy()[
        0
    ] == pytest.approx(mean)
