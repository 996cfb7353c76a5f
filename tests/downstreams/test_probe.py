"""The probe's choices equal those of a plain, slow program made of scikit-learn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import downstreams
from downstreams.probe import SCALES
from tests.downstreams.problems import CLASSES, make, reader


def slow_losses(x, problem, fold):
    """(L, S) losses on the inner groups left out, by loops over everything; x is (N, L, D)."""
    known = np.concatenate([fold.train, fold.dev])
    strengths = reader("probe").settings["strengths"]
    losses = np.zeros((x.shape[1], len(strengths)))
    for layer, s in np.ndindex(losses.shape):
        true, logits = [], []
        for group in fold.inner or (fold.dev,):
            rest = np.setdiff1d(known, group)
            fitted = model(strengths[s] / features_of(x, known)).fit(x[rest, layer], problem.targets[rest])
            logits.append(fitted.decision_function(x[group, layer]))
            true.append(problem.targets[group])
        true, logits = np.concatenate(true), np.concatenate(logits)
        balanced = compute_sample_weight("balanced", true)
        losses[layer, s] = min(log_loss(true, softmax(t * logits, axis=1), sample_weight=balanced) for t in SCALES)
    return losses


def features_of(x, known):
    """How many columns vary on the rows that may be trained on; alike for all layers here."""
    return int((np.ptp(x[known, 0], axis=0) > 0).sum())


def model(penalty):
    classifier = LogisticRegression(C=penalty, class_weight="balanced", solver="newton-cg", tol=1e-8)
    return make_pipeline(StandardScaler(), classifier)


@pytest.mark.parametrize("official_dev", [False, True])
def test_choices_and_predictions_equal_the_slow_program(official_dev):
    features, problem = make(n=150, speakers=4, width=6, official_dev=official_dev)
    predictions = downstreams.evaluate(reader("probe"), features, problem, [0])
    x, strengths = features.pooled[:, 0].astype(np.float64), reader("probe").settings["strengths"]
    for fold, choice in zip(problem.folds, predictions.choices, strict=True):
        losses = slow_losses(x, problem, fold)
        # Where the loss is flat two strengths may change places: inner fits stop a little short of the optimum.
        assert losses[choice["layer"], strengths.index(choice["strength"])] == pytest.approx(losses.min(), abs=4e-3)
        assert choice["loss"] == pytest.approx(losses.min(), abs=4e-3)
        known = np.concatenate([fold.train, fold.dev])
        final = model(choice["strength"] / features_of(x, known)).fit(x[known, choice["layer"]], problem.targets[known])
        rows = predictions.table[predictions.table["fold"] == fold.name]
        scores = rows[[f"score:{name}" for name in CLASSES]].to_numpy()
        assert np.abs(scores - final.predict_proba(x[fold.test, choice["layer"]])).max() < 1e-3


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
    _, problem = make()
    seconds = np.exp(problem.targets + 0.1 * np.random.default_rng(0).standard_normal(len(problem.ids)))
    for fold in problem.folds:
        known = problem.targets[np.concatenate([fold.train, fold.dev])]
        rows = downstreams.reference("majority", problem, seconds).table.query("fold == @fold.name")
        assert set(rows["prediction"]) == {CLASSES[np.bincount(known).argmax()]}
    table = downstreams.reference("duration", problem, seconds).table
    assert (table["target"] == table["prediction"]).mean() > 0.9
