"""The figures of a record are scikit-learn's, scipy's and the definitions'."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import pearsonr
from sklearn import metrics as sk

import leaderboard
from commons.corridors.record import Record, Task
from commons.metrics import METRICS, recalls, sums
from leaderboard import LeaderboardError
from leaderboard.records.comparable import unit
from leaderboard.records.intervals import jackknife, shares
from leaderboard.records.record_store import checksum
from leaderboard.records.scoring import MOST, by_group, resampled, score
from tests.leaderboard import cells
from tests.leaderboard.cells import CLASSES
from tests.leaderboard.test_records import rewrite


def by_seed(results, record, figure):
    table = leaderboard.predictions(results, record)
    return np.mean([figure(rows.target, rows.prediction) for _, rows in table.groupby("seed")])


def test_classification_is_scikit_learns(make, results):
    record = make(seeds=3)
    expected = {
        "WA": sk.accuracy_score,
        "UA": sk.balanced_accuracy_score,
        "WF1": lambda t, p: sk.f1_score(t, p, average="weighted"),
        "macro_F1": lambda t, p: sk.f1_score(t, p, average="macro"),
    }
    assert set(record.scores.metrics) == set(expected)
    for name, figure in expected.items():
        assert record.scores.metrics[name].value == pytest.approx(100 * by_seed(results, record, figure)), name
        assert np.mean(record.scores.by_seed[name]) == pytest.approx(record.scores.metrics[name].value)
    for index, name in enumerate(CLASSES):
        recall = by_seed(results, record, lambda t, p, i=index: sk.recall_score(t, p, average=None)[i])
        assert record.scores.recall[name].value == pytest.approx(100 * recall)
    first = leaderboard.predictions(results, record).query("seed == 0")
    assert record.scores.confusion == sk.confusion_matrix(first.target, first.prediction).tolist()
    assert record.scores.counts.model_dump() == {"n": 120, "speakers": 6, "folds": 6, "seeds": 3, "groups": 6}


def test_the_recall_of_a_class_of_few_speakers_is_less_sure(make, results):
    """Its interval counts the speakers that have the class, not all."""
    table = cells.utterances(speakers=12)
    others = ~table["speaker"].isin(["s0", "s1", "s2", "s3", "s4"])
    table.loc[others & (table["emotion"] == "anger"), "emotion"] = "neutral"
    having = table.loc[table["emotion"] == "anger", "speaker"].nunique()
    record = make(table=table, right=0.3)
    counts = []
    for _, rows in leaderboard.predictions(results, record).groupby("seed"):
        group = rows["group"].str[1:].astype(int)
        target, prediction = (pd.Index(CLASSES).get_indexer(rows[name]) for name in ("target", "prediction"))
        counts.append(sums(target, prediction, group, n_groups=12, n_classes=4))
    held = counts[0].sum(-1)
    assert (held[:, 0] > 0).sum() == having < 12
    (_, low, high, _), (_, low_of_all, high_of_all, _) = (
        jackknife(np.stack(counts), recalls, (0.0, 1.0), carried) for carried in (held / held.sum(0), None)
    )
    recall = record.scores.recall["anger"]
    assert (recall.low, recall.high) == pytest.approx((100 * low[0], 100 * high[0]))
    assert low[0] < low_of_all[0] < high_of_all[0] < high[0]


def many_speakers(classes: int = 100, n: int = 1200) -> tuple[pd.DataFrame, Task]:
    """Two seeds of answers of a control task that asks who speaks; every utterance is a group."""
    random, ids = np.random.default_rng(0), [f"u{i}" for i in range(n)]
    names, target = np.array([f"c{i:03}" for i in range(classes)]), np.arange(n) % classes
    parts = []
    for seed in range(2):
        guess = np.where(random.random(n) < 0.6, target, random.integers(0, classes, n))
        own = {"id": ids, "group": ids, "fold": "a", "target": names[target], "prediction": names[guess]}
        parts.append(pd.DataFrame(own).assign(seed=seed))
    asked = cells.sections(cells.utterances(), classes=list(names), group_by="utterance", folds=["a"])
    return pd.concat(parts), Task.model_validate(asked["task"])


def test_utterances_of_many_classes_are_dealt_into_blocks():
    """Their statistics are bounded; figures stay, and the order of the rows does not matter."""
    table, task = many_speakers()
    statistics, names = by_group(table, task)
    assert statistics[0].size <= MOST and 400 < len(names) <= MOST // 100**2
    shuffled, again = by_group(table.sample(frac=1, random_state=1), task)
    assert names == again and np.array_equal(statistics, shuffled)
    made = score(table, task)
    assert made.counts.groups == len(names) and made.counts.n == 1200
    record = Record.model_construct(task=task, scores=made)
    assert unit(record) == "utterance block"
    value = np.mean([sk.balanced_accuracy_score(t.target, t.prediction) for _, t in table.groupby("seed")])
    assert made.metrics["UA"].value == pytest.approx(100 * value)
    _, low, high, _ = jackknife(statistics, METRICS["WA"], (0.0, 100.0), shares(statistics[0], METRICS["WA"]))
    wa = made.metrics["WA"]
    assert (wa.low, wa.high) == pytest.approx((float(low), float(high)))
    p = wa.value / 100
    assert (wa.high - wa.low) / 4 == pytest.approx(100 * (p * (1 - p) / 1200) ** 0.5, rel=0.35)  # as of utterances


def test_blocks_are_at_least_thirty_and_of_utterances_alone():
    table, task = many_speakers(classes=10, n=60)
    assert by_group(table, task)[1] == sorted(table["id"].unique())  # small: as before
    wide = task.model_copy(update={"classes": [f"c{i:03}" for i in range(1000)]})
    blocks = resampled(table["group"], wide)
    assert 20 < blocks.nunique() <= 30 and set(blocks) <= {f"block {i} of 30" for i in range(30)}
    assert resampled(table["group"], wide.model_copy(update={"group_by": "speaker"})).nunique() == 60


def test_regression_is_scipys(make, results):
    record = make(kind="regression")
    expected = {"Pearson": lambda t, p: pearsonr(t, p)[0], "MAE": sk.mean_absolute_error}
    for name, figure in expected.items():
        assert record.scores.metrics[name].value == pytest.approx(by_seed(results, record, figure)), name
    assert record.scores.recall == {} and record.scores.confusion is None and record.scores.WA_folds is None


def test_folds_alone_and_their_mean(make, results):
    record = make()
    table = leaderboard.predictions(results, record)
    means = []
    for fold in record.scores.folds:
        rows = table[table["fold"] == fold.fold]
        means.append(100 * np.mean(rows.target == rows.prediction))
        assert fold.n == len(rows) / 2 and fold.metrics["WA"] == pytest.approx(means[-1])
    assert record.scores.WA_folds == pytest.approx(np.mean(means))


def test_a_fold_without_a_class_has_no_ua(make):
    table = cells.utterances()
    table.loc[(table["speaker"] == "s0") & (table["emotion"] == "anger"), "emotion"] = "neutral"
    fold = make(table=table).scores.folds[0]
    assert fold.classes_in_test == 3 and fold.metrics["UA"] is None and fold.metrics["WA"] is not None


def test_pooled_only_gives_no_fold_figures(make):
    scores = make(pooled_only=True).scores
    assert scores.WA_folds is None and all(fold.metrics is None and fold.n for fold in scores.folds)
    assert scores.metrics["UA"].value is not None


def test_layers_are_scored_on_the_first_seed(results):
    table = cells.utterances()
    predictions = cells.predict(table)
    record = leaderboard.record(results, cells.measured(cells.sections(table), predictions, table))
    target = table["emotion"]
    for layer, codes in enumerate(predictions.by_layer):
        expected = 100 * sk.balanced_accuracy_score(target, np.array(CLASSES)[codes])
        assert record.scores.by_layer[layer] == pytest.approx(expected)
    assert record.scores.last_layer["UA"] == record.scores.by_layer[-1]
    assert record.chosen.dev_by_layer == pytest.approx(predictions.dev_by_layer.mean(0).tolist())
    assert record.chosen.layer == 1 and record.chosen.folds[0]["layer"] == 1


def test_marks_are_a_union_with_contamination(make):
    assert make(marks=["partial"], head_marks=("edge",), seen={"emodb": "labels"}).marks == [
        "contaminated:labels",
        "edge",
        "partial",
    ]
    assert make(seen={"ravdess": "audio"}).marks == []
    assert make(seen={"ravdess": "audio"}, corpus="ravdess_song", family="ravdess").marks == ["contaminated:audio"]
    song = {"corpus": "ravdess_song", "family": "ryerson", "corpora_of_family": ["ravdess", "ravdess_song"]}
    assert make(seen={"RAVDESS": "audio"}, **song).marks == ["contaminated:audio"], "of one family, in any case"
    assert make(seen="unknown").marks == ["seen:unknown"]


def broken(change):
    table = cells.utterances()
    predictions, made = cells.predict(table), cells.sections(table)
    change(predictions.table, made)
    return cells.measured(made, predictions, table)


WRONG = {
    "class": (lambda t, m: t.__setitem__("prediction", "joy"), "'joy'"),
    "id": (lambda t, m: t.__setitem__("id", "u" + t["id"]), "no id of the utterances"),
    "twice": (lambda t, m: t.__setitem__("seed", 0), "tested twice"),
    "other utterances": (lambda t, m: t.__setitem__("seed", range(len(t))), "different utterances"),
    "no target": (lambda t, m: t.__setitem__("target", None), "empty values in target"),
    "fold": (lambda t, m: m["task"].__setitem__("folds", ["s0"]), "the fold 's1'"),
    "metric": (lambda t, m: m["task"].__setitem__("headline", "CCC"), "no metric of classification"),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_in_words(results, change, words):
    with pytest.raises(LeaderboardError, match=words):
        leaderboard.record(results, broken(change))
    assert not list(results.rglob("*")), "nothing is written"


@pytest.mark.parametrize("change", [lambda m: m["run"].update(host="here"), lambda m: m["task"].pop("audit")])
def test_a_section_with_an_unknown_key_or_without_one_is_refused(change):
    with pytest.raises(ValidationError, match=r"host|audit"):
        broken(lambda table, made: change(made))


@pytest.mark.parametrize(("metrics", "there"), [(["CCC", "MAE"], False), (["MAE", "Acc7"], True)])
def test_metrics_of_sentiment_are_computed_only_where_a_task_names_them(make, metrics, there):
    scored = make(kind="regression", metrics=metrics, headline="MAE").scores.metrics
    assert ("Acc7" in scored) == there and "Acc2_nonneg" not in scored and {"CCC", "Pearson", "MAE"} <= set(scored)


def test_verify_takes_the_pearson_of_a_constant_as_earlier_versions_recorded_it(make, results):
    """They recorded the rounding error of a constant, some 1e-8, where now is nothing; any other figure is wrong."""
    record = make(kind="regression", headline="CCC", metrics=["CCC", "Pearson"], depth=None)
    rewrite(results, record, lambda table: table.__setitem__("prediction", 0.1))
    path = results / "fbank" / "emodb" / "probe.json"
    forged = json.loads(path.read_text())
    table = pd.read_parquet(path.parent / forged["files"]["predictions"]["name"])
    forged["scores"] = json.loads(score(table, record.task).model_dump_json())
    assert forged["scores"]["metrics"]["Pearson"]["value"] is None
    for value, fits in ((None, True), (-3e-9, True), (0.2, False)):
        forged["scores"]["metrics"]["Pearson"] |= {"value": value, "low": value, "high": value}
        forged["scores"]["by_seed"]["Pearson"] = [value] * 2
        path.write_text(json.dumps(forged | {"checksum": checksum(json.dumps(forged))}))
        assert (leaderboard.verify(results) == []) == fits, leaderboard.verify(results)
