"""Mockingjay in the engine: what is masked and lost, padding, scores, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import upstreams
from tests.upstreams.mockingjay.small import STILL, scored, tiny
from tests.upstreams.pretraining.training import packed, run, same, speech, unequal, weights
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.checks import check
from upstreams.mockingjay.learner import Reconstruction
from upstreams.mockingjay.model import Mockingjay
from upstreams.mockingjay.recipe import MaskKind
from upstreams.pretraining import checkpoints
from upstreams.pretraining import method as methods
from upstreams.pretraining.ablation import trained_on
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.checkpoints import group_of_runs, name_of
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.train import beginning, train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("mockingjay") / "speech")


@pytest.fixture(scope="module")
def scores(data: Path) -> Path:
    return scored(data.parent / "scores.parquet", packed(data, tiny()).pack, {"nemo": "labels"})


def with_scores(scores: Path, kind: str, *changes: str):
    return tiny(f"masking.kind={kind}", f"scores={scores}", *changes)


def batch(speech: Speech, *utterances: int) -> MicroBatch:
    rows = np.array(utterances)
    return MicroBatch(0, rows, np.zeros(len(rows), int), speech.pack.lengths[rows])


def test_attention_in_training_in_bf16_is_the_fused_one() -> None:
    """Products take its place on a processor: the same weights, none for padding, the same gradients."""
    torch.manual_seed(0)
    config = tiny(*STILL).network
    block, x = Mockingjay(config).blocks[0], torch.randn(2, 40, config.dim)
    valid = torch.arange(40) < torch.tensor([[40], [25]])
    given = {}
    for name, precision in (("plain", torch.bfloat16), ("fused", torch.float32)):
        inputs = x.clone().requires_grad_()
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            attended = block.train()._attend(inputs, valid)
        attended.float()[valid].square().sum().backward()
        assert not inputs.grad[~valid].any()
        given[name] = (attended.float()[valid], inputs.grad)
    for plain, fused in zip(given["plain"], given["fused"], strict=True):
        assert float((plain - fused).norm() / fused.norm()) < 0.02


def gradient(learner: Reconstruction, micro: MicroBatch, step: list[MicroBatch]) -> tuple[float, torch.Tensor]:
    """The loss of a micro-batch, all terms, and the gradient of all parameters."""
    learner.network.zero_grad()
    loss = learner.losses(micro, step).terms.sum()
    loss.backward()
    parts = [p.grad.flatten() for p in learner.network.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(parts)


@pytest.mark.parametrize("score", ["off", "as_published", "from_audio"])
def test_a_padded_batch_equals_its_items_alone(score: str, tmp_path: Path) -> None:
    """s3prl takes lengths from frames whose sum is 0 (its issues 342, 346); here padding is in no loss and no mask."""
    data, long = unequal(tmp_path / "speech"), ("audio.max_seconds=12", "batch.seconds=24", *STILL)
    file = scored(tmp_path / "scores.parquet", packed(data, tiny(*long)).pack)
    recipe = with_scores(file, "intensity_equal", f"loss.score={score}", *long)
    loaded = packed(data, recipe)
    learner = Reconstruction(recipe, loaded, CPU)
    both, alone = batch(loaded, 0, 1), [batch(loaded, 0), batch(loaded, 1)]
    together, whole = gradient(learner, both, [both])
    parts = [gradient(learner, one, alone) for one in alone]
    assert together == pytest.approx(sum(loss for loss, _ in parts), rel=1e-5)
    torch.testing.assert_close(whole, sum(part for _, part in parts), atol=1e-6, rtol=1e-4)
    shares = [masked(learner, [both]), masked(learner, alone)]
    assert shares[0] == shares[1] == pytest.approx(0.14, abs=0.03)


def masked(learner: Reconstruction, *steps: list[MicroBatch]) -> float:
    """The share that the log has after these steps."""
    nothing = torch.zeros(learner.statistics)
    for number, step in enumerate(steps):
        learner.moved(number, step, nothing)
    return learner.figures(nothing, steps[-1])["masked_share"]


def test_the_log_has_the_share_of_all_steps_since_its_last_line(tmp_path: Path) -> None:
    """A long and a short utterance, whose own shares differ: together it is that of a step with both."""
    long = ("audio.max_seconds=12", "batch.seconds=24")
    loaded = packed(unequal(tmp_path / "speech"), tiny(*long))
    learner = Reconstruction(tiny(*long), loaded, CPU)
    steps = [[batch(loaded, 0)], [batch(loaded, 1)]]
    together, own = masked(learner, [batch(loaded, 0, 1)]), [masked(learner, step) for step in steps]
    assert min(own) < together < max(own) and masked(learner, *steps) == together


def test_the_loss_is_l1_over_masked_frames(data: Path) -> None:
    recipe = tiny(*STILL)
    loaded = packed(data, recipe)
    learner = Reconstruction(recipe, loaded, CPU)
    micro = batch(loaded, 2)
    with torch.no_grad():
        terms, _ = learner.losses(micro, [micro])
    from upstreams.mockingjay.masks import draw
    from upstreams.pretraining.batches import Stream, generator

    target = learner.framing.measure(torch.from_numpy(loaded.pack.samples(2)))
    mask = draw(recipe.masking, len(target), generator(Stream.MASK, recipe.seed, 0, 2))
    given = torch.stack([target[i] if i >= 0 else 0 * target[0] for i in mask.source])
    with torch.no_grad():
        output = learner.network.reconstruct(learner.network(given[None])[-1])[0]
    assert float(terms[0]) == pytest.approx(float((output - target)[mask.covered].abs().mean()), rel=1e-5)


def test_it_learns_and_the_log_has_its_figures(data: Path, tmp_path: Path) -> None:
    lines = run(tiny("optimiser.steps=60"), data, tmp_path / "run")
    assert lines[-1]["reconstruction_loss"] == lines[-1]["loss"] < 0.98 * lines[0]["loss"]
    for key in ("prediction_var", "masked_share", "frames_per_second", "share_of_peak", "gradient_norm", "memory_mb"):
        assert all(line[key] > 0 for line in lines[:-1]), key
    assert all(0.1 < line["masked_share"] < 0.2 and line["masked_stretch"] >= 7 for line in lines)


def test_short_utterances_are_kept(tmp_path: Path) -> None:
    """s3prl drops those below 200 frames, and in a batch those that got no mask."""
    recipe = tiny("optimiser.steps=1", "audio.min_seconds=0.3")
    folder = tmp_path / "speech"
    folder.mkdir()
    soundfile.write(folder / "short.wav", 0.1 * np.random.default_rng(0).standard_normal(4960), 16000)
    loaded = packed(folder, recipe)
    assert len(loaded.pack) == 1
    learner = Reconstruction(recipe, loaded, CPU)
    micro = batch(loaded, 0)
    assert learner.losses(micro, [micro]).terms[0] > 0


def test_scores_enter_masks_and_losses(data: Path, scores: Path, tmp_path: Path) -> None:
    shares = {}
    for kind in get_args(MaskKind):
        recipe = tiny(f"masking.kind={kind}") if kind in ("random", "energy") else with_scores(scores, kind)
        loaded = packed(data, recipe)
        step = [batch(loaded, *range(6))]
        learner = Reconstruction(recipe, loaded, CPU)
        shares[kind] = masked(learner, step)
    assert shares["intensity"] < shares["random"]
    assert {shares[kind] for kind in get_args(MaskKind) if kind != "intensity"} == {shares["random"]}
    for score in ("as_published", "from_audio"):
        recipe = with_scores(scores, "random", f"loss.score={score}", "optimiser.steps=40")
        cpu, folder = CPU, tmp_path / score
        train(recipe, packed(data, recipe), folder, cpu, Processes(), lambda step, line: False, seen={"x": "audio"})
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert lines[-1]["loss"] == pytest.approx(lines[-1]["reconstruction_loss"] + lines[-1]["score_loss"], rel=1e-5)
        assert 0 < lines[-1]["score_loss"] < lines[0]["score_loss"]
        upstream = upstreams.load(f"mockingjay@{folder}")
        assert upstream([torch.randn(16000)])[0].shape == (3, 98, 32)  # no score is needed any more
        assert upstream.seen == {"x": "audio", "nemo": "labels"}  # whose labels taught the scores


def test_who_trains_on_scores_of_labels_says_which_corpora_are_among_the_speech(data: Path, scores: Path) -> None:
    recipe = with_scores(scores, "intensity")
    with pytest.raises(UpstreamError, match=r"learnt from labels of nemo.*--seen"):
        run(recipe, data, data.parent / "unsaid")
    assert not (data.parent / "unsaid").exists()


def test_processes_agree_on_the_content_of_scores_wherever_the_file_lies(
    data: Path, scores: Path, tmp_path: Path
) -> None:
    def facts(file: Path) -> dict[str, object]:
        recipe = with_scores(file, "intensity")
        loaded = packed(data, recipe)
        torch.manual_seed(1)
        return beginning(recipe, loaded, Position(), Reconstruction(recipe, loaded, CPU))

    here = facts(scores)
    (copy := tmp_path / "copy.parquet").write_bytes(scores.read_bytes())
    assert facts(copy) == here
    other = facts(scored(copy, packed(data, tiny()).pack, {"else": "labels"}))
    assert {name for name in here if here[name] != other[name]} == {"scores"}


def test_what_goes_on_from_such_weights_has_seen_the_labels_too(data: Path, scores: Path, tmp_path: Path) -> None:
    def trained(name: str, recipe: Recipe, seen: dict[str, str]) -> Path:
        folder = tmp_path / name
        train(recipe, packed(data, recipe), folder, CPU, Processes(), lambda step, line: False, seen=seen)
        return checkpoints.checkpoints(folder)[-1]

    short = ("optimiser.steps=2", "checkpoints=1")
    first = trained("first", with_scores(scores, "intensity", *short), {"x": "audio"})
    begun = tiny(*short, f"init={first}")
    with pytest.raises(UpstreamError, match=r"learnt from labels of nemo.*--seen"):
        run(begun, data, tmp_path / "unsaid")
    second = upstreams.load(f"mockingjay@{trained('second', begun, {'nemo': 'audio'})}")
    assert second.seen == {"x": "audio", "nemo": "labels"}
    (tuned := tmp_path / "tuned").mkdir()
    name = second.model.write_tuned(second.model.network(), tuned, {"seen": second.seen})
    assert methods.SCORE_PAPERS[0] in upstreams.resolve(f"{name}{tuned}").cite


def test_a_run_does_not_go_on_with_other_scores(data: Path, scores: Path, tmp_path: Path) -> None:
    """Not in its folder, and no ablation takes it for the run that it needs; where the file lies says nothing."""
    file, folder = tmp_path / "scores.parquet", tmp_path / "run"
    file.write_bytes(scores.read_bytes())
    short = ("optimiser.steps=2", "checkpoints=1")

    def go_on(recipe: Recipe) -> None:
        train(recipe, packed(data, recipe), folder, CPU, Processes(), lambda step, line: False, seen={})

    go_on(with_scores(file, "intensity", *short))
    for recipe in (with_scores(file, "intensity", *short), with_scores(scores, "intensity", *short)):
        go_on(recipe)
        assert trained_on(folder, recipe) == packed(data, recipe).pack.key
    scored(file, packed(data, tiny()).pack, {"korean_emotion_tts": "labels"})
    others = with_scores(file, "intensity", *short)
    assert trained_on(folder, others) is trained_on(folder, tiny(*short)) is None
    with pytest.raises(UpstreamError, match=r"another run \(scores differ\)"):
        go_on(others)
    groups = set()
    for recipe in (with_scores(scores, "intensity", "seed=2", *short), others):
        run = tmp_path / f"run-{recipe.seed}"
        train(recipe, packed(data, recipe), run, CPU, Processes(), lambda step, line: False, seen={})
        groups.add(group_of_runs(last := run / name_of(2), "mockingjay"))
    assert last.is_file() and len(groups | {group_of_runs(folder / name_of(2), "mockingjay")}) == 2


def test_recipes_that_need_scores_name_their_file(scores: Path) -> None:
    for changes in (["masking.kind=intensity"], ["loss.score=from_audio"]):
        with pytest.raises(UpstreamError, match="needs frame scores"):
            tiny(*changes)
    with pytest.raises(UpstreamError, match="neither masking"):
        tiny(f"scores={scores}")


def test_a_run_goes_on_bit_for_bit(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "stopped", stop_at=7)
    run(tiny(), data, tmp_path / "stopped")
    run(tiny(), data, tmp_path / "straight")
    assert same(weights(tmp_path / "stopped", 20), weights(tmp_path / "straight", 20))


def test_its_checkpoints_are_upstreams(data: Path, tmp_path: Path) -> None:
    run(tiny(), data, tmp_path / "run")
    names = upstreams.expand(f"mockingjay@{tmp_path / 'run'}/*")
    assert [name.rpartition("-")[2] for name in names] == ["00000010.safetensors", "00000020.safetensors"]
    assert "the same alone" in "".join(check(names[-1]))
    file = str(tmp_path / "mine.safetensors")
    assert main(["release", names[-1].partition("@")[2], file]) == 0
    assert not any("head" in name for name in checkpoints.read(Path(file), "mockingjay").weights)
    wave = torch.randn(16000)
    whole, lean = (upstreams.load(name)([wave])[0] for name in (names[-1], f"mockingjay@{file}"))
    assert (whole - lean).abs().max() < 0.02 * whole.abs().max()


def test_operations_are_counted(data: Path) -> None:
    recipe = tiny(*STILL)
    loaded = packed(data, recipe)
    learner = Reconstruction(recipe, loaded, CPU)
    micro = batch(loaded, 0)  # one utterance: nothing is padded
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # others are not counted
        learner.losses(micro, [micro]).terms.sum().backward()
    own = learner.flops([micro])
    assert own == pytest.approx(counter.get_total_flops(), rel=0.05)
