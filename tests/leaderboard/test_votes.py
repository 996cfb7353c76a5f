"""Cells of votes: recorded, verified, compared, and shown by how much annotators agree."""

import numpy as np
import pandas as pd
import pytest

import leaderboard
from commons.corridors.predictions import Predictions
from commons.metrics import METRICS
from leaderboard.errors import LeaderboardError
from leaderboard.tables import rankings, view
from tests.leaderboard.cells import CLASSES, measured, sections, utterances

NAMES = ["JS", "KL", "cosine", "votes_Brier", "threshold_F1", "WA", "UA", "macro_F1"]


def record(results, upstream="fbank", near=0.5, drop=()):
    """A cell whose probabilities are the votes mixed with others; a third of the utterances has votes for one class."""
    random, table = np.random.default_rng(0), utterances(160, 8)
    votes = random.dirichlet(np.ones(4), len(table))
    votes[::3] = np.eye(4)[random.integers(0, 4, len(votes[::3]))]
    table = table.assign(**{f"votes:{name}": votes[:, i] for i, name in enumerate(CLASSES)}).drop(columns=list(drop))
    names = np.array(CLASSES, dtype=object)
    scores = (near * votes + (1 - near) * random.dirichlet(np.ones(4), len(table))).astype(np.float32)
    frame = pd.DataFrame({"id": table.index, "fold": table["speaker"].to_numpy(), "seed": 0,
                          "target": names[votes.argmax(1)], "prediction": names[scores.argmax(1)]})  # fmt: skip
    frame = frame.assign(**{f"score:{name}": scores[:, i] for i, name in enumerate(CLASSES)})
    made = sections(table, "votes:emodb", upstream, kind="distribution", metrics=NAMES, headline="JS", derived="votes",
                    aspect="votes", base="emodb")  # fmt: skip
    made["cell"]["seeds"] = [0]
    by_layer = np.stack([scores.argmax(1).astype(np.int16)] * 2)
    return leaderboard.record(results, measured(made, Predictions(frame, by_layer=by_layer), table))


def test_votes_are_scored_kept_verified_and_compared(results):
    near, far = record(results, "near", 0.9), record(results, "far", 0.1)
    assert leaderboard.verify(results) == []
    for name in NAMES:
        one, two = (r.scores.metrics[name].value for r in (near, far))
        assert (one > two) == METRICS[name].higher_is_better, name
    score = near.scores.metrics["JS"]
    assert score.low < score.value < score.high and near.scores.by_layer is None
    tables, problems = rankings.rankings(results, leaderboard.load(results)[0])
    assert not problems and tables[0].rows[0] == "near"
    assert leaderboard.csv(results).read_text().splitlines()[0].count("votes_Brier") >= 1


def test_strata_of_agreement_are_of_all_utterances(results):
    made = record(results, near=0.9)
    (table,), problems = view("agreement", results, leaderboard.load(results)[0])
    sizes = [int(part.split()[-1]) for part in table.facts[1].split(": ")[1].split(";")[0].split(", ")]
    assert not problems and sum(sizes) == made.scores.counts.n and sizes[0] == 54
    sure, unsure = (table.cells["fbank", f"{name} · top-1"].value for name in ("all agree", "no majority"))
    assert sure > unsure


def test_predictions_without_votes_are_refused(results):
    with pytest.raises(LeaderboardError, match="the table lacks votes:anger"):
        record(results, drop=["votes:anger"])
