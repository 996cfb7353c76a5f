"""Derived tasks through the command: cells as all others."""

import json

import pandas as pd
import pytest

import run_benchmark
from tests.tasks import layouts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the command on two small corpora; results and cache are the module's."""
    data = layouts.emodb(tmp_path_factory.mktemp("data"))
    layouts.emovo(data, nested=False, sentences=("b1", "b2"))
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")

    def command(*arguments):
        places = ["--data", str(data), "--results", str(results), "--cache", str(cache), "--jobs", "1"]
        return run_benchmark.main([*arguments, *places])

    command.results = results
    return command


def table(results):
    return pd.read_csv(results / "leaderboard.csv").set_index(["upstream", "task"])


def test_a_transfer_comes_with_its_targets_own_score_and_runs_once(run, capsys):
    asked = ("-u", "fbank", "-d", "probe", "-t", "transfer:emodb,emovo", "transfer-standardised:emodb,emovo")
    assert run(*asked) == 0
    out = capsys.readouterr().out
    assert "left out 8 boredom, which are not asked for" in out and "target_features: test features are" in out
    names = {task for upstream, task in table(run.results).index if upstream == "fbank"}
    own = "labels:emovo,anger+disgust+fear+happiness+neutral+sadness"
    assert names == {"transfer:emodb,emovo", "transfer-standardised:emodb,emovo", own}
    before = {path: path.stat().st_mtime_ns for path in run.results.rglob("*.json")}
    assert run(*asked) == 0
    assert before == {path: path.stat().st_mtime_ns for path in run.results.rglob("*.json")}


def test_more_draws_add_only_those_missing(run):
    asked = ("-u", "fbank", "-d", "probe", "-t", "shots:emovo,2")
    assert run(*asked, "--seeds", "2") == 0
    (path,) = run.results.rglob("fbank/shots*/probe.json")
    first = json.loads(path.read_text())
    assert first["cell"]["seeds"] == [0, 1] and not first["downstream"]["deterministic"]
    assert run(*asked, "--seeds", "3") == 0
    second = json.loads(path.read_text())
    assert second["cell"]["seeds"] == [0, 1, 2] and second["cell"]["key"] == first["cell"]["key"]
    assert second["scores"]["by_seed"]["UA"][:2] == first["scores"]["by_seed"]["UA"]
    assert run(*asked, "--seeds", "3", "--rerun") == 0, "all draws at once give the same"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("transfer:emodb,emodb", "two corpora are expected"),
        ("transfer:emodb,nothing", "task for transfer: 'nothing'"),
        ("shots:emodb,many", "a positive whole number"),
        ("shots:mosi,4", "mosi asks for values"),
        ("shots:iemocap6_dialogue,4", "asks for turns of conversations"),
        ("transfer:mosi_binary,emodb", "they share no class"),
        ("transfer:ser11", "expected transfer:SOURCE,TARGET"),
        ("across-languages:emodb", "expected across-languages:SUITE,TASK"),
    ],
)
def test_a_wrong_request_ends_with_status_2(run, capsys, task, words):
    assert run("-u", "fbank", "-t", task) == 2
    assert words in capsys.readouterr().err
