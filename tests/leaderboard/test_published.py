"""Figures of papers stand beside the upstream that they are of, and say what their model had seen."""

from __future__ import annotations

import csv

import leaderboard
from leaderboard import published
from leaderboard.page import content
from leaderboard.tables import latex, views
from leaderboard.tables.results import tables
from tests.leaderboard.test_tables import printed

FIGURES = [
    {"upstream": name, "metric": "UA", "value": value, "head": "superb", "source": "A paper (2024), table 2",
     "matches": True}
    for name, value in (("emotion2vec", 71.79), ("npc", 59.08), ("hubert_base", 64.92), ("data2vec2_base", 68.58))
]  # fmt: skip
OURS = "emotion2vec-small (ours, 10 h)"


def board(make):
    shared = {"name": "iemocap", "corpus": "iemocap", "family": "iemocap", "published": FIGURES}
    make(upstream="emotion2vec", label=OURS, seed=3, **shared)
    for i, name in enumerate(("emotion2vec_base", "s3prl:npc", "s3prl:hubert_base", "hf:facebook/hubert-base-ls960")):
        make(upstream=name, seed=4 + i, **shared)


def test_the_papers_figure_goes_to_its_model_and_never_to_ours(make, results):
    board(make)
    records = leaderboard.load(results)[0]
    shown = tables(records)[0]
    beside = {shown.name(row): shown.cell(row, "published UA").shown for row in shown.rows}
    assert beside == {
        OURS: "",
        "emotion2vec_base": "71.8 (superb, contaminated:audio)",
        "s3prl:npc": "59.1 (superb)",
        "s3prl:hubert_base": "64.9 (superb)",
        "hf:facebook/hubert-base-ls960": "64.9 (superb)",
    }
    table = views.by_metric(results, records)[0][0]
    assert {row for row, column in table.cells if column == "published"} == set(beside) - {OURS}
    notes = [mark for mark in table.letters() if "contaminated:audio" in mark]
    assert len(notes) == 1 and "trained on audio of this corpus" in notes[0]
    assert "contaminated:audio" in latex.latex([table]) and table.cells["emotion2vec_base", "published"].value == 71.79


def test_the_list_of_figures_calls_models_as_the_rows_and_marks_the_contaminated(make, results):
    board(make)
    text = " ".join(printed(leaderboard.load(results)[0], 400).split())
    assert "emotion2vec_base 71.8 (contaminated:audio), s3prl:npc 59.1, hubert_base 64.9, data2vec2_base 68.6" in text


def test_the_page_gets_the_upstreams_of_every_figure(make, results):
    board(make)
    _, details, _ = content.collect(results, leaderboard.load(results)[0])
    rows = {row["called"]: row for row in details[0]["task"]["published"]}
    assert rows["emotion2vec_base"]["upstreams"] == ["emotion2vec_base"]
    assert rows["emotion2vec_base"]["contaminated"] == "contaminated:audio" and not rows["s3prl:npc"]["contaminated"]
    assert rows["data2vec2_base"]["upstreams"] == []


def test_speakers_of_another_corpus_of_the_family_count_as_seen(make):
    record = make(name="x", corpus="x", family="iemocap", corpora_of_family=["iemocap", "x"], published=FIGURES)
    assert published.contaminated(record.task.published[0], record.task) == "contaminated:audio"
    assert published.contaminated(record.task.published[1], record.task) == ""


def test_the_csv_says_what_tables_call_an_upstream(make, results):
    board(make)
    with leaderboard.csv(results).open(newline="") as stream:
        rows = {row["upstream"]: row for row in csv.DictReader(stream)}
    assert rows["emotion2vec"]["label"] == OURS and rows["s3prl:npc"]["label"] == "s3prl:npc"
