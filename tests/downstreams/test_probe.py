"""The probe's choices equal those of a plain, slow program made of scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import downstreams
from downstreams.probe import SCALES, strongest
from tests.downstreams.problems import CLASSES, KINDS, features_of, make, reader


def slow_losses(x, problem, fold, weights):
    """(L, S) losses on the inner groups left out and (L, S, G) each group's part, by loops; x is (N, L, D)."""
    known = np.concatenate([fold.train, fold.dev])
    strengths = reader("probe").settings["strengths"]
    groups = [np.asarray(group) for group in fold.inner or (fold.dev,)]
    rows = np.concatenate(groups)
    true, speaker = problem.targets[rows], problem.groups[rows]
    share = compute_sample_weight(weights, true) / compute_sample_weight(weights, true).sum()
    losses = np.zeros((x.shape[1], len(strengths)))
    parts = np.zeros((*losses.shape, len(np.unique(speaker))))
    for layer, s in np.ndindex(losses.shape):
        logits = []
        for group in groups:
            rest = np.setdiff1d(known, group)
            fitted = model(strengths[s] / varying(x, known), weights).fit(x[rest, layer], problem.targets[rest])
            logits.append(fitted.decision_function(x[group, layer]))
        surprises = [-log_softmax(t * np.concatenate(logits), axis=1)[np.arange(len(rows)), true] for t in SCALES]
        surprise = min(surprises, key=lambda own: own @ share)
        losses[layer, s] = surprise @ share
        parts[layer, s] = [(share * surprise)[speaker == name].sum() for name in np.unique(speaker)]
    return losses, parts


def varying(x, known):
    """How many columns vary on the rows that may be trained on; alike for all layers here."""
    return int((np.ptp(x[known, 0], axis=0) > 0).sum())


def model(penalty, weights="balanced"):
    classifier = LogisticRegression(C=penalty, class_weight=weights, solver="newton-cg", tol=1e-8)
    return make_pipeline(StandardScaler(), classifier)


@pytest.mark.parametrize("select_on", ["UA", "WF1"])
@pytest.mark.parametrize("official_dev", [False, True])
def test_choices_and_predictions_equal_the_slow_program(official_dev, select_on):
    """Classes weigh alike where they do in the metric that choices go by, and nowhere else."""
    features, problem = make(n=150, speakers=4, width=6, official_dev=official_dev)
    problem, weights = replace(problem, select_on=select_on), "balanced" if select_on == "UA" else None
    predictions = downstreams.evaluate(reader("probe"), features, problem, [0])
    x, strengths = features.pooled[:, 0].astype(np.float64), reader("probe").settings["strengths"]
    for fold, choice in zip(problem.folds, predictions.choices, strict=True):
        losses, parts = slow_losses(x, problem, fold, weights)
        # Where the loss is flat two strengths may change places: inner fits stop a little short of the optimum.
        own, strength = losses[choice["layer"]], strengths.index(choice["strength"])
        assert choice["layer"] == 1, "the layer that carries the target"
        assert own[strengths.index(choice["lowest"])] == pytest.approx(own.min(), abs=4e-3)
        assert choice["loss"] == pytest.approx(own[strength], abs=4e-3)
        # The strength that is taken is a stronger ridge, within a standard error over speakers.
        lowest, taken = (parts[choice["layer"], strengths.index(choice[which])] for which in ("lowest", "strength"))
        excess = taken - lowest
        error = np.std(excess, ddof=1) * np.sqrt(len(excess)) if len(excess) > 1 else 0.0
        assert choice["strength"] <= choice["lowest"] and excess.sum() <= error + 4e-3
        known = np.concatenate([fold.train, fold.dev])
        final = model(choice["strength"] / varying(x, known), weights).fit(
            x[known, choice["layer"]], problem.targets[known]
        )
        rows = predictions.table[predictions.table["fold"] == fold.name]
        scores = rows[[f"score:{name}" for name in CLASSES]].to_numpy()
        assert np.abs(scores - final.predict_proba(x[fold.test, choice["layer"]])).max() < 1e-3


