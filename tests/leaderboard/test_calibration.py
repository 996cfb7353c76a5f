"""Calibration: measures are those of scikit-learn, corrections never see test, a bias is told for what it is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

import leaderboard
from leaderboard.__main__ import main
from leaderboard.tables import view
from leaderboard.trust import calibration
from leaderboard.trust.calibration import Answers, corrected
from leaderboard.trust.systems import systems
from leaderboard.trust.variants import variants
from tests.leaderboard import cells

CLASSES = list(cells.CLASSES)


def drawn(n=4000, sharp=1.0, weights=(1, 1, 1, 1), seed=0, groups=8):
    """Answers whose probabilities are those by which the truth was drawn, then sharpened and divided by weights."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=1.5, size=(n, 4)) + np.log([0.55, 0.25, 0.15, 0.05])
    true = softmax(logits, axis=1)
    target = (true.cumsum(1) > random.random((n, 1))).argmax(1)
    shown = softmax(sharp * (logits - np.log(np.asarray(weights, dtype=float))), axis=1)
    zeros = np.zeros(n, dtype=int)
    return Answers(shown, target, zeros, zeros, random.integers(0, groups, n))


def probabilities_of(answers):
    return [calibration.score(answers, name).value for name in ("Brier", "log_loss")]


def test_measures_are_those_of_scikit_learn():
    own = drawn(1000)
    truth = np.eye(4)[own.target]
    brier = sum(brier_score_loss(truth[:, c], own.probabilities[:, c]) for c in range(4))
    assert probabilities_of(own) == pytest.approx([brier, log_loss(own.target, own.probabilities, labels=range(4))])
    right, confidence = calibration_curve(own.right, own.confidence, n_bins=calibration.BINS, strategy="quantile")
    assert calibration.ece(own) == pytest.approx(100 * np.abs(right - confidence).mean())
    surest = np.argsort(-own.confidence)[:500]
    assert calibration.accuracy_at(own, 50).value == pytest.approx(100 * own.right[surest].mean())
    assert calibration.accuracy_at(own, 100).value == pytest.approx(100 * own.right.mean())
    over = calibration.overconfidence(own)
    assert (
        over.value == pytest.approx(100 * (own.confidence.mean() - own.right.mean()))
        and over.low < over.value < over.high
    )


def test_intervals_leave_out_speakers():
    """Utterances that are copies of each other add nothing: a speaker said twice as much has the same interval."""
    own = drawn(200)
    twice = Answers(
        *(np.concatenate([getattr(own, name)] * 2) for name in ("probabilities", "target", "seed", "fold", "group"))
    )
    one, two = (calibration.score(answers, "Brier") for answers in (own, twice))
    assert [two.value, two.low, two.high] == pytest.approx([one.value, one.low, one.high])
    alone = calibration.score(replace(own, group=np.zeros(200, dtype=int)), "Brier")
    assert alone.low is None and alone.high is None


def test_a_calibrated_system_has_the_ece_that_is_stated_for_one_and_a_sharpened_one_more():
    for n in (200, 4000):
        own = [drawn(n, seed=seed) for seed in range(5)]
        measured, stated = (np.mean([of(o) for o in own]) for of in (calibration.ece, calibration.calibrated_ece))
        assert measured == pytest.approx(stated, rel=0.25) and measured > 0
    assert calibration.calibrated_ece(drawn(200)) > 3 * calibration.calibrated_ece(drawn(4000)), "fewer: more bias"
    assert calibration.ece(drawn(sharp=3)) > 4 * calibration.calibrated_ece(drawn(sharp=3))


def test_the_temperature_and_the_prior_are_those_that_were_put_in():
    known, test = drawn(seed=1), drawn(seed=2)
    shares = np.bincount(known.target) / len(known.target)
    sharp, even = (
        (drawn(seed=1, sharp=2.5), drawn(seed=2, sharp=2.5)),
        (drawn(seed=1, weights=shares), drawn(seed=2, weights=shares)),
    )
    cooled, temperatures = corrected(sharp[1], sharp[0], False, True)
    assert temperatures == [pytest.approx(2.5, rel=0.1)]
    assert probabilities_of(cooled) == pytest.approx(probabilities_of(test), rel=0.02)
    assert probabilities_of(corrected(even[1], even[0], True, False)[0]) == pytest.approx(
        probabilities_of(test), rel=0.02
    )
    assert probabilities_of(test)[1] < min(probabilities_of(one)[1] for one in (sharp[1], even[1]))


def test_corrections_are_blind_to_test_labels_and_keep_to_their_fold_and_seed():
    known, test = drawn(seed=1, sharp=3), drawn(seed=2, sharp=3)
    permuted = replace(test, target=np.random.default_rng(0).permutation(test.target))
    one, two = (corrected(answers, known, True, True) for answers in (test, permuted))
    assert (one[0].probabilities == two[0].probabilities).all() and one[1] == two[1]
    fold = np.arange(len(known.target)) % 2
    halves, folds = replace(known, fold=fold), replace(test, fold=fold)
    other = halves.target.copy()
    other[fold == 1] = np.random.default_rng(1).permutation(other[fold == 1])
    before, after = (corrected(folds, k, True, True) for k in (halves, replace(halves, target=other)))
    same = (before[0].probabilities == after[0].probabilities).all(1)
    assert same[fold == 0].all() and not same[fold == 1].any() and before[1][0] == after[1][0]


