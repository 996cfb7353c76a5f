"""The page as a file: whole, alone, and with nothing in it that could run or tell of this machine."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import leaderboard
from leaderboard import page
from leaderboard.__main__ import main
from leaderboard.plots.layers import by_layer
from tests.leaderboard import cells

FILES = Path(page.__file__).parent
HOSTILE = (
    "</script><script>evil=1</script><img src=x onerror=evil=1><!-- @script@ @packed@ & \u2028 \" ' `${evil=1}` 語"
)


class Reader(HTMLParser):
    """Scripts (attributes and text) and all other tags of a document."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append([dict(attributes), ""])

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1][1] += data

    def handle_endtag(self, tag):
        self.inside = False


def read(path: Path):
    """(summary, {id: what is packed}, reader) of a page."""
    reader = Reader(path.read_text(encoding="utf-8"))
    by_id = {attributes["id"]: text for attributes, text in reader.scripts if "id" in attributes}
    packed = {i: json.loads(gzip.decompress(base64.b64decode(text))) for i, text in by_id.items() if i != "summary"}
    return json.loads(by_id["summary"]), packed, reader


def made(results, **options):
    records, problems = leaderboard.load(results)
    path, more = page.write(results, records, damage=bool(problems), **options)
    return *read(path), more


def embedding(task="emodb", n=6, **changed):
    document = {
        "schema": 1, "task": task, "audit": "a" * 64,
        "panels": [{"upstream": HOSTILE, "layer": 1, "depth": 3, "space": "pooled",
                    "xy": [[i / n, (i * i) / n] for i in range(n)],
                    "metrics": {"emotion": {"purity": 0.5, "chance": 0.25, "silhouette": 0.1}}}],
        "points": {"utterance": [f"u{i}" for i in range(n)], "emotion": ["anger", "sadness"] * (n // 2),
                   "speaker": [HOSTILE, "s1"] * (n // 2), "gender": [None] * n},
        "settings": {"n_neighbors": 15, "seed": 0},
    }  # fmt: skip
    return document | changed


def embed(results, document, name="emodb.json"):
    (results / "umap").mkdir(parents=True, exist_ok=True)
    (results / "umap" / name).write_text(document if isinstance(document, str) else json.dumps(document))


def test_no_name_becomes_markup_and_every_name_arrives(make, results):
    make(upstream=HOSTILE, name=HOSTILE, title=HOSTILE, notes=[HOSTILE], marks=[HOSTILE], licence=HOSTILE,
         weights_licence=HOSTILE, language=HOSTILE, family=HOSTILE,
         classes=[*cells.CLASSES[:3], "sadness"])  # fmt: skip
    make()
    embed(results, embedding(panels=embedding()["panels"]))
    summary, packed, reader = made(results)[:3]
    own = Reader((FILES / "page.html").read_text(encoding="utf-8")).tags
    assert [tag for tag in reader.tags if tag != "script"] == [tag for tag in own if tag != "script"]
    assert len(reader.scripts) == 2 + len(packed) and "evil" not in reader.scripts[1][1]
    assert HOSTILE in {cell[0] for board in summary["boards"] for cell in board["cells"]}
    assert HOSTILE in {board["name"] for board in summary["boards"]} and HOSTILE in dict(summary["marks"])
    assert any(content["task"]["title"] == HOSTILE for i, content in packed.items() if i.startswith("details"))
    assert packed["umap-0"]["points"]["speaker"][0] == HOSTILE


def test_it_is_alone_and_lets_nothing_else_run(make, results):
    make()
    text = made(results)[2]
    path = results / page.NAME
    content = path.read_text()
    assert set(re.findall(r"https?://[^\s\"']+", content)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|img|iframe)|src=|@import|url\(", content)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', content)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    script = next(body for attributes, body in text.scripts if not attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy, "the page's own script runs"
    assert "/home/" not in content and str(results) not in content


def test_the_same_records_give_the_same_bytes(make, results, tmp_path):
    make()
    made(results)
    made(results, out=tmp_path / "again.html")
    assert (results / page.NAME).read_bytes() == (tmp_path / "again.html").read_bytes()


def test_figures_ranks_and_details_are_those_of_the_records(make, results):
    for i, upstream in enumerate(("bad", "fair", "good")):
        make(upstream=upstream, right=0.1 + 0.4 * i, seed=i, table=cells.utterances(400, 8))
    make(upstream="majority", head="reference", table=cells.utterances(400, 8), depth=None)
    for record in leaderboard.load(results)[0]:
        leaderboard.log_scoring(results, record)
    summary, packed, _, problems = made(results)
    (board,) = summary["boards"]
    assert problems == [] and board["opened"] == 3 and board["ranked"] == 3
    for row, details in zip(board["cells"], packed["details-0"]["cells"], strict=True):
        record = leaderboard.find(results, row[0], "emodb", details["cell"]["downstream"])
        score = record.scores.metrics["UA"]
        assert row[1:4] == pytest.approx([score.value, score.low, score.high], rel=1e-4)
        assert details["scores"]["confusion"] == record.scores.confusion
        assert [f["fold"] for f in details["scores"]["folds"]] == [f.fold for f in record.scores.folds]
    assert [row[0] for row in board["cells"]] == ["good", "fair", "bad", "majority"]
    assert [row[4] for row in board["cells"]] == [1, 2, 3, None] and board["cells"][3][7] == 1


def test_nobody_has_a_rank_where_no_two_can_be_told_apart(make, results):
    """Twelve alike on 10 speakers, and two that differ on 4: rank 1 for all would look like a finding."""
    for i in range(12):
        make(name="emodb", upstream=f"u{i}", right=0.5, seed=i, table=cells.utterances(300, 10))
    for i in range(2):
        make(name="savee", upstream=f"u{i}", right=0.3 + 0.6 * i, seed=i, table=cells.utterances(300, 4))
    alike, few = made(results)[0]["boards"]
    assert alike["significant"] == 0 and alike["pairs"] == 66 and alike["ranked"] == 12 and 0 < alike["needed"] < 40
    assert {tuple(row[4:6]) for row in alike["cells"]} == {(None, None)}
    assert few["significant"] == 0 and few["pairs"] == 1 and few["needed"] is None and few["smallest_p"] == 0.125
    assert few["detectable"] is None, "with 4 speakers no difference is found, however large"


def test_versions_of_a_task_stand_apart_and_under_names_of_their_own(make, results):
    make()
    make(upstream="mfcc", audit="b" * 64, version=2)
    summary, _, _, problems = made(results)
    assert len(problems) == 1 and "is in no mean over tasks" in problems[0]
    names = {board["name"] for board in summary["boards"]}
    assert names == {"emodb (version 1, audit aaaaaa)", "emodb (version 2, audit bbbbbb)"}
    assert all(len(board["cells"]) == 1 and board["ranked"] == 0 for board in summary["boards"])


def test_one_upstream_one_speaker_and_values_in_place_of_classes(make, results):
    make(table=cells.utterances(speakers=1))
    make(name="valence", kind="regression", depth=None)
    summary, _, _, problems = made(results)
    assert problems == []
    lone, values = sorted(summary["boards"], key=lambda board: board["name"])
    assert lone["cells"][0][1] is not None and lone["cells"][0][2:6] == [None] * 4
    assert values["metric"] == "CCC" and values["classes"] == 0


def test_points_look_as_in_the_pictures(make, results):
    from leaderboard.umap.looks import EMOTIONS

    make()
    make(name="gender:emodb")
    embed(results, embedding())
    embed(results, embedding("gender:emodb"), "gender.json")
    packed = made(results)[1]
    assert packed["umap-0"]["looks"]["emotion"] == [[name, *EMOTIONS[name]] for name in ("anger", "sadness")]
    assert packed["umap-0"]["looks"]["gender"] == [["unknown", "#d5d5d5", "o"]]
    assert [packed[f"umap-{i}"]["asked"] for i in (0, 1)] == ["emotion", "class"]
    script = (FILES / "umap.js").read_text(encoding="utf-8")
    assert all(f'case "{marker}"' in script for _, marker in EMOTIONS.values() if marker != "o")


def test_only_figures_alike_are_averaged(make, results):
    fewer = "anger+happiness+neutral"
    for name in ("emodb", "emovo", "transfer:emodb,emovo", "labels:emodb,anger+sadness", f"labels:emovo,{fewer}",
                 f"labels:emodb,{fewer}"):  # fmt: skip
        corpus = "emovo" if "emovo" in name else "emodb"
        for upstream in ("fbank", "mfcc"):
            make(name=name, corpus=corpus, family=corpus, upstream=upstream)
    summary = made(results)[0]
    families = {table["about"]: table["mean"] and table["mean"]["families"] for table in summary["tables"]}
    assert families == {
        "": {"emodb": ["emodb"], "emovo": ["emovo"]},
        "transfer": None,
        "labels anger+sadness": None,
        f"labels {fewer}": {"emodb": [f"labels:emodb,{fewer}"], "emovo": [f"labels:emovo,{fewer}"]},
    }


def test_what_is_damaged_is_named_and_the_rest_is_made(make, results, capsys):
    make()
    torn = make(upstream="mfcc")
    gone = make(upstream="prosody")
    parquet = results / "mfcc" / "emodb" / torn.files.predictions.name
    parquet.write_bytes(b"x" * torn.files.predictions.bytes)
    (results / "prosody" / "emodb" / gone.files.predictions.name).unlink()
    embed(results, embedding())
    embed(results, embedding(audit="c" * 64), "old.json")
    embed(results, "{", "torn.json")
    embed(results, embedding(points={"utterance": ["u0"]}), "short.json")
    embed(results, embedding(task="absent"), "absent.json")
    assert main(["page", "--results", str(results)]) == 1
    out, err = capsys.readouterr()
    assert out.strip() == str(results / page.NAME)
    for name in (parquet.name, gone.files.predictions.name, "torn.json", "short.json", "old.json"):
        assert name in err
    assert "6 points for 1 utterances" in err and "another version of emodb" in err and "absent.json" not in err
    summary, packed, _ = read(results / page.NAME)
    assert summary["umap"] == ["emodb · pooled"] and "umap-0" in packed and summary["damaged"]
    assert {row[0]: row[4] for row in summary["boards"][0]["cells"]} == {"fbank": None, "mfcc": None}


def test_a_choice_is_ranked_anew(make, results, tmp_path, capsys):
    for i, upstream in enumerate(("bad", "fair", "good")):
        make(upstream=upstream, right=0.1 + 0.4 * i, seed=i, table=cells.utterances(400, 8))
    out = tmp_path / "site" / "two.html"
    assert main(["page", "--results", str(results), "-u", "bad", "fair", "--out", str(out)]) == 0
    (board,) = read(out)[0]["boards"]
    assert [(row[0], row[4]) for row in board["cells"]] == [("fair", 1), ("bad", 2)]


def test_letters_can_be_read_in_both_themes():
    """Contrast of text on its ground: at least 4.5 (WCAG 2.2, AA)."""
    themes = re.findall(r":root[^{]*\{([^}]*)\}", (FILES / "page.css").read_text(encoding="utf-8"))
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", theme)) for theme in themes[:2])

    def luminance(colour):
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for theme in (light, dark):
        for ink, ground in (("ink", "paper"), ("quiet", "paper"), ("quiet", "panel"), ("warn", "paper"),
                            ("warn", "warn-paper"), ("accent", "paper"), ("ink", "panel")):  # fmt: skip
            low, high = sorted((luminance(theme[ink]), luminance(theme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_the_header_counts_what_was_measured_and_references_apart(make, results):
    make(upstream="fbank")
    make(upstream="fbank", head="superb")
    make(upstream="mfcc", name="gender:emodb")
    for name in ("emodb", "urdu"):
        make(upstream="majority", name=name, corpus=name, head="reference", depth=None)
    counts = made(results)[0]["counts"]
    assert counts == {"upstreams": 2, "tasks": 2, "corpora": 1, "cells": 3, "references": 2}


def test_figures_of_layers_have_the_intervals_of_the_pictures(make, results):
    record, _ = make(), make(upstream="mfcc", depth=None)
    shown = {row["cell"]["upstream"]: row for row in made(results)[1]["details-0"]["cells"]}
    assert shown["mfcc"]["layer_intervals"] is None
    drawn = by_layer(results, record)
    assert shown["fbank"]["scores"]["by_layer"] == pytest.approx(drawn[0], rel=1e-4)
    np.testing.assert_allclose(shown["fbank"]["layer_intervals"], drawn[1:].T, rtol=1e-4)
    assert np.isfinite(drawn).all()


def test_the_page_says_what_was_read_where_some_read_texts(make, results):
    make(upstream="fbank")
    assert made(results)[0]["inputs"] == []
    make(upstream="minilm", given="text (gold)")
    assert dict(made(results)[0]["inputs"]) == {"fbank": "speech", "minilm": "text (gold)"}
