"""NPC in the engine: padding, batch norm, codes, scores, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import upstreams
from tests.upstreams.mockingjay.small import scored
from tests.upstreams.npc.small import STILL, tiny
from tests.upstreams.pretraining.training import packed, run, same, speech, unequal, weights
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.checks import check
from upstreams.npc.learner import Prediction
from upstreams.npc.model import Kept, Norm, Npc
from upstreams.pretraining import checkpoints
from upstreams.pretraining.batches import MicroBatch
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.train import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("npc") / "speech")


def batch(speech: Speech, *utterances: int) -> MicroBatch:
    rows = np.array(utterances)
    return MicroBatch(0, rows, np.zeros(len(rows), int), speech.pack.lengths[rows])


def gradient(learner: Prediction, micro: MicroBatch, step: list[MicroBatch]) -> tuple[float, torch.Tensor]:
    """The loss of a micro-batch, all terms, and the gradient of all parameters."""
    learner.network.zero_grad()
    loss = learner.losses(micro, step).terms.sum()
    loss.backward()
    parts = [p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(parts)


def settled(learner: Prediction) -> None:
    """Let norms take their running statistics, as at inference: in training a batch shares its own."""
    for norm in learner.network.norms():
        norm.eval()
        norm.sums = torch.zeros(2, learner.network.config.dim, dtype=torch.float64)


@pytest.mark.parametrize("score", ["off", "as_published"])
def test_a_padded_batch_equals_its_items_alone(score: str, tmp_path: Path) -> None:
    data, bounds = unequal(tmp_path / "speech"), ("audio.max_seconds=12", "batch.seconds=24")
    pack = packed(data, tiny(*bounds)).pack
    scores = [] if score == "off" else [f"scores={scored(tmp_path / 'scores.parquet', pack)}"]
    recipe = tiny(*STILL, *bounds, f"loss.score={score}", *scores)
    loaded = packed(data, recipe)
    short, long = 0, 1
    learner = Prediction(recipe, loaded, CPU)
    settled(learner)
    both, alone = batch(loaded, short, long), [batch(loaded, short), batch(loaded, long)]
    together, whole = gradient(learner, both, [both])
    parts = [gradient(learner, one, alone) for one in alone]
    assert together == pytest.approx(sum(loss for loss, _ in parts), rel=1e-5)
    torch.testing.assert_close(whole, sum(part for _, part in parts), atol=1e-6, rtol=1e-4)


def test_padding_is_in_no_statistic_of_a_norm() -> None:
    torch.manual_seed(0)
    norm, valid = Norm(6).train(), torch.arange(20) < torch.tensor([[20], [7]])
    x = torch.randn(2, 6, 20) * 3 + 1
    frames = torch.cat([x[0].T, x[1].T[:7]])
    theirs = torch.nn.BatchNorm1d(6).train()
    expected = theirs(frames)
    kept = Kept(valid[:, None], valid.sum())
    given = norm(x + 100 * ~valid[:, None], kept).transpose(1, 2)[valid]
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm(x, None), theirs.train()(x), atol=1e-5, rtol=1e-5)
    for of_batch, real in ((kept, frames), (None, x.transpose(1, 2).flatten(0, 1))):
        fresh, again = Norm(6).train(), torch.nn.BatchNorm1d(6).train()
        fresh(x, of_batch)
        assert fresh.sums is not None and not fresh.sums.requires_grad
        fresh.follow(fresh.sums, len(real))
        again(real)
        torch.testing.assert_close(fresh.mean, again.running_mean)
        torch.testing.assert_close(fresh.variance, again.running_var)


def test_a_padded_batch_goes_through_without_waiting_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks a tensor for its value."""
    network, spectra = Npc(tiny().network).train(), torch.zeros(2, 30, tiny().network.acoustic.width)
    valid = torch.arange(30) < torch.tensor([[30], [7]])

    def asked(tensor: torch.Tensor) -> float:
        raise AssertionError("the value is asked for")

    for name in ("__float__", "__int__", "__bool__", "item", "tolist", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, asked, raising=False)
    assert network(spectra, valid)[-1].shape == (2, 30, tiny().network.dim)


