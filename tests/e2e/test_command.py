"""The command as a user meets it: as a process of its own from the demo to the leaderboard, then in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import leaderboard
import run_benchmark
from cells.engines import local
from cells.jobs import Measure
from commons import journals
from leaderboard.umap.points import gather
from leaderboard.umap.separation import distances, separation, standardised

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "s3prl", "sklearn", "umap")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def process(*arguments, folder):
    """What run_benchmark.py does in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_benchmark.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "140"},
        timeout=300,
    )


@pytest.fixture
def command(cache, tmp_path, monkeypatch, capsys):
    """Runs the command in this process, which has imported it; results go to a folder of the test's own."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, results=tmp_path / "results"):
        capsys.readouterr()
        words = [*arguments, "--jobs", "1", "--cache", str(cache), "--results", str(results)]
        try:
            status = run_benchmark.main(words)
        except SystemExit as ended:  # argparse refuses an option
            status = ended.code
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, said.out, said.err)

    run.results = tmp_path / "results"
    return run


def files(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def imported(*arguments):
    """The heavy packages that the command imports for these arguments."""
    code = f"""
import sys, run_benchmark
try: run_benchmark.main({list(arguments)!r})
except SystemExit: pass
print('imported', [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    return done.stdout.rsplit("imported ", 1)[1].strip()


def test_demo_to_leaderboard_and_a_second_run_does_nothing(cache, tmp_path):
    results = tmp_path / "results"
    words = ["-u", "fbank", "mfcc", "-t", "demo", "--cache", str(cache), "--results", str(results)]
    first = process(*words, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "synthetic" in first.stdout
    lines = first.stderr.splitlines()  # not on a terminal: a line for each cell, and where the results lie
    assert [line.partition(" ")[2] for line in lines[:2]] == [
        f"{name} · demo · probe: done" for name in ("fbank", "mfcc")
    ]
    assert lines[-1] == f"results: {results / 'leaderboard.csv'}"
    table = pd.read_csv(results / "leaderboard.csv").set_index("upstream")
    assert list(table.columns[:2]) == ["task", "downstream"]
    assert set(table.index) == {"fbank", "mfcc", "majority", "duration"}
    assert table.loc["fbank", "UA"] > 2 * table.loc["majority", "UA"]
    assert (table["UA_low"] <= table["UA"]).all()
    scored = journals.lines(results / "scored", ".jsonl")
    assert len(scored) == len(table), "one line a scoring"
    before = files(results) | files(cache / "features")
    second = process(*words, folder=tmp_path)
    assert second.stdout == first.stdout
    after = files(results) | files(cache / "features")
    changed = {path.name for path in after if before.get(path) != after[path]} - {"leaderboard.csv", "about.json"}
    assert not changed
    assert imported(*words) == "[]"
    (points,) = gather(results, leaderboard.load(results)[0], ["mfcc", "fbank"], None, 0, [])
    assert len(points.vectors) == 2 and points.space == "pooled"
    for vectors in points.vectors:
        measures = separation(distances(standardised(vectors)), points.labels["emotion"].to_numpy())
        assert measures["purity"] > 1.5 * measures["chance"], "the vectors for pictures belong to their utterances"


def test_ctrl_c_leaves_the_csv_of_what_was_done(monkeypatch, cache, tmp_path):
    """Stopped at the references, after the upstream's cell was done."""
    perform = local.perform

    def until_references(job, *more):
        if isinstance(job, Measure) and job.upstream is None:
            raise KeyboardInterrupt
        return perform(job, *more)

    monkeypatch.setattr(local, "perform", until_references)
    folders = ["--cache", str(cache), "--results", str(tmp_path / "results")]
    assert run_benchmark.main(["-u", "fbank", "-t", "demo", "--limit", "64", "--jobs", "1", *folders]) == 130
    assert list(pd.read_csv(tmp_path / "results" / "limited" / "leaderboard.csv")["upstream"]) == ["fbank"]


def test_rerun_finds_what_was_changed(command):
    words = ("-u", "fbank", "-t", "demo", "--limit", "64")
    assert command(*words).returncode == 0
    same = command(*words, "--rerun")
    assert same.returncode == 0
    assert "3 cells done again: 3 the same" in same.stdout
    record = command.results / "limited" / "fbank" / "demo" / "probe.json"
    content = json.loads(record.read_text())
    content["scores"]["metrics"]["UA"]["value"] += 1
    del content["checksum"]  # with it, the record would count as damaged and its cell be done anew
    record.write_text(json.dumps(content))
    changed = command(*words, "--rerun")
    assert changed.returncode == 1
    assert "fbank · demo · probe" in changed.stderr


def test_more_seeds_add_only_those_missing(command, tmp_path):
    """Two seeds and then three leave what three at once would have left, byte for byte."""
    (tmp_path / "soon.yaml").write_text("{epochs: 20, evaluations: 5}")
    cell = ("-u", "mfcc", "-t", "demo", "-d", "superb@soon.yaml", "--limit", "64")
    results = command.results / "limited"
    assert command(*cell, "--seeds", "2").returncode == 0
    [record] = (results / "mfcc" / "demo").glob("superb*.json")
    two = json.loads(record.read_text())
    assert command(*cell, "--seeds", "3").returncode == 0
    three = json.loads(record.read_text())
    assert (two["cell"]["seeds"], three["cell"]["seeds"]) == ([0, 1], [0, 1, 2])
    assert three["files"]["vectors"] == two["files"]["vectors"]
    assert command(*cell, "--seeds", "3", results=tmp_path / "at once").returncode == 0
    at_once = json.loads((tmp_path / "at once" / record.relative_to(command.results)).read_text())
    for part in ("cell", "scores", "chosen", "marks", "files"):
        assert three[part] == at_once[part]
    again = command(*cell, "--seeds", "2", "--rerun")  # fewer are there already
    assert again.returncode == 0, again.stdout + again.stderr
    assert "3 cells done again: 3 the same" in again.stdout


def test_limit_writes_to_a_folder_of_its_own(command):
    done = command("-u", "fbank", "-t", "demo", "--limit", "64")
    assert done.returncode == 0, done.stderr
    assert not list(command.results.glob("*.csv"))
    assert len(pd.read_csv(command.results / "limited" / "leaderboard.csv")) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-u", "fbnk", "-t", "demo"], "fbank"),
        (["-u", "fbank", "-t", "demmo"], "demo"),
        (["-u", "fbank", "-t", "demo", "-d", "prob"], "probe"),
        (["-u", "fbank"], "-t"),
        (["-u", "fbank", "-t", "demo", "--seeds", "0"], "--seeds"),
        (["-u", "fbank", "-t", "demo", "--precision", "fp8"], "bf16"),
        (["-u", "fbank", "-t", "demo_arousal", "-d", "superb"], "regression"),
        (["-u", "fbank", "-t", "emodb", "--data", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_a_wrong_request_is_status_2_and_says_what_was_meant(command, arguments, said):
    done = command(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not command.results.exists()


def test_an_absent_corpus_does_not_stop_the_others(command, tmp_path):
    done = command("-u", "fbank", "-t", "emodb", "demo", "--limit", "64", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "emodb" in done.stdout
    assert str(tmp_path) in done.stdout.replace("\n", "")  # where it was looked for
    assert set(pd.read_csv(command.results / "limited" / "leaderboard.csv")["task"]) == {"demo"}
    assert "Traceback" not in done.stdout + done.stderr


def test_a_plug_in_that_raises_costs_its_own_cells_only(command, tmp_path):
    (tmp_path / "broken.py").write_text(
        "class Broken:\n    sample_rate, hop, depth, width = 16000, 160, 1, 4\n"
        "    def __call__(self, waveforms):\n        raise RuntimeError('no such layer')\n"
    )
    done = command("-u", "broken.py:Broken", "fbank", "-t", "demo", "--limit", "64")
    assert done.returncode == 1
    assert "no such layer" in done.stdout
    assert "broken.py:Broken · demo · probe: failed" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "fbank" in set(pd.read_csv(command.results / "limited" / "leaderboard.csv")["upstream"])


def test_an_upstream_of_the_user_in_ten_lines(command, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Loudness:\n    sample_rate, hop, depth, width = 16000, 160, 1, 1\n    min_samples = 160\n"
        "    def __call__(self, waveforms):\n"
        "        return [1e7 * w.unfold(0, 160, 160).square().mean(1).log1p().reshape(1, -1, 1) for w in waveforms]\n"
    )
    done = command("-u", "mine.py:Loudness", "-t", "demo", "-d", "probe_stats", "--limit", "64")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(command.results / "limited" / "leaderboard.csv").set_index("upstream")
    assert "seen:unknown" in table.loc["mine.py:Loudness", "marks"]
    (vectors,) = (command.results / "limited" / "mine.py%3ALoudness").rglob("*.vectors.*")
    pooled = np.stack(pd.read_parquet(vectors)["pooled"])
    assert np.isfinite(pooled.astype(float)).all()  # float16, though the features are far beyond it


@pytest.mark.parametrize("argument", ["--help", "--list"])
def test_help_and_list_import_nothing_heavy(argument):
    assert imported(argument) == "[]"


def test_real_speech_reaches_scikit_learns_line(command, corpora, tmp_path):
    """On EmoDB, leave one speaker out: what the probe chooses is hardly worse than a fixed, middling strength."""
    done = command("-u", "fbank", "-t", "emodb", "--data", str(corpora))
    assert done.returncode == 0, done.stdout + done.stderr
    row = pd.read_csv(command.results / "leaderboard.csv").set_index("upstream").loc["fbank"]
    assert (row["n"], row["speakers"], row["folds"]) == (535, 10, 10)
    record = leaderboard.find(command.results, "fbank", "emodb", "probe")
    table = leaderboard.predictions(command.results, record).set_index("id")
    (vectors,) = (command.results / "fbank").rglob("*.vectors.*")
    x = pd.read_parquet(vectors).set_index("id")["pooled"].loc[table.index]
    x = np.stack(x).astype(float)
    right = []
    for fold in table["fold"].unique():
        test = (table["fold"] == fold).to_numpy()
        classifier = LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)
        theirs = make_pipeline(StandardScaler(), classifier).fit(x[~test], table["target"][~test])
        right.append(theirs.predict(x[test]) == table["target"][test])
    line = 100 * pd.concat(right).groupby(table["target"]).mean().mean()
    assert row["UA"] > line - 2 and line > 3 * 100 / 7, "far above chance"
