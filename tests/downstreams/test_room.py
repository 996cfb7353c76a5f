"""Parts of a batch go by what they cost, and become smaller where the GPU's memory runs out."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import downstreams
from commons.errors import EmorepError
from downstreams import tuned_network
from downstreams.errors import DownstreamError
from downstreams.held_frames import HeldFrames
from downstreams.room import Room
from downstreams.tuned_network import draws_of
from tests.downstreams.problems import TUNED, make, short
from tests.downstreams.test_finetune import AGGREGATORS, batch, gradients, network

MOST = 0.24  # s at once; 16 utterances of at most 0.1 s make 5 parts of that
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def runs_out(made, monkeypatch, seconds, first=0):
    """A GPU that holds `seconds` from the call `first` on; returns the seconds of all calls."""
    own, calls = made.live.frames, []

    def frames(encoder, rows, longest=None):
        calls.append(len(rows) * float(made.costs[rows].max()))
        if calls[-1] > seconds and len(calls) > first:
            raise NO_MEMORY
        return own(encoder, rows, longest)

    monkeypatch.setattr(made.live, "frames", frames)
    return calls


@pytest.mark.parametrize("mixup", [0.0, 0.5])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_a_step_without_memory_is_done_again_in_smaller_parts(aggregator, mixup, monkeypatch):
    """Loss, gradients, statistics and random numbers are then bit-equal to those of a network with that little room."""
    given, dropout = batch(mixup=mixup), {"dropout": 0.5, "hidden": 8}
    monkeypatch.setitem(tuned_network.AT_ONCE["audio"], "cpu", MOST / 2)
    small = network(aggregator, **dropout)
    draws = draws_of("f", 0, "dropout")
    loss, expected = gradients(small, given, draws)
    monkeypatch.setitem(tuned_network.AT_ONCE["audio"], "cpu", MOST)
    made, again = network(aggregator, **dropout), draws_of("f", 0, "dropout")
    made.backward(batch(range(16, 32)), None)
    made.head.load_state_dict(network(aggregator, **dropout).head.state_dict())
    calls = runs_out(made, monkeypatch, MOST / 2, first=2)
    other, after = gradients(made, given, again)
    assert other == loss and max(calls) > MOST / 2 >= max(calls[4:])
    assert all(torch.equal(own, after[name]) for name, own in expected.items()) and after.keys() == expected.keys()
    assert torch.equal(draws.get_state(), again.get_state())
    for one, own in zip(small.head.buffers(), made.head.buffers(), strict=True):
        assert torch.equal(one, own)


def test_passes_without_memory_go_on_in_smaller_parts(monkeypatch):
    made, rows = network("ecapa"), np.arange(40)[::-1].copy()
    expected, frames = made.predict(rows), made.last_layer(np.arange(120))
    runs_out(made, monkeypatch, 0.3, first=1)
    for one, own in zip(made.predict(rows), expected, strict=True):
        np.testing.assert_allclose(one, own, atol=1e-5)
    for row, own in made.last_layer(np.arange(120)).items():
        np.testing.assert_allclose(own, frames[row], atol=2e-3)
    made.norms_anew(np.arange(40), draws_of("f", 0, "norms"))


@pytest.mark.parametrize("do", [lambda made: made.backward(batch(), None), lambda made: made.predict(np.arange(9))])
def test_memory_too_small_for_one_utterance_says_what_to_set(do, monkeypatch):
    made = network()
    runs_out(made, monkeypatch, 0.0)
    with pytest.raises(DownstreamError, match=r"single utterance.*`precision: bf16`"):
        do(made)


def test_memory_too_small_says_what_a_network_lacks_for_checkpointing(monkeypatch):
    def unknown(encoder):
        raise EmorepError("mine: name them in an attribute `feed_forward` of the network")

    made = network()
    runs_out(made, monkeypatch, 0.0)
    monkeypatch.setattr(made.live, "checkpoint", unknown)
    with pytest.raises(DownstreamError, match=r"single utterance.*checkpointed: mine: name them .* `feed_forward`"):
        made.backward(batch(), None)


@pytest.mark.parametrize("head", ["finetune", "attentive", "finetune_ecapa"])
def test_memory_that_runs_out_beside_a_step_s_parts_is_one_clear_message(head, monkeypatch):
    """An optimiser's first step takes twice the weights; heads on frozen frames and second stages have no parts."""
    features, problem = make(n=30, speakers=3)
    problem, left = replace(problem, folds=problem.folds[:1]), [TUNED["steps"] if head == "finetune_ecapa" else 0]
    step = torch.optim.AdamW.step

    def runs_out_at_last(*given):
        left[0] -= 1
        if left[0] < 0:
            raise NO_MEMORY
        return step(*given)

    monkeypatch.setattr(torch.optim.AdamW, "step", runs_out_at_last)
    with pytest.raises(DownstreamError, match=r"^the GPU's memory ran out; .*--device cpu.*`batch`.*`lora`"):
        downstreams.evaluate(short(head), features, problem, [0])