def test_running_statistics_follow_a_step_however_it_is_split(data: Path) -> None:
    recipe = tiny(*STILL)
    loaded = packed(data, recipe)
    moved = []
    for step in ([batch(loaded, 0, 1)], [batch(loaded, 1), batch(loaded, 0)]):
        learner = Prediction(recipe, loaded, CPU)
        first = learner.network.norms()[0]
        statistics = sum(learner.losses(micro, step).statistics for micro in step)
        learner.moved(0, step, statistics)
        moved.append((first.mean.clone(), first.variance.clone()))
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-5)


def test_it_learns_and_the_log_has_its_figures(data: Path, tmp_path: Path) -> None:
    lines = run(tiny("optimiser.steps=60"), data, tmp_path / "run")
    assert lines[-1]["prediction_loss"] == lines[-1]["loss"] < 0.98 * lines[0]["loss"]
    for key in ("prediction_var", "frames_per_second", "share_of_peak", "gradient_norm", "memory_mb"):
        assert all(line[key] > 0 for line in lines[:-1]), key
    assert all(1 <= line["codes_used"] <= 8 for line in lines)


def test_scores_are_a_second_input_and_target(data: Path, tmp_path: Path) -> None:
    file = scored(tmp_path / "scores.parquet", packed(data, tiny()).pack, {"nemo": "labels"})
    with pytest.raises(UpstreamError, match="as_published needs a file"):
        tiny("loss.score=as_published")
    recipe = tiny("loss.score=as_published", "model.mask=3", f"scores={file}", "optimiser.steps=60")
    loaded = packed(data, recipe)
    train(recipe, loaded, tmp_path / "run", CPU, Processes(), lambda step, line: False, seen={})
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert 0 < lines[-1]["score_loss"] < lines[0]["score_loss"]
    upstream = upstreams.load(f"npc@{tmp_path / 'run'}")
    assert upstream.seen == {"nemo": "labels"} and upstream([torch.randn(16000)])[0].shape == (9, 98, 32)


def test_a_run_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "stopped", stop_at=7)
    run(tiny(), data, tmp_path / "stopped")
    run(tiny(), data, tmp_path / "straight")
    assert same(weights(tmp_path / "stopped", 20), weights(tmp_path / "straight", 20))


def test_its_checkpoints_are_upstreams(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run")
    names = upstreams.expand(f"npc@{tmp_path / 'run'}/*")
    assert [name.rpartition("-")[2] for name in names] == ["00000010.safetensors", "00000020.safetensors"]
    assert "the same alone" in "".join(check(names[-1]))
    file = str(tmp_path / "mine.safetensors")
    assert main(["release", names[-1].partition("@")[2], file]) == 0
    assert not any(name.startswith(("head", "codes")) for name in checkpoints.read(Path(file), "npc").weights)
    wave = torch.randn(16000)
    whole, lean = (upstreams.load(name)([wave])[0] for name in (names[-1], f"npc@{file}"))
    assert (whole - lean).abs().max() < 0.02 * whole.abs().max()
    begun = Prediction(tiny(f"init={file}"), packed(data, tiny()), CPU).network.state_dict()
    assert torch.equal(begun["masked.0.weight"], checkpoints.read(Path(file)).weights["masked.0.weight"])
    with pytest.raises(UpstreamError, match="has kernel 15, that of the recipe's model 17"):  # as many taps, elsewhere
        Prediction(tiny(f"init={file}", "model.kernel=17", "model.mask=7"), packed(data, tiny()), CPU)


def test_operations_are_counted(data: Path) -> None:
    recipe = tiny()
    loaded = packed(data, recipe)
    learner = Prediction(recipe, loaded, CPU)
    micro = batch(loaded, 0)
    with FlopCounterMode(display=False) as counter:
        learner.losses(micro, [micro]).terms.sum().backward()
    assert learner.flops([micro]) == pytest.approx(counter.get_total_flops(), rel=0.08)
