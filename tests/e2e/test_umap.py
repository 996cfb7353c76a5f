"""`python -m leaderboard umap` with UMAP itself, which compiles for a while: in one test, once."""

import json

import numpy as np

from leaderboard.__main__ import main
from tests.leaderboard import cells
from tests.leaderboard.test_umap import clusters


def test_two_runs_give_the_same_bytes_and_a_mirrored_space_the_same_panel(tmp_path):
    """Mirrored, for that leaves all distances the same to the last bit on every machine; UMAP amplifies rounding."""
    table = cells.utterances()
    features = clusters(table)
    mirrored = features * np.array([1, -1] * 4, dtype=np.float16)
    cells.make(tmp_path, upstream="fbank", table=table, pooled=features, right=0.9)
    cells.make(tmp_path, upstream="mfcc", table=table, pooled=mirrored)
    made = []
    for _ in range(2):
        assert main(["umap", "--results", str(tmp_path), "--width", "column"]) == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / "umap").iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"emodb.json", "emodb-emotion-column.pdf", "emodb-emotion-column.png"}
    first, second = (np.array(panel["xy"]) for panel in json.loads(made[0]["emodb.json"])["panels"])
    assert np.abs(first - second).max() < 0.01, "the same settings and seed for every panel"
    assert first.std() > 0.5, "not all in one place"
