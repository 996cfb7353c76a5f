"""Fine-tuning as a user meets it: one training, three cells; a killed command goes on; nothing is trained twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import leaderboard

ROOT = Path(__file__).resolve().parents[2]
ENCODER = """
import torch


class Tiny(torch.nn.Module):
    sample_rate, hop, depth, width, front, seen = 16000, 160, 2, 8, "convolution", {}

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.convolution, self.block = torch.nn.Linear(160, 8), torch.nn.Linear(8, 8)

    def forward(self, waveforms):
        lower = self.convolution(torch.stack([w.unfold(0, 160, 160) for w in waveforms]))
        return list(torch.stack([lower, lower + self.block(lower).tanh()], dim=1))
"""
SETTINGS = "{steps: 24, epochs: 1, scorings: 8, random_rates: [0.001, 0.01], trial: 0.5, averaged: 3}"


@pytest.fixture
def command(tmp_path):
    """Starts run_benchmark.py with the tiny encoder on the embedded corpus."""
    (tmp_path / "tiny.py").write_text(ENCODER)
    (tmp_path / "quick.yaml").write_text(SETTINGS)

    def start(*more):
        words = ["-u", "tiny.py:Tiny", "-t", "demo", "-d", "finetune@quick.yaml", "--limit", "64", "--seeds", "1"]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_benchmark.py"), *words, "--jobs", "1", *more],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"EMOREP_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return start


def finished(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out, err


def test_a_killed_training_goes_on_and_gives_three_cells(command, tmp_path):
    results, work = tmp_path / "results" / "limited", tmp_path / "results" / "limited" / "trainings"
    out, _ = finished(command("--dry-run"))
    assert "trainings (folds x seeds), 0 of them done;" in out and "of the same training" in out
    assert not list(results.glob("*/*/*.json"))

    process = command()
    deadline = time.monotonic() + 400
    while not list(work.rglob("result.pt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    first = {path: path.stat().st_mtime_ns for path in work.rglob("result.pt")}
    _, err = finished(command())
    assert "of them done" in err and "0 of them done" not in err
    assert all(path.stat().st_mtime_ns == when for path, when in first.items())

    records = {record.cell.downstream: record for record in leaderboard.load(results)[0] if record.upstream.fingerprint}
    names = {name.split("@")[0] for name in records}
    assert names == {"finetune", "finetune:best", "finetune:last"}
    for record in records.values():
        own = record.downstream
        assert own.trained == "encoder (all)" and own.trainable > 100 and own.hours > 0
        assert {entry["fold"] for entry in record.chosen.curves} == set(record.task.folds)
        assert all(choice["moved"] > 0 and "tried" in choice for choice in record.chosen.folds)
    table = pd.read_csv(results / "leaderboard.csv")
    assert set(table.loc[table["trained"].notna(), "downstream"]) == set(records)
    assert {path.name for path in work.rglob("*.pt")} == {"result.pt"}
    out, _ = finished(command("--rerun"))
    assert "5 cells done again: 5 the same, 0 differ" in out
