"""`python -m leaderboard umap` with UMAP itself, which compiles for a while."""

import json

import numpy as np

import run_benchmark
from leaderboard.__main__ import main
from tests.leaderboard import cells
from tests.leaderboard.test_umap import clusters


def umap(results):
    return main(["umap", "--results", str(results), "--width", "column"])


def document(results, name="emodb"):
    return json.loads((results / "umap" / f"{name}.json").read_bytes())


def test_two_runs_give_the_same_bytes_and_a_turned_space_the_same_panel(tmp_path):
    """With UMAP itself. The second space is the first with its features permuted and mirrored: a rotation."""
    table = cells.utterances()
    features = clusters(table)
    turned = features[:, np.random.default_rng(1).permutation(8)] * np.array([1, -1] * 4, dtype=np.float16)
    cells.make(tmp_path, upstream="fbank", table=table, pooled=features, right=0.9)
    cells.make(tmp_path, upstream="mfcc", table=table, pooled=turned)
    made = []
    for _ in range(2):
        assert umap(tmp_path) == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / "umap").iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"emodb.json", "emodb-emotion-column.pdf", "emodb-emotion-column.png"}
    first, second = (np.array(panel["xy"]) for panel in document(tmp_path)["panels"])
    assert np.abs(first - second).max() < 0.01
    assert first.std() > 0.5, "not all in one place"


def test_from_speech_to_panels(tmp_path_factory, tmp_path):
    folders = ["--cache", str(tmp_path / "cache"), "--results", str(tmp_path / "results"), "--jobs", "1"]
    assert run_benchmark.main(["-u", "fbank", "mfcc", "-t", "demo", *folders]) == 0
    assert umap(tmp_path / "results") == 0
    made = document(tmp_path / "results", "demo")
    assert {panel["upstream"] for panel in made["panels"]} == {"fbank", "mfcc"}
    for panel in made["panels"]:
        emotion = panel["metrics"]["emotion"]
        assert emotion["purity"] > 1.5 * emotion["chance"], "the synthetic emotions can be heard"
        assert np.isfinite(panel["xy"]).all() and len(panel["xy"]) == len(made["points"]["utterance"])
