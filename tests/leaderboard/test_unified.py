"""Cells of joined corpora: each corpus has figures of its own, and stands beside itself trained alone."""

import numpy as np
import pandas as pd
import pytest

import leaderboard
from commons.corridors.predictions import Further, Predictions
from commons.corridors.record import Task
from leaderboard.page import content
from leaderboard.plots import layers
from leaderboard.records.scoring import score
from leaderboard.records.verify import verify
from leaderboard.tables import view
from tests.leaderboard.cells import measured, predict, sections

CORPORA = {"emodb": ["anger", "boredom"], "emovo": ["anger", "surprise", "neutral"]}
CLASSES = sorted({name for own in CORPORA.values() for name in own})


@pytest.fixture(scope="module")
def table():
    rows = [
        {"speaker": f"{corpus}:{speaker}", "emotion": own[i % len(own)], "corpus": corpus}
        for corpus, own in CORPORA.items()
        for speaker in range(4)
        for i in range(12)
    ]
    return pd.DataFrame(rows, index=pd.Index([f"u{i}" for i in range(len(rows))], name="id"))


def answers(table, seed):
    """Half-right answers of two seeds, each among the classes of the utterance's corpus."""
    random = np.random.default_rng(seed)
    guess = [random.choice(CORPORA[corpus]) for corpus in table["corpus"]]
    own = np.where(random.random(len(table)) < 0.5, table["emotion"], guess)
    frame = pd.DataFrame({"id": table.index, "fold": table["speaker"], "target": table["emotion"], "prediction": own})
    return pd.concat([frame.assign(seed=s) for s in (0, 1)], ignore_index=True)


def record(results, table, kind, head="probe", upstream="fbank"):
    facts = {"classes": CLASSES, "corpora": CORPORA, "derived": kind, "aspect": kind, "base": "emodb,emovo"}
    made = sections(table, f"{kind}:emodb,emovo", upstream, head, **facts)
    predictions = Predictions(table=answers(table, len(kind)))
    return leaderboard.record(results, measured(made, predictions, table), None)


def test_figures_of_a_corpus_are_those_of_its_utterances_alone(tmp_path, table):
    whole = record(tmp_path, table, "unified")
    assert list(whole.scores.corpora) == list(CORPORA) and verify(tmp_path) == []
    stored = answers(table, len("unified")).set_index("id", drop=False)
    for corpus, classes in CORPORA.items():
        own = table[table["corpus"] == corpus]
        part = stored.loc[own.index].assign(group=lambda rows, own=own: own.loc[rows["id"], "speaker"].to_numpy())
        facts = whole.task.model_dump() | {"corpora": {}, "classes": classes, "folds": sorted(set(own["speaker"]))}
        alone = score(part.reset_index(drop=True), Task.model_validate(facts))
        assert whole.scores.corpora[corpus] == alone.metrics
        assert whole.scores.corpora[corpus]["UA"].low is not None


def test_chance_is_among_the_classes_of_the_own_corpus_everywhere(tmp_path, table):
    made = sections(table, "unified:emodb,emovo", **{"classes": CLASSES, "corpora": CORPORA, "derived": "unified"})
    predictions = predict(table, classes=tuple(CLASSES))
    whole = leaderboard.record(tmp_path, measured(made, predictions, table), None)
    _, (details,) = content.assemble([whole], {}, {}, {})
    assert details["task"]["chance"] == "33.3 to 50.0 by corpus"
    [(_, drawn)] = layers.layers(tmp_path, [whole], "page")
    lines = {float(line.get_ydata()[0]) for line in drawn.axes[0].lines if line.get_linestyle() == ":"}
    assert sorted(lines) == pytest.approx([100 / 3, 50.0])


def test_further_targets_have_figures_over_all_corpora(tmp_path, table):
    facts = {"classes": CLASSES, "corpora": CORPORA, "derived": "unified", "aspect": "unified", "base": "emodb,emovo"}
    sexes = answers(table, 0).assign(target="female", prediction="female")
    sexes.loc[::2, "target"] = "male"
    also = Further("gender", "classification", ("female", "male"), (), sexes)
    made = sections(table, "unified:emodb,emovo", "fbank", "speecheq", **facts)
    predictions = Predictions(table=answers(table, 0), further=(also,))
    whole = leaderboard.record(tmp_path, measured(made, predictions, table), None)
    assert whole.further["gender"].metrics["UA"].value == 50.0 and list(whole.scores.corpora) == list(CORPORA)
    assert verify(tmp_path) == []


def test_a_corpus_stands_beside_itself_trained_alone(tmp_path, table):
    records = [record(tmp_path, table, kind) for kind in ("unified", "alone")]
    records += [record(tmp_path, table, "alone", "reference", "majority")]
    tables, problems = view("unified", tmp_path, records)
    (shown,) = tables
    assert problems == [] and shown.rows == [*CORPORA, "all"]
    assert "an interpretation" not in shown.heading
    changed = {
        "downstream": records[0].downstream.model_copy(update={"interpretation": "an interpretation of a paper"})
    }
    assert "an interpretation" in view("unified", tmp_path, [records[0].model_copy(update=changed)])[0][0].heading
    assert shown.columns == ["unified", "alone", "majority, alone", "classes"]
    for corpus in CORPORA:
        for one, column in zip(records, shown.columns, strict=False):
            assert shown.cell(corpus, column).value == one.scores.corpora[corpus]["UA"].value
    assert shown.cell("all", "unified").value == records[0].scores.metrics["UA"].value
    assert shown.cell("emovo", "classes").text == "3"