def test_near_ties_go_to_the_stronger_ridge_and_clear_differences_do_not():
    """A strength is taken in place of the best where speakers disagree about which of the two is better."""
    speakers = np.repeat(["a", "b", "c", "d"], 5)
    flat = np.random.default_rng(0).normal(1, 0.3, (20, 1)) + np.array([[0.3, 0.001, 0.0, 0.2]])
    noise = np.array([0.1, -0.1, 0.1, -0.1]).repeat(5)[:, None] * np.array([[0, 1, 0, 0]])
    assert strongest(flat + noise, speakers) == 1, "b and d are better under 1, a and c under 2"
    assert strongest(flat, speakers) == 2, "every speaker is a little worse under 1"
    assert strongest(flat + noise, np.repeat("a", 20)) == 2, "one group tells nothing of a spread"
    one_bad = np.ones((20, 2)) + np.where(speakers == "d", 0.5, 0)[:, None] * np.array([[1, 0]])
    assert strongest(one_bad, speakers) == 1, "much worse on one speaker is no near-tie, though one standard error"


def test_choices_do_not_depend_on_the_order_of_classes():
    """On one feature that says little many strengths tie; another order of the classes must not move the choice."""
    rng = np.random.default_rng(4)
    features, problem = make(n=180, speakers=6, width=2, depth=2)
    features.pooled[...] = rng.standard_normal(features.pooled.shape) + 0.1 * problem.targets[:, None, None, None]
    order = np.array([2, 0, 1])
    other = replace(problem, targets=order[problem.targets], classes=tuple(np.asarray(CLASSES)[np.argsort(order)]))
    first, second = (downstreams.evaluate(reader("probe"), features, p, [0]) for p in (problem, other))
    assert [c["strength"] for c in first.choices] == [c["strength"] for c in second.choices]
    assert (first.table["prediction"] == second.table["prediction"]).mean() > 0.99


def test_probe_stats_reads_deviations():
    """A target that only the deviations carry is found by `probe_stats` and not by `probe`."""
    features, problem = make()
    features.pooled[:, 0] = np.random.default_rng(3).standard_normal(features.pooled[:, 0].shape)
    right = {
        head: (lambda t: (t["target"] == t["prediction"]).mean())(
            downstreams.evaluate(reader(head), features, problem, [0]).table
        )
        for head in ("probe", "probe_stats")
    }
    assert right["probe"] < 0.45 < 0.55 < right["probe_stats"]


def test_references_need_no_features():
    _, problem = make(n=120, speakers=4)
    seconds = np.exp(problem.targets + 0.1 * np.random.default_rng(0).standard_normal(len(problem.ids)))
    majority = downstreams.reference("majority", problem, seconds).table
    for fold in problem.folds:
        known = problem.targets[np.concatenate([fold.train, fold.dev])]
        rows = majority[majority["fold"] == fold.name]
        assert set(rows["prediction"]) == {CLASSES[np.bincount(known).argmax()]}
    table = downstreams.reference("duration", problem, seconds).table
    assert (table["target"] == table["prediction"]).mean() > 0.9


@pytest.mark.parametrize("telling", [0, 1])
def test_the_length_of_texts_is_the_probe_on_their_words_and_characters(telling):
    _, problem = make(n=90, speakers=3)
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 30, (len(problem.ids), 2))
    # Classes overlap: weak ridges take many steps to tell apart those that do not.
    lengths[:, telling] = 4 ** (1 + problem.targets) * np.exp(rng.normal(0, 0.5, len(problem.ids)))
    table = downstreams.reference("text_length", problem, lengths).table
    assert (table["target"] == table["prediction"]).mean() > 0.75
    pooled = np.log(lengths).astype(np.float32)[:, None, None].repeat(2, axis=1)
    again = downstreams.evaluate(downstreams.resolve("probe"), features_of(pooled), problem, [0]).table
    assert table["prediction"].tolist() == again["prediction"].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [3, 6])
def test_last_four_reads_the_mean_of_the_last_four_layers_or_of_all_there_are(kind, depth):
    features, problem = make(kind, n=90, speakers=3, depth=depth)
    mean = replace(features, pooled=features.pooled[:, :, -4:].mean(2, keepdims=True))
    expected, given = (
        downstreams.evaluate(reader(head), own, problem, [0]).table
        for head, own in (("probe", mean), ("last_four", features))
    )
    value = [name for name in given if name.startswith("score:")] or ["prediction"]
    assert np.allclose(given[value], expected[value], atol=1e-5)
