"""Networks on frames: padding changes neither loss nor gradients, and norms count valid frames alone."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import downstreams
from downstreams import chance, schedule
from downstreams.aggregators import FrameNorm, Frames
from downstreams.frame_head import FrameHead, padded
from downstreams.frame_training import LONGEST, Scaled, predicted
from downstreams.held_frames import HeldFrames
from downstreams.settings import Sizes
from tests.downstreams.problems import ECAPA, Ragged, features_of, make, short

AGGREGATORS = ("mean", "attentive", "ecapa", "mscnn")
LENGTHS = (1, 7, 30, 2, 12)


def network(aggregator, depth=2, width=6, **sizes):
    own = ECAPA | {"kernels": [1, 3, 5], "dropout": 0.0} | sizes
    return FrameHead(aggregator, depth, width, 3, Sizes(**own), chance.generator("f", 0))


def frames(lengths=LENGTHS, depth=2, width=6, dtype=torch.float64):
    draws = torch.Generator().manual_seed(1)
    return [torch.randn(n, depth, width, generator=draws, dtype=dtype) for n in lengths]


def gradients(head, x, valid, targets):
    """The loss and all gradients of a padded batch."""
    loss = cross_entropy(head(x, valid)[0], targets)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in head.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("aggregator", AGGREGATORS)
@pytest.mark.parametrize("training", [True, False])
def test_more_padding_changes_neither_loss_nor_gradients(aggregator, training):
    """Not even where the padding holds something."""
    head, own, targets = network(aggregator).double().train(training), frames(), torch.tensor([0, 1, 2, 1, 0])
    more = copy.deepcopy(head)
    x, valid = padded(own)
    loss, expected = gradients(head, x, valid, targets)
    far = torch.full((len(own), 20, 2, 6), 1e3, dtype=x.dtype)
    dirty = torch.cat([x + 1e3 * ~valid[..., None, None], far], dim=1)
    again, others = gradients(more, dirty, torch.nn.functional.pad(valid, (0, 20)), targets)
    assert abs(loss - again) < 1e-10
    assert expected.keys() == others.keys()
    for name, gradient in expected.items():
        assert (gradient - others[name]).abs().max() < 1e-8, name


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_a_padded_batch_is_its_utterances_alone(aggregator):
    """In fp32, with the statistics of evaluation: the loss and the summed gradients of single utterances, 1e-5."""
    head, own, targets = network(aggregator).eval(), frames(dtype=torch.float32), torch.tensor([0, 1, 2, 1, 0])
    for norm in head.norms():
        norm.mean.uniform_(-0.1, 0.1)
    alone = copy.deepcopy(head)
    loss, together = gradients(head, *padded(own), targets)
    single = [cross_entropy(alone(*padded([one]))[0], target[None]) for one, target in zip(own, targets, strict=True)]
    torch.stack(single).mean().backward()
    assert abs(loss - torch.stack(single).mean()) < 1e-5
    for name, parameter in alone.named_parameters():
        if parameter.grad is not None:
            assert (parameter.grad - together[name]).abs().max() < 1e-5, name


def test_what_is_made_of_each_frame_takes_no_padding():
    """Whatever stands in padding, infinities included, neither a value nor a gradient comes from it."""
    x, valid = padded(frames(depth=1))
    x = x[:, :, 0].masked_fill(~valid[..., None], torch.inf)
    layer, own = nn.Linear(6, 4).double(), Frames(valid)
    rows = own.rows(x)
    made = own.spread(layer(rows))
    assert len(rows) == sum(LENGTHS) and not made[~valid].any()
    torch.testing.assert_close(made[valid], layer(x[valid]))
    made.square().sum().backward()
    [own] = torch.autograd.grad(layer(x[valid]).square().sum(), [layer.weight])
    torch.testing.assert_close(layer.weight.grad, own)


def test_the_norm_of_frames_is_torchs():
    ours, theirs = FrameNorm(6).double().train(), nn.BatchNorm1d(6).double().train()
    for _ in range(3):
        own = [one[:, 0].requires_grad_() for one in frames()]
        output, expected = ours(torch.cat(own)), theirs(torch.cat(own))
        assert (output - expected).abs().max() < 1e-12
        ours_gradients = torch.autograd.grad(output.square().sum() + output.sin().sum(), own, retain_graph=True)
        theirs_gradients = torch.autograd.grad(expected.square().sum() + expected.sin().sum(), own)
        for one, other in zip(ours_gradients, theirs_gradients, strict=True):
            assert (one - other).abs().max() < 1e-10
    assert torch.allclose(ours.mean, theirs.running_mean)
    assert torch.allclose(ours.variance, theirs.running_var)


def test_the_norm_of_one_frame_is_its_bias():
    norm = FrameNorm(6).double().train()
    with torch.no_grad():
        norm.bias.uniform_()
    x = torch.randn(1, 6, dtype=torch.float64, requires_grad=True)
    made = norm(x)
    assert torch.equal(made[0], norm.bias) and not torch.autograd.grad(made.sum(), x)[0].any()
    assert torch.allclose(norm.mean, 0.1 * x[0]) and (norm.variance == 0.9).all()


def test_statistics_made_anew_are_those_of_all_frames_together():
    norm = FrameNorm(6, momentum=None).double().train()
    batches = [[one[:, 0] for one in frames(lengths)] for lengths in (LENGTHS, (40, 3), (5,))]
    norm(torch.full((6, 6), 1e3, dtype=torch.float64))
    norm.forget()
    for own in batches:
        norm(torch.cat(own))
    every = torch.cat([one for own in batches for one in own])
    assert torch.allclose(norm.mean, every.mean(0))
    assert torch.allclose(norm.variance, every.var(0), rtol=0.05)  # within batches it is that of each batch


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_every_parameter_learns(aggregator):
    head = network(aggregator).double().train()
    _, known = gradients(head, *padded(frames()), torch.tensor([0, 1, 2, 1, 0]))
    for name, parameter in head.named_parameters():
        shifts = aggregator != "mean" and name == "pool.score.bias"  # the same for all frames, so softmax drops it
        assert name in known or not parameter.requires_grad
        assert shifts or not parameter.requires_grad or (known[name].abs().max() > 0), name


@pytest.mark.parametrize("aggregator", ("attentive", "ecapa", "mscnn"))
def test_weighted_layers_are_read_and_recorded(aggregator):
    features, problem = make()
    problem = replace(problem, folds=problem.folds[:2])
    rng = np.random.default_rng(0)
    layers = Ragged([np.stack([rng.standard_normal(f[:, 0].shape), f[:, 0]], axis=1) for f in features.frames])
    reader = short(aggregator, layers="weighted", epochs=16)
    assert reader.needs == {"frames:all"} and short(aggregator).needs == {"frames:last"}
    predictions = downstreams.evaluate(reader, features_of(features.pooled, layers), problem, [0])
    assert len(predictions.layer_weights) == len(problem.folds)
    assert all(abs(sum(own) - 1) < 1e-5 for own in predictions.layer_weights)
    assert np.mean(predictions.layer_weights, axis=0)[1] > 0.5
    assert downstreams.evaluate(short(aggregator), features, problem, [0]).layer_weights is None


def test_features_of_any_scale_give_the_same():
    """Frames are standardised by those of the training part."""
    features, problem = make()
    problem = replace(problem, folds=problem.folds[:2])
    larger = Ragged([(f.astype(np.float32) * 64).astype(np.float16) for f in features.frames])
    for head in ("attentive", "ecapa", "mscnn"):
        own, other = (
            downstreams.evaluate(short(head), features_of(features.pooled, x), problem, [0]).table
            for x in (features.frames, larger)
        )
        assert (own["prediction"] == other["prediction"]).mean() > 0.98


def test_a_very_long_utterance_trains_on_its_beginning_and_is_predicted_whole():
    features, problem = make(n=60, speakers=3)
    features.frames[0] = np.tile(features.frames[0][:1], (LONGEST + 50, 1, 1))
    features.frames[1][:] = 0  # silence
    long = features_of(features.pooled, Ragged(features.frames))
    scaled = Scaled.by(HeldFrames(long.frames, long.ids, "cpu"), problem.folds[1].train)
    assert scaled.batch(np.array([0, 1]), LONGEST)[0].shape[1] == LONGEST
    logits, vectors = predicted(network("ecapa", 1, 12), scaled, np.array([2, 0, 1]))
    assert np.isfinite(logits).all() and len(vectors) == 3
    table = downstreams.evaluate(short("ecapa", epochs=1), long, problem, [0]).table
    assert np.isfinite(table.filter(like="score:").to_numpy()).all()


def test_a_wider_scale_of_mscnn_sees_further():
    """A frame that changes reaches the frames that a kernel covers: with one frame a scale each, only itself."""
    own = [torch.zeros(21, 1, 6), torch.zeros(21, 1, 6)]
    own[1][10] = 5.0
    x, valid = padded(own)
    together, pool = Frames(valid), network("mscnn", 1).eval().pool
    for scale, kernel in zip(pool.scales, (1, 3, 5), strict=True):
        given = together.spread(scale(together.rows(x[:, :, 0]), together))
        assert (given[0] != given[1]).any(1).nonzero()[:, 0].tolist() == [*range(10 - kernel // 2, 11 + kernel // 2)]


def test_scales_of_mscnn_are_odd_and_ascend():
    for wrong in ([2, 3], [5, 3], [3, 3], []):
        with pytest.raises(ValueError, match="kernels"):
            Sizes(kernels=wrong)


def test_predictions_come_in_the_order_of_the_rows():
    features, problem = make(n=60)
    scaled = Scaled.by(HeldFrames(features.frames, features.ids, "cpu"), problem.folds[0].train)
    head, rows = network("mean", 1, 12), np.array([7, 3, 50, 21, 4])
    together = predicted(head, scaled, rows)[0]
    for row, logits in zip(rows, together, strict=True):
        assert np.allclose(predicted(head, scaled, np.array([row]))[0][0], logits, atol=1e-6)


def test_the_schedule_rises_and_falls_and_takes_all_rows():
    factors = [schedule.factor(step, 50, 0.1) for step in range(1, 51)]
    assert factors[4] == max(factors) == 1 and factors == sorted(factors[:5]) + sorted(factors[5:], reverse=True)
    taken = schedule.batches(np.arange(10, 20), 15, 4, chance.generator("f", 0))
    assert sorted(taken.flatten().tolist()) == sorted([*range(10, 20)] * 6)
    cut = schedule.parts(np.array([3, 1, 2]), np.array([9, 5, 90, 4]), 20)
    assert [part.tolist() for part in cut] == [[3, 1], [2]]
