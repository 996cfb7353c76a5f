"""Rows that may have the classes of their own corpus alone: what heads must hold to where corpora are joined."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from commons.corridors.problem import Problem
from commons.errors import EmorepError
from downstreams import logistic, own_classes
from downstreams.errors import DownstreamError
from downstreams.reference_rows import majority
from downstreams.registry import HEADS
from tests.downstreams.problems import CLASSES, make, short

ABLE = [head for head in HEADS if "classification" in HEADS.find(head).kinds]


def run(head, features, problem):
    return downstreams.evaluate(short(head), features, problem, [0])


@pytest.fixture(scope="module")
def made():
    return make(n=120, width=6, depth=2, speakers=4)


def joined(problem: Problem) -> Problem:
    """Speakers of even number may have all classes, the others only the first two, and get the first for the third."""
    narrow = problem.speaker.astype(int) % 2 == 1
    targets = np.where(narrow & (problem.targets == 2), 0, problem.targets)
    allowed = np.ones((len(targets), len(CLASSES)), dtype=bool)
    allowed[narrow, 2] = False
    return replace(problem, targets=targets, allowed=allowed)


@pytest.mark.parametrize("head", ABLE)
def test_to_allow_all_classes_changes_nothing(head, made):
    features, problem = made
    everything = replace(problem, allowed=np.ones((len(problem.ids), len(CLASSES)), dtype=bool))
    assert run(head, features, problem).table.equals(run(head, features, everything).table)


@pytest.mark.parametrize("head", [*ABLE, "majority"])
def test_a_row_is_given_one_of_its_own_classes(head, made):
    features, problem = made
    problem = joined(problem)
    table = (majority(problem) if head == "majority" else run(head, features, problem)).table.set_index("id")
    scores = table[[f"score:{name}" for name in CLASSES]].loc[problem.ids].to_numpy()
    assert (scores[~problem.allowed] == 0).all()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


def test_the_loss_on_dev_that_decides_between_equal_epochs_is_over_own_classes(made):
    features, problem = made
    problem = joined(replace(problem, folds=problem.folds[:2]))
    predictions = downstreams.evaluate(short("finetune_speecheq", readout="last"), features, problem, [0])
    last = {entry["fold"]: entry["dev_loss"] for entry in predictions.curves}
    for fold, table in predictions.held_out.groupby("fold"):
        own = [row[f"score:{row['target']}"] for _, row in table.iterrows()]
        assert last[fold] == pytest.approx(-np.log(own).mean(), rel=1e-4)


def test_a_head_that_cannot_says_so(made, monkeypatch):
    features, problem = made
    unable = replace(HEADS.find("superb"), own_classes=False)
    reader = short("superb")
    monkeypatch.setattr(HEADS, "find", lambda name: unable)
    with pytest.raises(DownstreamError, match="classes of their own; use probe"):
        downstreams.evaluate(reader, features, joined(problem), [0])


@pytest.mark.parametrize(("n", "d"), [(120, 8), (60, 240)])  # the last is solved in the span of its rows
def test_with_disjoint_classes_one_corpus_does_not_depend_on_the_labels_of_the_other(n, d):
    rng = np.random.default_rng(0)
    first = np.arange(n) % 2 == 0
    rows = torch.tensor(rng.standard_normal((n, d)) + 3 * first[:, None], dtype=torch.float32)
    targets = np.where(first, rng.integers(0, 2, n), rng.integers(2, 5, n))
    other = targets.copy()
    other[~first] = rng.permutation(other[~first])
    allowed = np.zeros((n, 5), dtype=bool)
    allowed[first, :2], allowed[~first, 2:] = True, True

    def logits(labels: np.ndarray) -> np.ndarray:
        members, strengths = torch.ones(1, n, dtype=torch.bool), torch.tensor([0.1 / d])
        allow = torch.tensor(allowed)
        fit = logistic.fit(rows, torch.tensor(labels), members, strengths, 5, 1e-9, True, None, allow)
        assert fit.converged.all()
        return own_classes.within(fit(rows), allow).softmax(1)[..., 0].numpy()

    before, after = logits(targets), logits(other)
    np.testing.assert_allclose(before[first], after[first], atol=1e-4)
    assert np.abs(before[~first] - after[~first]).max() > 0.01


def test_rows_all_of_whose_classes_are_left_out_of_training_get_them_alike():
    logits = torch.tensor([[1.0, -torch.inf, -torch.inf], [1.0, 2.0, -torch.inf]])
    allowed = torch.tensor([[False, True, True], [True, True, False]])
    assert own_classes.within(logits, allowed).softmax(1)[0].tolist() == [0.0, 0.5, 0.5]
    features, problem = make(n=120, width=6, depth=2, speakers=4)
    last = problem.speaker == "3"  # of whose class no other speaker has anything
    targets = np.where(last, 2, problem.targets % 2)
    allowed_rows = np.stack([~last, ~last, last], axis=1)
    table = run("probe", features, replace(problem, targets=targets, allowed=allowed_rows)).table
    assert table[[f"score:{name}" for name in CLASSES]].notna().all().all()


def test_a_class_that_its_row_may_not_have_is_named(made):
    _, problem = made
    wrong = np.ones((len(problem.ids), len(CLASSES)), dtype=bool)
    wrong[0, problem.targets[0]] = False
    with pytest.raises(EmorepError, match=f"{problem.ids[0]} has the class"):
        replace(problem, allowed=wrong)
    with pytest.raises(EmorepError, match="is expected"):
        replace(problem, allowed=wrong[:, :2])
