"""Features of several parts: each part counts alike, however wide it is."""

from dataclasses import replace

import numpy as np
import pytest

import downstreams
from downstreams import second_stage
from downstreams.course import Setup
from downstreams.frame_training import Scaled
from downstreams.held_frames import HeldFrames
from downstreams.part_weights import factors, owners
from downstreams.settings import FineTune
from downstreams.shelf import Shelf
from tests.downstreams.problems import make, short

WIDTHS = [(2, 10), (1, 1, 10), (3, 300)]
HEADS = ["probe", "probe_stats", "last_four"]


@pytest.mark.parametrize("widths", WIDTHS)
def test_every_part_has_the_same_sum_of_squares_and_all_of_them_that_of_plain_columns(widths):
    owner = owners(widths)
    squares = factors(owner).numpy() ** 2
    sums = np.bincount(owner, squares)
    np.testing.assert_allclose(sums, sum(widths) / len(widths), rtol=1e-5)


@pytest.mark.parametrize("widths", [(5,), (4, 4, 4), ()])
def test_parts_of_one_width_need_no_weights(widths):
    assert factors(owners(widths)) is None


def test_a_part_without_columns_that_vary_does_not_count():
    kept = owners((2, 4, 3), blocks=2) != 1
    weights = factors(owners((2, 4, 3), blocks=2)[kept])
    np.testing.assert_allclose(np.bincount(owners((2, 4, 3), 2)[kept], weights**2), [5, 0, 5], rtol=1e-5)


def test_frames_of_parts_have_the_same_sum_of_squares():
    features, problem = make(width=12)
    frames = HeldFrames(features.frames, problem.ids, "cpu", widths=(2, 10))
    x, valid = Scaled.by(frames, problem.folds[0].train).batch(problem.folds[0].train)
    squares = x[valid].square().mean(0)[0].numpy()
    np.testing.assert_allclose(np.bincount(owners((2, 10)), squares), [6, 6], rtol=1e-3)


def test_a_second_stage_weighs_the_parts_of_a_trained_fusion_as_heads_on_frozen_frames_do():
    features, problem = make(n=30, speakers=3)
    settings = FineTune.model_validate(short("finetune_ecapa", then_epochs=1).settings)
    setup = Setup(features.live, problem, problem.folds[0], 0, settings, "cpu")
    scales = []
    for features.live.widths in ((), (2, 10)):
        made = second_stage.second(setup.network(), setup, {}, Shelf(None), lambda part: None)
        scales.append(made.fitted.arrays["scaled.scale"][0])
    np.testing.assert_allclose(scales[1] / scales[0], factors(owners((2, 10))), rtol=1e-5)


@pytest.mark.parametrize("width", [40, 400])  # the second is solved in the span of the rows
@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("head", HEADS)
def test_what_a_probe_does_with_parts_is_scikit_learns_ridge_on_weighted_columns(head, kind, width):
    """The probe with parts predicts what scikit-learn's ridge does on columns that are scaled by hand."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, problem = make(kind, n=90, depth=2, width=width, speakers=3, official_dev=True)
    features = replace(features, pooled=features.pooled[:, :, 1:], depth=1)
    widths = (4, width - 4)
    reader = short(head, strengths=[0.5], **({} if kind == "regression" else {"class_weights": "none"}))
    predicted = downstreams.evaluate(reader, replace(features, parts=widths), problem, [0]).table
    statistics = features.pooled.shape[1] if head == "probe_stats" else 1
    x = np.concatenate([features.pooled[:, s, 0] for s in range(statistics)], axis=1).astype(float)
    for fold in problem.folds:
        known = np.concatenate([fold.train, fold.dev])
        varies = np.ptp(x[known], axis=0) > 0
        owner = owners(widths, statistics)[varies]
        z = (x[:, varies] - x[known][:, varies].mean(0)) / x[known][:, varies].std(0)
        z = z / np.sqrt(np.bincount(owner)[owner])  # divided by the square root of its width
        z *= np.sqrt(len(owner) / len(widths))
        c, y = 0.5 / len(owner), problem.targets[known]
        mine = predicted[predicted["fold"] == fold.name]
        if kind == "regression":
            theirs = linear_model.Ridge(alpha=1 / c).fit(z[known], y).predict(z[fold.test])
            np.testing.assert_allclose(mine["prediction"], theirs, rtol=1e-3, atol=1e-3)
        else:
            model = linear_model.LogisticRegression(C=c, tol=1e-8, max_iter=5000)
            theirs = model.fit(z[known], y).predict_proba(z[fold.test])
            scores = mine[[f"score:{name}" for name in problem.classes]].to_numpy()
            np.testing.assert_allclose(scores, theirs, atol=2e-3)


def test_last_four_on_a_fusion_of_one_layer_is_probe():
    features, problem = make(n=60, depth=2, width=40, speakers=3)
    features = replace(features, pooled=features.pooled[:, :, 1:], depth=1, parts=(4, 36))
    probe, last_four = (downstreams.evaluate(short(head), features, problem, [0]).table for head in HEADS[::2])
    assert probe.equals(last_four)


@pytest.mark.parametrize("kind", ["classification", "regression", "conversation"])
def test_parts_of_one_width_change_nothing(kind):
    features, problem = make(kind, n=60, depth=2, width=13, speakers=3, official_dev=True)
    problem = replace(problem, folds=problem.folds[:1])
    features = replace(features, pooled=features.pooled[..., :-1], width=12)  # without the constant column
    for head in downstreams.names():
        if kind not in downstreams.resolve(head).kinds:
            continue
        reader = short(head)
        plain, fused = (
            downstreams.evaluate(reader, replace(features, parts=parts), problem, [0]) for parts in ((), (6, 6))
        )
        assert plain.table.equals(fused.table) and plain.choices == fused.choices, head
