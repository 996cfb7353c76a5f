"""Where people read stands an upstream's label; options, files and the CSV keep to its name."""

import csv
import re

import pytest
from matplotlib.text import Text

import leaderboard
from leaderboard import plots
from leaderboard.__main__ import main
from leaderboard.records.display_names import names
from leaderboard.tables import VIEWS
from leaderboard.umap import embedding
from leaderboard.umap.points import gather

LABEL = "emotion2vec-small (ours, 10 h)"
BARE = re.compile(r"emotion2vec(?!-small)")


@pytest.fixture
def labelled(make, results):
    """Two upstreams on two tasks, one with a label, and what pivots and pictures of derived tasks want."""
    derived = (f"shots:{kind}" for kind in ("emodb,1", "emodb,4"))
    for name in ("emodb", "emovo", "transfer:emodb,emovo", *derived):
        corpus = name.rpartition(",")[2] if "," in name and "shots" not in name else name.removeprefix("shots:")[:5]
        for i, upstream in enumerate(("fbank", "emotion2vec")):
            make(upstream=upstream, right=0.3 + 0.4 * i, seed=i, label=LABEL if i else None, name=name, corpus=corpus,
                 family=corpus)  # fmt: skip
    make(upstream="emotion2vec:ablation/none", label=None)
    return results


PRINTED = [["table"], ["compare"], ["compare", "--pairs"], ["compare", "fbank", "emotion2vec"],
           *(["table", "--format", form] for form in ("markdown", "latex")),
           *(["table", "--by", by, "--format", "markdown"] for by in VIEWS
             if by not in ("pairs", "unified", "agreement", "robustness"))]  # fmt: skip


@pytest.mark.parametrize("command", PRINTED, ids=" ".join)
def test_what_is_printed_shows_the_label(labelled, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main([*command, "--results", str(labelled)])
    out = capsys.readouterr().out
    assert LABEL in out
    rows = [line for line in out.splitlines() if "ablation" not in line]
    shown = re.sub(r" -u [^-]+", " ", "\n".join(rows))  # of a command, which keeps to the names
    assert not BARE.search(shown), shown[max(0, BARE.search(shown).start() - 200) :][:300]


@pytest.mark.parametrize("kind", ["bars", "heatmap", "ranks", "layers", "confusion", "transfer", "shots"])
def test_pictures_show_the_label(labelled, kind):
    figures = [drawn for _, drawn in plots.draw(labelled, leaderboard.load(labelled)[0], kind, "page")]
    shown = [text.get_text() for drawn in figures for text in drawn.findobj(Text)]
    assert LABEL in shown and "emotion2vec" not in shown


def test_options_files_and_the_csv_keep_to_the_name(labelled, capsys):
    assert main(["table", "-u", "emotion2vec", "-t", "emodb", "--results", str(labelled)]) == 0
    assert main(["table", "-u", LABEL, "--results", str(labelled)]) == 2
    with leaderboard.csv(labelled).open(newline="") as stream:
        called = {row["upstream"]: row["label"] for row in csv.DictReader(stream)}
    assert called["emotion2vec"] == LABEL, "the name, and in a column of its own what tables call it"
    assert leaderboard.find(labelled, "emotion2vec", "emodb", "probe").upstream.label == LABEL


def test_two_of_one_label_stay_two(make, results):
    make(upstream="emotion2vec", label=LABEL)
    make(upstream="emotion2vec@runs/again", label=LABEL, right=0.9)
    records = leaderboard.load(results)[0]
    assert leaderboard.markdown(records).count(f"| {LABEL} |") == 2
    assert names(records) == {"emotion2vec": LABEL, "emotion2vec@runs/again": LABEL}


def test_a_cell_older_than_the_label_lends_its_upstream_no_second_name(make, results):
    make(upstream="emotion2vec", label=LABEL, name="emodb")
    make(upstream="emotion2vec", name="urdu")
    assert names(leaderboard.load(results)[0]) == {"emotion2vec": LABEL}


def test_a_umap_panel_is_called_by_the_label(labelled, flat):
    records = [leaderboard.find(labelled, "emotion2vec", "emodb", "probe")]
    (points,) = gather(labelled, records, ["emotion2vec"], None, 0, [])
    (panel,) = embedding.embed(points, 15, 0)["panels"]
    assert (panel["upstream"], panel["label"]) == ("emotion2vec", LABEL)