def test_frames_that_a_gpu_does_not_hold_stay_in_the_memory_of_the_process(monkeypatch):
    features, problem = make(n=30, speakers=3)
    to, calls = torch.Tensor.to, []

    def moved(own, device):
        calls.append(len(own))
        if len(own) > 20:
            raise NO_MEMORY
        return to(own, device)

    monkeypatch.setattr(torch.Tensor, "to", moved)
    frames = HeldFrames(features.frames, problem.ids, "cpu")
    for row, own in enumerate(frames.each(np.arange(30))):
        assert np.array_equal(own.numpy(), features.frames[row])
    assert calls == [frames.lengths.sum(), *frames.lengths]


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_gradients_are_checkpointed_where_memory_asks(aggregator, monkeypatch):
    """A GPU that holds one utterance only where the encoder keeps its inputs alone; the gradients are the same."""
    given, made = batch(), network(aggregator)
    loss, expected = gradients(network(aggregator), given, None)
    calls, own = [], made.live.checkpoint

    def checkpointed(encoder):
        calls.append(encoder)
        monkeypatch.undo()
        own(encoder)

    runs_out(made, monkeypatch, 0.0)
    monkeypatch.setattr(made.live, "checkpoint", checkpointed)
    other, after = gradients(made, given, None)
    assert calls == [made.encoder] and other == pytest.approx(loss, abs=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(after[name], gradient, rtol=1e-5, atol=1e-6)
    assert gradients(made, given, None)[0] == other and len(calls) == 1


def test_a_long_utterance_among_short_ones_does_not_leave_the_others_one_by_one():
    """A GPU that holds 25 s, and 250 s once gradients are checkpointed: then a batch of 160 s is two parts again."""
    costs, held, tries = np.append(np.linspace(1.2, 6.0, 31), 30.0), [25.0], []
    room = Room(400.0)

    def do(parts):
        tries.append(len(parts))
        if max(len(part) * costs[part].max() for part in parts) > held[0]:
            raise NO_MEMORY
        return parts

    def save():
        held[0], before = 250.0, held[0]
        return before < 250.0

    made = None
    while made is None:
        parts = room.parts(np.arange(32), costs)
        made = room.tried(partial(do, parts), [costs[part] for part in parts], save)
    assert len(made) == 2 and len(tries) <= 7
    assert len(room.parts(np.arange(32), costs)) == 2, "in the next step, too"


def test_passes_are_not_made_smaller_by_what_training_needs(monkeypatch):
    made = network()
    runs_out(made, monkeypatch, 0.11)
    made.backward(batch(), None)
    monkeypatch.undo()
    calls = runs_out(made, monkeypatch, 60.0)
    made.predict(np.arange(16))
    assert len(calls) == 1


def test_other_errors_stay_as_they_are():
    def fails():
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Room(10.0).tried(fails, [np.ones(4)])


def test_parts_go_by_what_the_network_pads(monkeypatch):
    """An utterance that costs 30 s counts as 30 s, in training and in passes."""
    monkeypatch.setitem(tuned_network.AT_ONCE["audio"], "cpu", 60.0)
    own = network().live
    monkeypatch.setattr(type(own), "costs", lambda self, longest=None: np.full(len(self), 30.0))
    made, sizes, frames = network(), [], own.frames

    def counted(encoder, rows, longest=None):
        sizes.append(len(rows))
        return frames(encoder, rows, longest)

    monkeypatch.setattr(made.live, "frames", counted)
    made.backward(batch(), None)
    made.predict(np.arange(16))
    assert sizes == [2] * 16
    made.last_layer(np.arange(16))
    assert sizes == [2] * 24
