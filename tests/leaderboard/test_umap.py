"""UMAP pictures: what they show is aligned, the same each time, and measured in the features themselves."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from leaderboard.__main__ import main
from leaderboard.plots import style
from leaderboard.records import parquet
from leaderboard.umap import embedding
from leaderboard.umap.drawing import ACROSS, caption, scatter
from leaderboard.umap.looks import DISTINCT, EMOTIONS, UNKNOWN, looks
from leaderboard.umap.points import sample
from leaderboard.umap.separation import distances, separation, standardised
from tests.leaderboard import cells
from tests.leaderboard.test_plots import cut_or_overlapping

NOTHING = dict.fromkeys(("purity", "chance", "purity_others", "chance_others", "silhouette"))
DEFINITIONS = cells.ROOT / "tasks" / "definitions"
HOSTILE = ("</script><b>&", "$x_1$ \\alpha {", "\x1b[31mred\nline", "日本語")


def clusters(table, width=8):
    """Features in which classes lie apart, (rows, width) float16."""
    random = np.random.default_rng(0)
    centres = {name: random.normal(size=width) * 3 for name in sorted(set(table["emotion"]))}
    own = np.stack([centres[name] for name in table["emotion"]])
    return (own + random.normal(size=own.shape)).astype(np.float16)


def umap(results, *arguments):
    return main(["umap", "--results", str(results), *map(str, arguments)])


def document(results, name="emodb"):
    return json.loads((results / "umap" / f"{name}.json").read_bytes())


def drawing(panels=3, n=90, classes=cells.CLASSES, speakers=6):
    """A document as `embed` makes it."""
    random = np.random.default_rng(0)
    measures = {"purity": 0.434, "chance": 0.25, "silhouette": -0.001}
    of_emotion = measures | {"purity_others": 0.313, "chance_others": 0.24}
    return {
        "schema": 1, "task": "emodb", "downstream": "probe",
        "panels": [
            {"upstream": f"u{i}", "label": f"hf:somebody/model-with-a-rather-long-name-{i}", "layer": 23, "depth": 25,
             "space": "pooled", "xy": random.normal(size=(n, 2)).tolist(),
             "metrics": {"emotion": of_emotion, "speaker": measures}}
            for i in range(panels)
        ],
        "points": {
            "utterance": [f"u{i}" for i in range(n)], "emotion": [classes[i % len(classes)] for i in range(n)],
            "speaker": [f"s{i % speakers}" for i in range(n)],
            "gender": [None if i % 3 else "female" for i in range(n)],
        },
        "settings": {"n_neighbors": 15, "min_dist": 0.1, "seed": 0, "k": 10, "utterances": 100000,
                     "umap-learn": "0.5.12"},
    }  # fmt: skip


@pytest.mark.parametrize("turn", [[[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0.6, -0.8], [0.8, 0.6]]])
def test_panels_are_aligned_by_turning_mirroring_moving_and_scaling(turn):
    points = np.random.default_rng(0).normal(size=(50, 2)) * [3, 1]
    first, second = embedding.aligned([points, 7 * points @ np.array(turn) + [100, -5]])
    assert second == pytest.approx(first)
    assert (first**2).sum(1).mean() == pytest.approx(1)
    assert first[:, 0].std() > first[:, 1].std(), "the longer axis lies across"
    apart, before = distances(first), distances(points)
    assert apart / apart.max() == pytest.approx(before / before.max()), "no relation between points is changed"


def test_identical_points_are_aligned_without_a_warning(recwarn):
    panels = embedding.aligned([np.ones((5, 2)), np.arange(10.0).reshape(5, 2)])
    assert np.isfinite(panels).all() and not recwarn.list


def test_a_speakers_own_utterances_are_no_evidence_of_emotion():
    """Speakers lie apart and speak mostly one emotion each; across speakers the features know nothing."""
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(24), 30)
    labels = np.where(random.random(720) < 0.8, who % 4, random.integers(0, 4, 720)).astype(str).astype(object)
    space = 10 * random.normal(size=(24, 16))[who] + random.normal(size=(720, 16))
    measures = separation(distances(space), labels, who.astype(str).astype(object))
    assert measures["purity"] > 0.6 and measures["purity_others"] == pytest.approx(measures["chance_others"], abs=0.1)
    apart, near = distances(space), []
    for i in range(720):
        others = np.flatnonzero(who != who[i])
        near.append((labels[others[np.argsort(apart[i, others], kind="stable")[:10]]] == labels[i]).mean())
    assert measures["purity_others"] == pytest.approx(np.mean(near), abs=1e-4)
    share = [(labels[who != who[i]] == labels[i]).mean() for i in range(720)]
    assert measures["chance_others"] == pytest.approx(np.mean(share), abs=1e-4)
    alone = separation(apart, labels, np.full(720, "s", dtype=object))
    assert alone["purity_others"] is None and alone["purity"] == measures["purity"]


@pytest.mark.parametrize("k", [1, 10, 500])
def test_purity_and_silhouette_are_scikit_learns(k):
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import NearestNeighbors

    table = cells.utterances(200)
    labels = table["emotion"].to_numpy(dtype=object)
    space = standardised(clusters(table) * np.float16(0.2))
    measures = separation(distances(space), labels, k=k)
    near = NearestNeighbors(n_neighbors=min(k, 199)).fit(space).kneighbors(return_distance=False)
    assert measures["purity"] == pytest.approx((labels[near] == labels[:, None]).mean(), abs=1e-4)
    assert measures["silhouette"] == pytest.approx(silhouette_score(space, labels), abs=1e-4)
    same = [labels[i] == labels[j] for i in range(200) for j in range(200) if i != j]
    assert measures["chance"] == pytest.approx(np.mean(same), abs=1e-4)
    if k == 500:
        assert measures["purity"] == measures["chance"], "with all points as neighbours it is chance"


def test_random_labels_are_as_pure_as_chance():
    space = np.random.default_rng(0).normal(size=(600, 5))
    labels = np.random.default_rng(1).choice(np.array(["a", "b", "b"], dtype=object), 600)
    measures = separation(distances(space), labels)
    assert measures["purity"] == pytest.approx(measures["chance"], abs=0.02)


def test_what_is_undefined_is_none_and_unknown_labels_are_left_out():
    apart = distances(np.random.default_rng(0).normal(size=(6, 3)))
    none, one = np.array([None] * 6, dtype=object), np.array(["a"] * 6, dtype=object)
    assert separation(apart, none) == NOTHING
    assert separation(apart, one) == NOTHING | {"purity": 1, "chance": 1}
    each = np.array(list("abcdef"), dtype=object)
    assert separation(apart, each) == NOTHING | {"purity": 0, "chance": 0}
    some = np.array(["a", "b", None, "a", "b", None], dtype=object)
    kept = [0, 1, 3, 4]
    assert separation(apart, some) == separation(apart[np.ix_(kept, kept)], some[kept])


def test_columns_are_standardised_and_constant_ones_say_nothing():
    space = standardised(np.array([[1, 5], [3, 5], [5, 5]], dtype=np.float16))
    assert space[:, 0].std() == pytest.approx(1) and (space[:, 1] == 0).all()


def test_a_sample_is_stratified_and_the_same_each_time():
    labels = np.array(["common"] * 900 + ["rare"] * 100, dtype=object)
    np.random.default_rng(0).shuffle(labels)
    chosen = sample(labels, 200, 0)
    assert len(set(chosen)) == 200 and abs((labels[chosen] == "rare").sum() - 20) <= 1
    assert (chosen == sample(labels, 200, 0)).all() and (chosen != sample(labels, 200, 1)).any()
    assert (sample(labels, 1000, 0) == np.arange(1000)).all()


def test_large_corpora_are_sampled_alike_for_all_and_it_is_said(make, results, flat, monkeypatch):
    monkeypatch.setattr("leaderboard.umap.points.MOST", 40)
    for upstream in ("fbank", "mfcc"):
        make(upstream=upstream)
    assert umap(results, "--width", "page") == 0
    made = document(results)
    assert len(made["points"]["utterance"]) == 40 and made["settings"]["utterances"] == 120
    assert made["panels"][0]["xy"] == made["panels"][1]["xy"], "the same vectors, the same utterances"
    with style.styled():
        (drawn,) = scatter(made, "emotion", "page")
    assert "40 of 120" in drawn.legends[0].get_title().get_text()


@pytest.mark.parametrize("path", sorted(DEFINITIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_class_of_every_task_has_a_look_of_its_own(path):
    labels = list(yaml.safe_load(path.read_text()).get("labels") or {})
    assert set(labels) <= set(EMOTIONS), "give it a colour by its arousal"
    assert len(set(looks(labels).values())) == len(labels)


def test_high_arousal_is_blue_and_low_is_red():
    blue = [EMOTIONS[label][0] for label in ("anger", "fear", "happiness", "surprise", "excitement")]
    red = [EMOTIONS[label][0] for label in ("sadness", "boredom", "calm")]
    assert all(int(colour[5:], 16) > int(colour[1:3], 16) for colour in blue)
    assert all(int(colour[1:3], 16) > int(colour[5:], 16) for colour in red)


def test_other_labels_have_the_general_palette_and_unknown_ones_grey():
    assert looks(["happy", "sad", "sad"]) == {"happy": EMOTIONS["happiness"], "sad": EMOTIONS["sadness"]}
    assert list(looks(["sad", "Anger"])) == ["Anger", "sad"], "in the order of arousal"
    assert looks(["joy", "happiness"])["joy"] != looks(["joy", "happiness"])["happiness"]
    many = [f"s{i:02}" for i in range(DISTINCT)]
    assert len(set(looks(many).values())) == DISTINCT and list(looks(many)) == many
    assert len(looks([*many, "more", None])) == DISTINCT + 2
    assert list(looks([None, "anger"])) == ["anger", UNKNOWN]


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
@pytest.mark.parametrize("width", style.WIDTHS)
@pytest.mark.parametrize(
    ("panels", "by", "other"),
    [(1, "emotion", {}), (2, "gender", {}), (5, "emotion", {"classes": tuple(EMOTIONS)}), (12, "speaker", {}),
     (3, "speaker", {"speakers": 28}), (3, "speaker", {"speakers": 80}), (4, "emotion", {"classes": HOSTILE})],
)  # fmt: skip
def test_nothing_is_cut_or_overlapping(panels, by, other, width):
    made = drawing(panels, **other)
    with style.styled():
        figures = list(scatter(made, by, width))
    assert sum(len(drawn.axes) for drawn in figures) == panels
    assert len(figures) == 1 or panels > ACROSS[width] * 2
    for drawn in figures:
        assert drawn.get_figwidth() == style.WIDTHS[width] and drawn.get_figheight() <= style.TALLEST
        assert cut_or_overlapping(drawn) == []
        assert len({(axis.get_xlim(), axis.get_ylim()) for axis in drawn.axes}) == 1
        low, high = np.array(drawn.axes[0].viewLim)
        everything = np.concatenate([panel["xy"] for panel in made["panels"]])
        assert (low < everything.min(0)).all() and (everything.max(0) < high).all(), "every point is in the picture"
        box = drawn.axes[0].get_window_extent()
        assert panels > 1 or box.height > drawn.get_figheight() * drawn.dpi / 2, "one panel fills its picture"
        assert (high - low)[0] / box.width == pytest.approx((high - low)[1] / box.height), "one scale"


def test_captions_say_layer_purity_chance_and_silhouette():
    (panel,) = drawing(1)["panels"]
    expected = "layer 23 of 24\nemotion of others: 31 % (24), 0.00\nspeaker: 43 % (25), 0.00"
    assert caption(panel, "emotion") == expected
    assert "class of others: 31 %" in caption(panel, "class")
    one_alone = panel["metrics"] | {"speaker": {"purity": 1.0, "chance": 1.0, "silhouette": None}}
    assert caption(panel | {"metrics": one_alone}, "emotion").endswith("\nspeaker: one alone")
    unknown = {"purity": None, "chance": None, "silhouette": None}
    one = {"layer": 0, "depth": 1, "metrics": {"emotion": panel["metrics"]["emotion"] | {"silhouette": None}}}
    assert caption(one | {"metrics": one["metrics"] | {"speaker": unknown}}, "emotion") == (
        "emotion of others: 31 % (24), –\nspeaker: –"
    )


def test_hostile_names_are_only_names(make, results, flat):
    table = cells.utterances()
    names = dict(zip(cells.CLASSES, HOSTILE, strict=True))
    table["emotion"] = table["emotion"].map(names)
    table["speaker"] = table["speaker"] + "<img src=x>"
    task = "csv:../../<b>.csv"
    make(table=table, name=task, upstream="<i>/../x", classes=list(HOSTILE))
    assert umap(results, "--by", "emotion", "speaker") == 0
    made = sorted(path.name for path in (results / "umap").iterdir())
    assert len(made) == 9 and all(path.parent == results / "umap" for path in results.glob("umap/*"))
    content = document(results, "csv%3A..%2F..%2F%3Cb%3E.csv")
    assert content["task"] == task and content["panels"][0]["upstream"] == "<i>/../x"
    assert content["points"]["emotion"] == table["emotion"].sort_index().tolist()
    assert all(name.isascii() and " " not in name for name in made)


def test_panels_stand_in_the_order_asked_for_with_their_layer(make, results, flat):
    make(upstream="fbank", right=0.9)
    make(upstream="mfcc")
    assert umap(results, "--width", "page") == 0
    assert [panel["upstream"] for panel in document(results)["panels"]] == ["fbank", "mfcc"], "the best first"
    assert umap(results, "-u", "mfcc", "fbank", "--width", "page") == 0
    made = document(results)
    assert [panel["upstream"] for panel in made["panels"]] == ["mfcc", "fbank"]
    assert {(panel["layer"], panel["space"]) for panel in made["panels"]} == {(1, "pooled")}
    assert set(made["settings"]) >= {"n_neighbors", "min_dist", "seed", "k", "umap-learn"}


def test_a_heads_first_layer_is_shown_fold_by_fold(make, results, flat, capsys):
    table = cells.utterances(130)  # speakers s0 to s3 have 22 utterances, the others 21
    outputs = clusters(table)
    make(table=table, head="probe", pooled=True)
    make(table=table, head="superb", pooled=False, outputs=outputs, depth=None)
    assert umap(results, "--first-layer", "--width", "page") == 0
    made = document(results, "emodb+superb")
    assert not (results / "umap" / "emodb.json").exists()
    assert made["panels"][0]["space"] == "first layer of superb, fold s0" and made["panels"][0]["layer"] is None
    assert set(made["points"]["speaker"]) == {"s0"} and len(made["points"]["utterance"]) == 22
    first = made["panels"][0]["xy"]
    assert umap(results, "--first-layer", "s3", "--width", "page") == 0
    other = document(results, "emodb+superb")
    assert set(other["points"]["speaker"]) == {"s3"} and other["panels"][0]["xy"] != first
    assert umap(results, "--first-layer", "s9") == 2 and "unknown fold 's9'" in capsys.readouterr().err


def test_vectors_belong_to_their_utterances(make, results, flat):
    """The file is in the order of the folds, the document in that of the ids."""
    table = cells.utterances(60)
    features = np.random.default_rng(3).normal(size=(60, 2)).astype(np.float16)
    make(table=table, pooled=features)
    assert umap(results, "--width", "page") == 0
    made = document(results)
    order = table.index.get_indexer(pd.Index(made["points"]["utterance"]))
    (expected,) = embedding.aligned([standardised(features[order])])
    assert made["panels"][0]["xy"] == pytest.approx(expected, abs=6e-4)
    assert made["points"]["emotion"] == table["emotion"].iloc[order].tolist()
    assert made["points"]["gender"] == table["gender"].iloc[order].tolist()


def test_speakers_that_nobody_knows(make, results, flat, capsys, monkeypatch):
    monkeypatch.setattr(parquet, "KEPT", ("language",))
    make()
    assert umap(results, "--by", "emotion", "speaker", "--width", "page") == 1
    assert capsys.readouterr().err.count("no speaker is known of its utterances") == 1
    made = document(results)
    assert made["points"]["speaker"] == [None] * 120 == made["points"]["gender"]
    assert made["panels"][0]["metrics"]["speaker"] == NOTHING
    assert (results / "umap" / "emodb-emotion.png").exists()


def test_what_cannot_be_shown_is_said_and_the_rest_is_made(make, results, flat, capsys):
    make()
    make(upstream="mfcc", name="urdu")
    make(name="few", table=cells.utterances(12))
    make(name="values", kind="regression", metrics=["CCC", "MAE"], headline="CCC")
    assert umap(results, "--width", "page", "-u", "fbank", "mfcc", "-t", "emodb", "few", "values") == 1
    out, err = capsys.readouterr()
    assert (results / "umap" / "emodb.json").exists() and "emodb-emotion.pdf" in out
    assert "`run_benchmark.py -u mfcc -t emodb -d probe` computes them" in err
    assert "few: 12 utterances; UMAP needs more than --neighbours 15" in err
    assert "values: its targets are values" in err
    assert umap(results, "-t", "few", "--neighbours", "5", "--width", "page") == 0
    capsys.readouterr()
    assert umap(results, "-t", "emodb", "--first-layer") == 1
    assert "keeps a head's first layer (docs/heads.md says which heads keep it)" in capsys.readouterr().err
    make(head="own_head", outputs=np.ones((120, 4), np.float16))
    assert umap(results, "-t", "emodb", "-d", "probe", "--first-layer") == 1
    assert "keeps a head's first layer (here own_head kept it)" in capsys.readouterr().err
    assert umap(results, "-u", "mfccc") == 2 and "did you mean mfcc?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        umap(results, "--neighbours", "1")


def test_a_damaged_file_costs_its_panel_alone(make, results, flat, capsys):
    broken = make()
    make(upstream="mfcc")
    path = results / "fbank" / "emodb" / broken.files.vectors.name
    path.write_bytes(b"x" * path.stat().st_size)
    assert umap(results, "--width", "page") == 1
    assert path.name in capsys.readouterr().err
    assert [panel["upstream"] for panel in document(results)["panels"]] == ["mfcc"]


def test_versions_of_a_task_are_never_mixed(make, results, flat):
    make()
    make(upstream="mfcc", audit="b" * 64)
    assert umap(results, "--width", "page") == 0
    made = [document(results, name)["panels"] for name in ("emodb", "emodb-2")]
    assert [len(panels) for panels in made] == [1, 1]


def test_long_names_that_begin_alike_are_all_drawn(make, results, flat):
    """Names of pictures are cut."""
    tasks = [f"labels:ravdess,anger+calm+disgust+fear+happiness+neutral+sadness+{last}" for last in ("s", "su", "sup")]
    for task in tasks:
        make(name=task)
    assert umap(results, "--width", "page") == 0
    made = [json.loads(path.read_text())["task"] for path in (results / "umap").glob("*.json")]
    assert sorted(made) == tasks and len(list((results / "umap").glob("*.png"))) == 3


def test_a_missing_umap_is_said(make, results, capsys, monkeypatch):
    make()
    monkeypatch.setitem(sys.modules, "umap", None)
    assert umap(results) == 1 and "pip install umap-learn" in capsys.readouterr().err


def test_help_compiles_nothing():
    code = """
import sys
from leaderboard.__main__ import main
try: main(["umap", "--help"])
except SystemExit: pass
sys.exit(any(name in sys.modules for name in ("umap", "numba", "sklearn", "matplotlib", "pandas", "numpy")))
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=cells.ROOT, check=False).returncode == 0
