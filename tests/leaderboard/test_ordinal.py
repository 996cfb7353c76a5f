"""Cells of levels: recorded, verified, compared and shown, with the share of pairs of each emotion."""

import numpy as np
import pandas as pd
import pytest

import leaderboard
from commons.corridors.predictions import Predictions
from leaderboard import imported
from leaderboard.comparison.answers import answers
from leaderboard.errors import LeaderboardError
from leaderboard.records.verify import verify
from leaderboard.tables import VIEWS, view
from tests.leaderboard.cells import measured, sections

LEVELS = ("low", "high")
EMOTIONS = ("anger", "sadness")
PAIRS = ["speaker", "sentence", "emotion"]


def utterances():
    """Six speakers say four sentences in two emotions at two levels."""
    rows = [
        {"speaker": f"s{s}", "sentence": str(n), "emotion": emotion, "intensity": level}
        for s in range(6)
        for n in range(4)
        for emotion in EMOTIONS
        for level in LEVELS
    ]
    return pd.DataFrame(rows, index=pd.Index([f"u{i}" for i in range(len(rows))], name="id"))


def answered(table, right, seeds=2):
    """Predictions that know anger's level with probability `right`, and nothing of sadness's."""
    random = np.random.default_rng(0)
    frames = []
    for seed in range(seeds):
        high = (table["intensity"] == "high").to_numpy()
        knows = (table["emotion"] == "anger").to_numpy() & (random.random(len(table)) < right)
        share = np.where(knows, np.where(high, 0.9, 0.1), random.random(len(table))).astype(np.float32)
        frame = pd.DataFrame({"id": table.index, "fold": table["speaker"].to_numpy(), "seed": seed})
        frame["target"], frame["prediction"] = table["intensity"].to_numpy(), np.where(share > 0.5, "high", "low")
        frames.append(frame.assign(**{"score:low": 1 - share, "score:high": share}))
    by_layer = np.stack([(share > 0.5).astype(np.int16)] * 2) if seeds == 1 else None
    return Predictions(pd.concat(frames, ignore_index=True), by_layer=by_layer)


def record(results, upstream="fbank", right=1.0, seeds=2, drop=()):
    table = utterances()
    made = sections(
        table, "cafe_intensity", upstream, kind="ordinal", classes=list(LEVELS), levels=[0.5, 1.0], pairs=PAIRS,
        metrics=["UA", "level_MAE", "Spearman", "pairs"],
    )  # fmt: skip
    made["cell"]["seeds"] = list(range(seeds))
    predictions = answered(table, right, seeds)
    return leaderboard.record(
        results, measured(made, Predictions(predictions.table.drop(columns=list(drop)), predictions.by_layer), table)
    )


def test_a_cell_of_levels_has_its_figures_and_pairs_by_emotion(tmp_path):
    made = record(tmp_path)
    assert {
        "UA",
        "WA",
        "level_MAE",
        "Spearman",
        "pairs",
    } <= made.scores.metrics.keys() and "MAE" not in made.scores.metrics
    assert made.scores.pairs["anger"].value == 100 and set(made.scores.pairs) == set(EMOTIONS)
    whole = [score.value for score in made.scores.pairs.values()]
    assert made.scores.metrics["pairs"].value == pytest.approx(np.mean(whole))
    assert made.scores.metrics["pairs"].low < made.scores.metrics["pairs"].value < made.scores.metrics["pairs"].high
    assert made.scores.pairs["sadness"].low is not None
    assert np.sum(made.scores.confusion) == len(utterances())
    assert verify(tmp_path) == []


def test_single_layers_have_figures_of_classes_alone(tmp_path):
    made = record(tmp_path, seeds=1)
    assert made.scores.last_layer["UA"] == made.scores.metrics["UA"].value
    assert made.scores.last_layer["pairs"] is None and len(made.scores.by_layer) == 2
    assert verify(tmp_path) == []


@pytest.mark.parametrize("column", ["score:high", "target"])
def test_predictions_without_a_column_that_figures_of_levels_need_are_refused(tmp_path, column):
    with pytest.raises(LeaderboardError, match=f"lacks {column}"):
        record(tmp_path, drop=[column])


def test_cells_of_levels_are_compared_on_the_same_utterances(tmp_path):
    records = [record(tmp_path, "fbank"), record(tmp_path, "mfcc", right=0.2)]
    ((first, second),), problems = answers(tmp_path, records)
    assert problems == [] and first.upstream == "fbank" and second.upstream == "mfcc"
    for metric in ("UA", "pairs", "Spearman"):
        assert records[0].scores.metrics[metric].value > records[1].scores.metrics[metric].value


@pytest.mark.parametrize("by", VIEWS)
def test_every_view_takes_cells_of_levels(tmp_path, by):
    tables, problems = view(by, tmp_path, [record(tmp_path), record(tmp_path, "mfcc", 0.5)])
    assert problems == []
    if by == "pairs":
        assert tables[0].columns == [*EMOTIONS, "all"] and set(tables[0].rows) == {"fbank", "mfcc"}


def test_imported_predictions_of_levels_need_scores(tmp_path):
    results, file = tmp_path / "results", tmp_path / "mine.csv"
    record(results)
    table = answered(utterances(), 0.5, seeds=1).table
    table[["id", "prediction"]].to_csv(file, index=False)
    records, _ = leaderboard.load(results)
    arguments = {"name": "mine", "task": "cafe_intensity"}
    with pytest.raises(LeaderboardError, match="lacks score:low, score:high"):
        imported.import_predictions(results, records, file, **arguments)
    table[["id", "score:low", "score:high"]].to_csv(file, index=False)
    imported.import_predictions(results, records, file, **arguments)
    assert verify(results) == []
