"""Problems with draws, and with test features by their own statistics."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import downstreams
from downstreams import few_labels
from downstreams.errors import DownstreamError
from downstreams.registry import HEADS
from tests.downstreams.problems import features_of, make, reader, short

OF_CLASSES = [name for name in downstreams.names() if "classification" in downstreams.resolve(name).kinds]


def drawn(problem, draws=3, keep=0.6):
    """The problem with draws of what trains, whole inner groups of speakers as they were."""
    rng = np.random.default_rng(0)

    def one(fold):
        left = rng.permutation(fold.train)[: int(keep * len(fold.train))]
        known = np.r_[left, fold.dev]
        inner = tuple(group[np.isin(group, known)] for group in fold.inner)
        return replace(fold, train=left, inner=tuple(group for group in inner if len(group)))

    several = tuple(tuple(one(fold) for fold in problem.folds) for _ in range(draws))
    return replace(problem, folds=several[0], draws=several)


@pytest.mark.parametrize("head", OF_CLASSES)
def test_a_seed_is_a_draw_whatever_others_are_run(head):
    features, problem = make(n=60, speakers=3, depth=2, width=6)
    problem = drawn(replace(problem, folds=problem.folds[:2]))
    both = downstreams.evaluate(short(head), features, problem, [0, 2])
    assert sorted(set(both.table["seed"])) == [0, 2]
    for seed in (0, 2):
        alone = downstreams.evaluate(short(head), features, problem, [seed])
        plain = replace(problem, folds=problem.draws[seed], draws=())
        start = 0 if short(head).deterministic else seed
        same = downstreams.evaluate(short(head), features, plain, [start])
        mine = both.table[both.table["seed"] == seed].reset_index(drop=True)
        assert mine.equals(alone.table) and mine.drop(columns="seed").equals(same.table.drop(columns="seed"))
        assert [c for c in both.choices if c["seed"] == seed] == alone.choices
    values = [both.table[both.table["seed"] == seed].filter(like="score").to_numpy() for seed in (0, 2)]
    assert not np.array_equal(*values), "the draws train on other utterances"


def test_memory_of_trainings_is_the_highest_of_all_draws(monkeypatch):
    features, problem = make(n=60, speakers=3, depth=2, width=6)
    problem = drawn(replace(problem, folds=problem.folds[:1]))
    peaks = iter([100.0, 300.0, 200.0])
    monkeypatch.setattr("downstreams.finetuning.peak_memory", lambda device: next(peaks))
    made = downstreams.evaluate(short("finetune", steps=2, scorings=1), features, problem, [0, 1, 2])
    assert made.training_memory == {"cpu": 300.0}


def test_a_head_that_draws_nothing_has_a_seed_a_draw():
    probe, superb = downstreams.resolve("probe"), downstreams.resolve("superb")
    assert downstreams.seeds(probe, 3) == [0] and downstreams.seeds(probe, 3, draws=20) == [0, 1, 2]
    assert downstreams.seeds(superb, 2) == downstreams.seeds(superb, 2, draws=20) == [0, 1]
    with pytest.raises(DownstreamError, match="21 seeds are asked for, and the task has 20 draws"):
        downstreams.seeds(probe, 21, draws=20)


def test_with_nothing_to_choose_on_the_last_layer_and_a_middle_strength_are_taken():
    features, problem = make()
    one = [np.unique(problem.targets[fold.train], return_index=True)[1] for fold in problem.folds]
    few = [replace(f, train=f.train[rows], dev=f.dev[:0], inner=()) for f, rows in zip(problem.folds, one, strict=True)]
    predictions = downstreams.evaluate(reader("probe"), features, replace(problem, folds=tuple(few)), [0])
    strengths = reader("probe").settings["strengths"]
    assert {(c["layer"], c["strength"]) for c in predictions.choices} == {(2, strengths[len(strengths) // 2])}
    with pytest.raises(DownstreamError, match="no dev part"):
        downstreams.evaluate(short("superb"), features, replace(problem, folds=tuple(few)), [0])


@pytest.mark.parametrize("head", ["probe", "probe_stats"])
def test_test_features_by_their_own_statistics(head):
    """As if train and test had each been standardised on their own before; what is chosen stays as it was."""
    features, problem = make(n=120, speakers=4)
    folds = problem.folds[:1]
    shifted = features.pooled.copy()
    shifted[folds[0].test] = 3.0 * shifted[folds[0].test] + 7.0  # another microphone
    own = replace(problem, folds=folds, test_standardised=True)
    moved = downstreams.evaluate(reader(head), features_of(shifted), own, [0])
    known, test = np.r_[folds[0].train, folds[0].dev], folds[0].test
    scaled = features.pooled.astype(np.float64)
    for rows in (known, test):
        scaled[rows] = StandardScaler().fit_transform(scaled[rows].reshape(len(rows), -1)).reshape(scaled[rows].shape)
    as_they_are = replace(own, test_standardised=False)
    wanted = downstreams.evaluate(reader(head), features_of(scaled.astype(np.float32)), as_they_are, [0])
    scores = [predictions.table.filter(like="score").to_numpy() for predictions in (moved, wanted)]
    np.testing.assert_allclose(*scores, atol=1e-3)
    plain = downstreams.evaluate(reader(head), features_of(shifted), as_they_are, [0])
    assert plain.choices == moved.choices and not plain.table.equals(moved.table)


@pytest.mark.parametrize("head", [name for name in OF_CLASSES if not HEADS.find(name).standardises])
def test_heads_that_standardise_nothing_refuse_to(head):
    features, problem = make()
    with pytest.raises(DownstreamError, match=f"{head} takes features as they are"):
        downstreams.evaluate(short(head), features, replace(problem, test_standardised=True), [0])


def test_a_branch_is_said_to_be_off_where_no_draw_has_it():
    draws = [
        SimpleNamespace(marks=marks) for marks in (("edge", "without:gender", "without:phonemes"), ("without:gender",))
    ]
    assert few_labels._marks(draws) == ("edge", "without:gender")
