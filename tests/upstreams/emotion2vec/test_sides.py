"""Options of our own: side targets, gains."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.upstreams.pretraining.training import STILL, buzzes, packed, run, tiny
from upstreams.emotion2vec.masked_batch import counts, load, mel_at
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import predict, terms, time_deviation, time_mean
from upstreams.emotion2vec.recipe import Loss
from upstreams.emotion2vec.sides import SPREAD, Heads, side_loss, statistics
from upstreams.pretraining.batches import MEL_HOP, MEL_WINDOW, MicroBatch, gain
from upstreams.pretraining.mel import LogMel
from upstreams.pretraining.method import Speech
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.tracks import CENTRE, SCALE, Tracks

SIDES_ALONE = ("loss.frame=0", "loss.alpha=0", "loss.side=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return buzzes(tmp_path_factory.mktemp("sides") / "speech")


@pytest.fixture(scope="module")
def pack(data: Path) -> Pack:
    return packed(data).pack


def of(pack: Pack, start: int, samples: int, gains: float = 1.0) -> np.ndarray:
    micro = MicroBatch(0, np.arange(8), np.full(8, start), np.full(8, samples))
    return Tracks(pack).of(micro, tiny().network, np.full(8, gains, np.float32))


def test_tracks_are_the_pitch_voicing_and_energy_of_each_frame(pack: Pack) -> None:
    tracks = of(pack, 0, 19200) * SCALE + CENTRE
    assert np.exp(np.nanmedian(tracks[:, :, 0], axis=1)) == pytest.approx(np.linspace(110, 220, 8), rel=0.02)
    assert (tracks[:, 5:45, 1] == 1).mean() > 0.95 and (tracks[:, -4:, 1] == 0).all()
    assert np.isnan(tracks[:, -4:, 0]).all()
    # 20 ms a frame: amplitude grows fourfold in a second
    assert np.diff(tracks[:, 5:45, 2].mean(0)).mean() == pytest.approx(2 * np.log(4) / 50, rel=0.1)


def test_tracks_follow_crop_and_gain(pack: Pack) -> None:
    whole = of(pack, 0, 19200)
    assert np.nanmax(np.abs(of(pack, 3200, 9600)[:, :27] - whole[:, 10:37])) < 1e-6
    louder = (of(pack, 0, 19200, gains=2.0) - whole) * SCALE
    assert louder[:, :, 2] == pytest.approx(2 * np.log(2), abs=1e-5) and np.nanmax(np.abs(louder[:, :, :2])) == 0


def test_what_is_unvoiced_has_no_pitch_to_learn() -> None:
    tracks = torch.tensor([[float("nan"), -1.0, 0.5], [0.3, 1.0, 0.2]])
    learnt = Heads(Loss(side_targets=("f0",)), 4)
    predicted = torch.randn(2, 4)
    with torch.no_grad():
        out = learnt.frames(predicted)
        wanted = (out[1, 0] - 0.3) ** 2 + (out[0, 1] + 1) ** 2 + (out[1, 1] - 1) ** 2
        assert side_loss(learnt, learnt.frames, predicted, tracks[:, :2]) == pytest.approx(float(wanted) / 2)


def test_statistics_are_those_of_what_is_there() -> None:
    nan = float("nan")
    tracks = torch.tensor([[1.0, 3.0, nan, 4.0, 9.0], [nan] * 5]).unsqueeze(-1)
    valid = torch.tensor([[True] * 4 + [False], [True] * 5])
    mean, deviation, change = statistics(tracks, valid)[0] * torch.tensor(SPREAD)
    present = np.array([1, 3, 4])
    assert mean == pytest.approx(present.mean()) and deviation == pytest.approx(present.std())
    assert change == pytest.approx(2)  # 3 to 4 has a gap between
    assert (statistics(tracks, valid)[1] == 0).all()
    assert torch.equal(statistics(tracks[:1, :4], None)[0], statistics(tracks, valid)[0])


def test_bands_are_those_in_the_middle_of_a_frame(pack: Pack) -> None:
    network, waveforms = tiny().network, torch.from_numpy(pack.samples(0))[None]
    bands = mel_at(waveforms, network, 20)
    for t in (0, 7, 19):
        start = round((t * network.hop + network.min_samples / 2 - MEL_WINDOW / 2) / MEL_HOP) * MEL_HOP
        if start >= 0:
            alone = LogMel()(waveforms[:, start : start + MEL_WINDOW])
            assert torch.allclose(bands[:, t], alone[:, 0], atol=1e-5)


@pytest.mark.parametrize("pooled", ["mean", "mean_and_deviation"])
def test_an_utterances_statistics_are_learnt(data: Path, tmp_path: Path, pooled: str) -> None:
    changes = ("loss.side_targets=[log_energy,f0,log_mel]", "loss.summary=5", f"loss.pooled={pooled}")
    lines = run(tiny(*changes, "optimiser.steps=60"), data, tmp_path / "run")
    assert lines[-1]["summary_loss"] < 0.7 * lines[0]["summary_loss"]


def test_deviations_are_those_of_valid_frames() -> None:
    frames = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    made = time_deviation(frames, time_mean(frames, valid), valid)
    wanted = torch.stack([frames[0].std(0, correction=0), frames[1, :4].std(0, correction=0)])
    assert torch.allclose(made, wanted, atol=1e-4)
    assert torch.allclose(time_deviation(frames[:1], frames[:1].mean(1), None), wanted[:1], atol=1e-4)


@pytest.mark.parametrize("equal", [True, False])
def test_visible_frames_are_predicted_from_the_last_layer(pack: Pack, equal: bool) -> None:
    """Each of its own frame's targets, as a loop over clones and frames gives it; padding is no frame."""
    recipe = tiny("loss.side_targets=[log_mel]", "loss.visible=1")
    torch.manual_seed(0)
    student = Emotion2vec(recipe.network)
    heads = Heads(recipe.loss, recipe.network.dim)
    micro = MicroBatch(0, np.arange(3), np.zeros(3, int), np.array([9600] * 3 if equal else [9600, 6400, 8000]))
    inputs = load(Speech(pack), micro, recipe, recipe.network)
    assert (inputs.kept_valid is None) == equal and inputs.sides is not None
    with torch.no_grad():
        features, _ = student.eval().local(inputs.waveforms, inputs.lengths)
        last = predict(student, features, inputs, recipe).visible
        sum_, frames = 0.0, 0
        for clone, kept in enumerate(inputs.kept.tolist()):
            for place, t in enumerate(kept):
                if inputs.kept_valid is None or inputs.kept_valid[clone, place]:
                    wanted = inputs.sides[clone // inputs.clones, t]
                    sum_ += float((heads.visible(last[clone, place]) - wanted).square().mean())
                    frames += 1
        own = terms(student, copy.deepcopy(student), heads, inputs, recipe).visible
    assert float(own) == pytest.approx(sum_, rel=1e-4)
    assert frames == counts(recipe, recipe.network, [micro]).kept


def test_what_visible_frames_hold_is_learnt(data: Path, tmp_path: Path) -> None:
    changes = ("loss.side_targets=[log_mel]", "loss.side=0", "loss.visible=2", "optimiser.steps=40")
    lines = run(tiny(*changes), data, tmp_path / "run")
    assert lines[-1]["visible_loss"] < 0.7 * lines[0]["visible_loss"]


def test_without_losses_of_masked_frames_neither_teacher_nor_decoder_is_computed(
    data: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other losses and their gradients are the same; the log has theirs alone."""
    targets = ("loss.side_targets=[log_mel]", "loss.visible=2", "loss.summary=3")
    micro = MicroBatch(0, np.arange(3), np.zeros(3, int), np.array([9600, 6400, 8000]))
    losses, gradients = [], []
    for changes in (targets, (*targets, *SIDES_ALONE)):
        recipe = tiny(*STILL, *changes)
        torch.manual_seed(0)
        student = Emotion2vec(recipe.network)
        heads = Heads(recipe.loss, recipe.network.dim)
        inputs = load(Speech(pack), micro, recipe, recipe.network)
        made = terms(student, None if gradients else copy.deepcopy(student), heads, inputs, recipe)
        losses.append(made.visible + made.summary)
        losses[-1].backward()
        gradients.append(
            [None if p.grad is None else p.grad.clone() for b in student.all_blocks() for p in b.parameters()]
        )
        monkeypatch.setattr(Emotion2vec, "decode", None)
    assert losses[0] == losses[1] and all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    recipe = tiny(*targets, *SIDES_ALONE, "optimiser.steps=40")
    lines = run(recipe, data, tmp_path / "run")
    assert lines[-1]["visible_loss"] < 0.7 * lines[0]["visible_loss"]
    assert {name for name in lines[0] if name.endswith(("_loss", "_var"))} == {"visible_loss", "summary_loss"}


def test_side_targets_are_learnt_and_leave_the_checkpoint_as_it_is(data: Path, tmp_path: Path) -> None:
    recipe = tiny("loss.side_targets=[log_energy,f0]", "optimiser.steps=40", "batch.equal_lengths=true")
    lines = run(recipe, data, tmp_path / "run")
    assert lines[-1]["side_loss"] < 0.85 * lines[0]["side_loss"]


def test_gains_are_drawn_for_every_epoch_and_utterance(pack: Pack) -> None:
    drawn = [gain(tiny("audio.gain_db=6"), epoch, utterance) for epoch in range(20) for utterance in range(20)]
    assert 0.5 < min(drawn) < 0.6 and 1.8 < max(drawn) < 2 and len(set(drawn)) == 400
    micro = MicroBatch(3, np.arange(2), np.zeros(2, int), pack.lengths[:2])
    plain, changed = (
        load(Speech(pack), micro, tiny(*how), tiny().network).waveforms for how in ((), ("audio.gain_db=6",))
    )
    wanted = gain(tiny("audio.gain_db=6"), 3, 1)
    assert torch.allclose(changed[1], plain[1] * wanted) and gain(tiny(), 3, 1) == 1
