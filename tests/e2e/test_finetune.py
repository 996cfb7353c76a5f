"""Fine-tuning as a user meets it: one training, three cells; a killed command goes on; nothing is trained twice."""

import signal
import time

import numpy as np
import pandas as pd
import pytest
import torch

import leaderboard
import run_benchmark
from downstreams import tuned_network
from downstreams.class_loss import ClassLoss
from downstreams.settings import FineTune
from downstreams.tuned_network import Batch, TunedNetwork, draws_of
from tests.processes import Forked
from tests.upstreams.sounds import extract, noise, plugin, speak

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
SETTINGS = "{steps: 12, epochs: 1, batch: 4, scorings: 4, random_rates: [0.001, 0.01], trial: 0.5, averaged: 3}"


WORDS = ("-u", "tiny.py:Tiny", "-t", "demo", "-d", "finetune@quick.yaml", "--limit", "48", "--seeds", "1",
         "--jobs", "1")  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs the command with the tiny encoder on the embedded corpus in this process; gives what it prints."""
    (tmp_path / "tiny.py").write_text(ENCODER)
    (tmp_path / "quick.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMOREP_CACHE", str(tmp_path / "cache"))

    def run(*more):
        capsys.readouterr()
        status = run_benchmark.main([*WORDS, *more])
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out, said.err

    return run


def test_a_killed_training_goes_on_and_gives_three_cells(command, tmp_path):
    results, work = tmp_path / "results" / "limited", tmp_path / "results" / "limited" / "trainings"
    out, _ = command("--dry-run")
    assert "trainings (folds x seeds), 0 of them done;" in out and out.count("train: ") == 1
    assert not list(results.glob("*/*/*.json"))

    process = Forked("import run_benchmark; run_benchmark.main()", *WORDS, folder=tmp_path)
    deadline = time.monotonic() + 400
    while not list(work.rglob("result.pt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    first = {path: path.stat().st_mtime_ns for path in work.rglob("result.pt")}
    _, err = command()
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
    out, _ = command("--rerun")
    assert "5 cells done again: 5 the same, 0 differ" in out


SMALL = """
from upstreams.huggingface.factories import random

def tiny():
    return random("{}", small=True)
"""
UPSTREAMS = {
    "random:emotion2vec": None,
    "group norm": SMALL.format("wav2vec2_base"),
    "relative positions": SMALL.format("wavlm_base"),
}


@pytest.mark.parametrize("name", UPSTREAMS)
@pytest.mark.parametrize("top", [None, 1])
def test_a_padded_batch_of_waveforms_is_its_utterances_alone(tmp_path, monkeypatch, name, top):
    """Loss and gradients of the encoder and of the head, with the networks themselves: 1e-5 of the largest."""
    source = UPSTREAMS[name]
    called = name if source is None else plugin(tmp_path, source, "tiny")
    table = speak(tmp_path, [noise(seconds, seed) for seed, seconds in enumerate((0.5, 1.3, 0.03, 0.9))])
    live = extract(called, table, {"live"}, tmp_path / "cache").live
    if top:
        live = live.top(top)
    targets = torch.tensor([0, 1, 2, 1])

    def network():
        return TunedNetwork(live, 3, FineTune(precision="fp32"), draws_of("fold", 0, "head"), "cpu")

    def gradients(made):
        named = [*made.encoder.named_parameters(), *made.head.named_parameters()]
        return {name: own.grad.clone() for name, own in named if own.grad is not None}

    together, alone = network(), network()
    loss = together.backward(Batch(np.arange(4), ClassLoss(targets, None)), None)
    monkeypatch.setitem(tuned_network.AT_ONCE["audio"], "cpu", 0.01)
    parts = network()
    in_parts = parts.backward(Batch(np.arange(4), ClassLoss(targets, None)), None)
    single, each = [], []
    for row in range(4):
        single.append(alone.backward(Batch(np.array([row]), ClassLoss(targets, None)), None))
        each.append(gradients(alone))
    assert loss == pytest.approx(in_parts, abs=1e-5) and loss == pytest.approx(np.mean(single), abs=1e-5)
    whole, summed = gradients(together), {name: sum(own[name] for own in each) for name in each[0]}
    assert whole.keys() == summed.keys() == gradients(parts).keys() and len(whole) > 8
    largest = max(float(own.abs().max()) for own in whole.values())
    for name, own in whole.items():
        assert (own - summed[name] / 4).abs().max() < 1e-5 * max(1, largest), name
        assert (own - gradients(parts)[name]).abs().max() < 1e-5 * max(1, largest), name


def test_silence_and_audio_that_is_cut_give_finite_losses(tmp_path):
    table = speak(tmp_path, [np.zeros(16000, np.float32), noise(0.4)])
    live = extract("random:emotion2vec", table, {"live"}, tmp_path / "cache").live
    made = TunedNetwork(live, 2, FineTune(longest=0.5), draws_of("fold", 0, "head"), "cpu")
    assert np.isfinite(made.backward(Batch(np.arange(2), ClassLoss(torch.tensor([0, 1]), None)), None))
    assert all(own.grad is None or own.grad.isfinite().all() for own in made.encoder.parameters())
    whole, cut = (len(made.frames([0], longest)[0]) for longest in (None, 0.5))
    assert cut < 0.6 * whole