@pytest.fixture
def board(results):
    """A balanced head with held-out predictions, and one of an earlier version without."""
    table = cells.utterances(320, 8)
    for upstream, keep in (("fbank", True), ("opensmile", False)):
        made, predictions = cells.sections(table, upstream=upstream), cells.predict(table, seeds=2)
        made["downstream"]["class_weights"] = "balanced"
        frames = []
        for fold in sorted(set(table["speaker"])):
            rest = predictions.table[predictions.table["fold"] != fold]
            frames.append(rest.drop(columns="prediction").assign(fold=fold))
        held_out = pd.concat(frames, ignore_index=True) if keep else None
        leaderboard.record(results, cells.measured(made, replace(predictions, held_out=held_out), table))
    return leaderboard.load(results)[0]


def test_tables_before_and_after_and_a_command_where_it_is_not_known(board, results, capsys):
    tables, problems = view("calibration", results, board)
    assert [table.title.rpartition(", ")[2] for table in tables] == ["as given", "prior", "prior and temperature"]
    assert tables[0].rows == ["fbank", "opensmile"] and tables[1].rows == tables[2].rows == ["fbank"]
    assert not problems and any("-u opensmile -t emodb" in line and "--force" in line for line in tables[0].notes)
    assert not any(table.best("ECE (calibrated)")[0] for table in tables), "ECE is never ranked"
    assert main(["table", "--by", "calibration", "--results", str(results), "-u", "fbank"]) == 0
    assert "calibrated system" in capsys.readouterr().out
    ((one, _),) = systems(results, board, [])
    made = variants(results, one)
    assert len(made[-1].temperatures) == 2 * 8, "one for each seed and fold"


def test_a_temperature_at_an_end_of_the_search_is_told(board, results, monkeypatch):
    wrong = drawn(seed=1)
    wrong = replace(wrong, target=wrong.probabilities.argmin(1))
    _, temperatures = corrected(drawn(seed=2), wrong, False, True)
    assert temperatures == [pytest.approx(calibration.HOTTEST, rel=1e-2)] and calibration.at_end(temperatures) == 1
    assert calibration.at_end([0.1, 1.0, 10.0]) == 0
    monkeypatch.setattr(calibration, "HOTTEST", 0.06)
    notes = view("calibration", results, board)[0][-1].notes
    assert any(line.startswith("fbank: 16 of 16 temperatures lie at an end of 0.05 to 0.06") for line in notes)
    monkeypatch.setattr(calibration, "at_end", lambda temperatures: 0)
    assert not any("lie at an end" in line for line in view("calibration", results, board)[0][-1].notes)


def test_the_temperature_of_a_record_never_sees_test_labels(board, results):
    ((one, _),) = systems(results, board, [])
    target = one.table["target"].to_numpy(copy=True)
    other = replace(one, table=one.table.assign(target=np.random.default_rng(3).permutation(target)))
    before, after = (variants(results, system)[-1] for system in (one, other))
    assert before.temperatures == after.temperatures
    assert (before.answers.probabilities == after.answers.probabilities).all()


def test_seeds_added_to_a_record_bring_what_they_held_out(board, results):
    record = next(r for r in board if r.cell.upstream == "fbank")
    table = cells.utterances(320, 8)
    more = cells.predict(table, seeds=1, seed=9)
    more = replace(more, table=more.table.assign(seed=2), by_layer=None)
    held_out = more.table.drop(columns="prediction").assign(fold="s0")
    made = cells.sections(table)
    made["cell"]["seeds"] = [2]
    whole = leaderboard.record(results, cells.measured(made, replace(more, held_out=held_out), table), record)
    assert whole.files.held_out.rows == record.files.held_out.rows + len(held_out)
    assert leaderboard.verify(results) == []


def test_predictions_without_probabilities_are_named(make, results):
    table = cells.utterances()
    predictions = cells.predict(table)
    bare = predictions.table[[c for c in predictions.table if not c.startswith("score:")]]
    leaderboard.record(results, cells.measured(cells.sections(table), replace(predictions, table=bare), table))
    tables, problems = view("calibration", results, leaderboard.load(results)[0])
    assert not tables and "hold no probabilities" in problems[0]


def test_joined_corpora_say_over_which_classes_probabilities_are(make, results):
    table = cells.utterances().assign(corpus="emodb")
    for corpora in ({}, {"emodb": list(cells.CLASSES)}):
        own = make(table=table, name=f"t{len(corpora)}", corpora=corpora)
        tables, _ = view("calibration", results, [own])
        assert any("joined corpora" in note for note in tables[0].notes) == bool(corpora)


def test_draws_of_different_numbers_of_seeds_hold_out_their_own(results):
    """Held-out answers have the seeds of the predictions that they correct, draw by draw."""
    table = cells.utterances()
    for draw, seeds in enumerate((3, 1)):
        made, predictions = cells.sections(table, upstream=f"random:fbank@{draw}"), cells.predict(table, seeds=seeds)
        made["cell"]["seeds"] = list(range(seeds))
        own = predictions.table.drop(columns="prediction")
        leaderboard.record(results, cells.measured(made, replace(predictions, held_out=own), table))
    records = [r.model_copy(update={"upstream": r.upstream.model_copy(update={"draw": i})})
               for i, r in enumerate(leaderboard.load(results)[0])]  # fmt: skip
    ((system,),) = systems(results, records, [])
    made, held = calibration.answers(system.table, system.record.task), calibration.held_out(results, system)
    assert np.bincount(held.seed).tolist() == np.bincount(made.seed).tolist() == [120] * 6
    for seed in range(6):
        own = [one.probabilities[one.seed == seed].sum(0) for one in (made, held)]
        assert own[0] == pytest.approx(own[1])
