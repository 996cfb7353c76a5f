"""An ablation from the command line: trained once, evaluated as plain cells, the paper's figures beside it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

import run_benchmark
from tests.upstreams.pretraining.training import TINY, speech

ABLATION = {
    "title": "Which losses",
    "config": "tiny.yaml",
    "variants": {
        "frame": ["loss.alpha=0"],
        "both": [],
        "again": ["loss.alpha=1.0"],
        "onwards": ["init=emotion2vec:mine/frame"],
        "theirs": ["init=$THEIR_WEIGHTS"],
    },
    "published": {"frame": 70.85, "both": 71.79},
    "measure": "WA on IEMOCAP",
    "source": "the paper",
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("EMOREP_RUNS", "")  # set by the command, and restored
    recipe = {**TINY, "optimiser": {"steps": 2, "rate": 1e-3}, "checkpoints": 1}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(ABLATION, sort_keys=False))
    words = ["--ablation", str(tmp_path / "mine.yaml"), "-t", "demo", "--limit", "24", "--jobs", "1", "--device", "cpu"]
    words += [word for name in ("runs", "cache", "results") for word in (f"--{name}", str(tmp_path / name))]

    def run(*more: str) -> tuple[int, str]:
        status = run_benchmark.main([*words, *more])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


def test_an_ablation_is_trained_once_and_shown_beside_the_paper(command, tmp_path: Path) -> None:
    status, said = command()
    assert status == 1 and "not trained yet; name folders of speech" in said
    data = speech(tmp_path / "speech")
    status, said = command("--speech", str(data), "--dry-run")
    assert status == 0 and said.count("pre-train: emotion2vec:mine/") == 5 and not (tmp_path / "runs" / "mine").exists()
    status, said = command("--speech", str(data))
    assert status == 0, said
    runs = tmp_path / "runs" / "mine"
    assert sorted(path.name for path in runs.iterdir()) == ["again", "both", "frame", "onwards"]
    assert (runs / "again").is_symlink() and (runs / "again").resolve() == (runs / "both").resolve()

    made = {path: path.stat().st_mtime_ns for path in runs.glob("*/*")}
    assert command()[0] == 0  # nothing is trained, so no speech is needed
    assert made == {path: path.stat().st_mtime_ns for path in runs.glob("*/*")}

    tables = tmp_path / "results" / "limited" / "ablations"
    with open(tables / "mine.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["variant", "demo probe: UA", "paper: WA on IEMOCAP"]
    assert [row[0] for row in rows] == list(ABLATION["variants"])
    figures = {variant: (ours, paper) for variant, ours, paper in rows}
    assert figures["frame"][1] == "70.85" and figures["both"][0] == figures["again"][0] != "–"
    assert figures["theirs"] == ("–", "–") and "THEIR_WEIGHTS=FILE" in said
    assert "| frame |" in (tables / "mine.md").read_text()
    assert r"\toprule" in (tables / "mine.tex").read_text()


def test_wrong_requests_are_refused_before_anything_is_trained(command, tmp_path: Path) -> None:
    status, said = command("--speech", str(speech(tmp_path / "speech")), "-d", "prob")
    assert status == 2 and "probe" in said and not (tmp_path / "runs").exists()
    (tmp_path / "mine.yaml").write_text("title: nothing else")
    status, said = command()
    assert status == 2 and "is no ablation" in said
    (tmp_path / "mine.yaml").unlink()
    status, said = command()
    assert status == 2 and "unknown ablation" in said and "mine.yaml" in said
