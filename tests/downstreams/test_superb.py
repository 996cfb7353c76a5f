"""SUPERB's head from time-means equals the head on frames, and s3prl's own, step by step."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import downstreams
from downstreams import chance, superb, weighted_sum
from downstreams.errors import DownstreamError
from downstreams.registry import get
from tests.downstreams.problems import make, short

DEPTH, WIDTH, PROJECTED, CLASSES, N = 5, 24, 16, 4, 40


def speech(dtype, seed=0):
    """Frames (T_i, L, D) of N utterances, their time-means (N, L, D) and targets."""
    draws = torch.Generator().manual_seed(seed)
    targets = torch.randint(CLASSES, (N,), generator=draws)
    shifts = torch.randn(CLASSES, DEPTH, WIDTH, generator=draws, dtype=dtype)
    lengths = torch.randint(1, 30, (N,), generator=draws).tolist()
    frames = [
        torch.randn(n, DEPTH, WIDTH, generator=draws, dtype=dtype) + 0.4 * shifts[y]
        for n, y in zip(lengths, targets, strict=True)
    ]
    return frames, torch.stack([f.mean(0) for f in frames]), targets


def started(dtype, rates=1, problems=1):
    generators = [chance.generator(str(q), 0) for q in range(problems)]
    heads = weighted_sum.initial(generators, rates, DEPTH, WIDTH, PROJECTED, CLASSES)
    return weighted_sum.Heads(*(part.to(dtype) for part in heads))


def test_logits_and_gradients_equal_those_of_the_head_on_frames():
    frames, means, targets = speech(torch.float64)
    heads = started(torch.float64)
    draws = torch.Generator().manual_seed(1)
    heads = replace(heads, layers=torch.randn(heads.layers.shape, generator=draws, dtype=torch.float64))
    own = [part[0, 0].clone().requires_grad_() for part in heads]
    layers, w1, b1, w2, b2 = own
    logits = torch.stack(
        [(torch.einsum("tld,l->td", f, layers.softmax(0)) @ w1.T + b1).mean(0) @ w2.T + b2 for f in frames]
    )
    cross_entropy(logits, targets).backward()
    assert (heads.logits(means[None])[0, 0] - logits).abs().max() < 1e-6
    for ours, theirs in zip(heads.gradients(means[None], targets[None]), own, strict=True):
        assert (ours[0, 0] - theirs.grad).abs().max() < 1e-6
    norm = torch.nn.utils.clip_grad_norm_(own, 0.01)
    assert norm > 0.01
    for ours, theirs in zip(heads.gradients(means[None], targets[None], clip=0.01), own, strict=True):
        assert (ours[0, 0] - theirs.grad).abs().max() < 1e-8


def test_heads_in_one_batch_are_those_alone():
    _, means, targets = speech(torch.float64)
    heads = started(torch.float64, rates=2, problems=3)
    batches = torch.stack([torch.arange(q, q + 12) for q in range(3)])
    together = heads.gradients(means[batches], targets[batches], clip=0.1)
    for q in range(3):
        alone = heads.problem(q).gradients(means[batches[q]][None], targets[batches[q]][None], clip=0.1)
        for one, all_ in zip(alone, together, strict=True):
            assert (one[:, 0] - all_[:, q]).abs().max() < 1e-12


@pytest.fixture
def s3prl(monkeypatch):
    """s3prl's featurizer and emotion expert of its own configuration, for the sizes used here."""
    pytest.importorskip("s3prl")
    from upstreams.torchaudio_repair import repair

    repair()
    # The expert's modules import what reads IEMOCAP from disk; nothing of that is used.
    monkeypatch.setitem(sys.modules, "s3prl.downstream.emotion.dataset", ModuleType("dataset"))
    sys.modules["s3prl.downstream.emotion.dataset"].IEMOCAPDataset = None
    sys.modules["s3prl.downstream.emotion.dataset"].collate_fn = None
    from s3prl.downstream.emotion.expert import DownstreamExpert
    from s3prl.downstream.model import UtteranceLevel
    from s3prl.upstream.interfaces import Featurizer

    class Upstream(torch.nn.Module):
        def forward(self, wavs):
            return {"hidden_states": [torch.zeros(1, 50, WIDTH)] * DEPTH}

        def get_downsample_rates(self, key):
            return 320

    expert = DownstreamExpert.__new__(DownstreamExpert)
    torch.nn.Module.__init__(expert)
    expert.projector = torch.nn.Linear(WIDTH, PROJECTED)
    expert.model = UtteranceLevel(PROJECTED, CLASSES, pooling="MeanPooling")
    expert.objective = torch.nn.CrossEntropyLoss()
    expert.test_dataset = SimpleNamespace(idx2emotion=dict(enumerate("abcd")))
    return Featurizer(Upstream(), upstream_device="cpu"), expert


def test_training_equals_s3prl_step_by_step(s3prl):
    """One initialisation, one order of batches: 4 utterances, 8 times, then clip and Adam, as its runner does."""
    featurizer, expert = s3prl
    frames, means, targets = speech(torch.float32)
    heads = started(torch.float32)
    theirs = [featurizer.weights, expert.projector.weight, expert.projector.bias,
              expert.model.post_net.linear.weight, expert.model.post_net.linear.bias]  # fmt: skip
    with torch.no_grad():
        for own, ours in zip(theirs, heads, strict=True):
            own.copy_(ours[0, 0])
    rate, steps = 1e-3, 40
    order = chance.stream(np.arange(N), 32 * steps, torch.Generator().manual_seed(3)).view(steps, 32)
    settings = get("superb").settings
    optimiser = torch.optim.Adam(theirs, lr=rate)
    training = superb.Training(heads, [rate], settings["clip"])
    losses = []
    for rows in order:
        for four in rows.split(4):
            padded = torch.nn.utils.rnn.pad_sequence([frames[i] for i in four], batch_first=True)
            wavs = [torch.zeros(320 * len(frames[i])) for i in four]
            features = featurizer(wavs, {"hidden_states": list(padded.unbind(2))})
            records = {"acc": [], "loss": [], "filename": [], "predict": [], "truth": []}
            loss = expert("train", features, targets[four].tolist(), [""] * 4, records)
            losses.append(loss.item())
            (loss / 8).backward()
        torch.nn.utils.clip_grad_norm_(theirs, settings["clip"])
        optimiser.step()
        optimiser.zero_grad()
        training.step(means[rows][None], targets[rows][None])
        for own, ours in zip(theirs, heads, strict=True):
            assert (own - ours[0, 0]).abs().max() < 2e-5
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_the_schedule_is_that_of_superb_on_iemocap_and_the_same_epochs_elsewhere():
    settings = get("superb").settings
    for n in (3432, 3540, 3606):  # smallest, mean and largest training part of SUPERB's folds
        assert superb.schedule(n, settings) == (30_000, 1000)
    for n in (300, 1000, 20_000):
        steps, every = superb.schedule(n, settings)
        assert steps == 30 * every
        assert steps * settings["batch"] / n == pytest.approx(settings["epochs"], rel=0.02)


def test_rate_and_step_are_those_of_the_best_dev_figure():
    """One rate at a time gives the figures from which all three together choose."""
    features, problem = make()
    settings = short("superb")
    together = downstreams.evaluate("superb", features, problem, [0], settings=settings).choices
    alone = [
        downstreams.evaluate("superb", features, problem, [0], settings=settings | {"rates": [rate]}).choices
        for rate in get("superb").settings["rates"]
    ]
    for chosen, *each in zip(together, *alone, strict=True):
        best = max(each, key=lambda choice: choice["dev"])
        assert {k: chosen[k] for k in ("rate", "step", "dev")} == {k: best[k] for k in ("rate", "step", "dev")}
        assert chosen["edge"] == (chosen["rate"] != 1e-4)


def test_a_grid_of_one_rate_has_no_edge():
    features, problem = make()
    settings = short("superb") | {"rates": [1e-3]}
    choices = downstreams.evaluate("superb", features, problem, [0], settings=settings).choices
    assert not any(choice["edge"] for choice in choices)


def test_layer_weights_find_the_layer_that_tells():
    features, problem = make()
    predictions = downstreams.evaluate("superb", features, problem, [0], settings={"rates": [1e-2], "epochs": 60})
    weights = np.array(predictions.layer_weights)
    assert len(weights) == len(predictions.choices)
    assert np.allclose(weights.sum(1), 1)
    assert (weights.mean(0).argmax()) == 1


def test_a_fold_does_not_depend_on_the_others():
    features, problem = make()
    alone = replace(problem, folds=problem.folds[2:3])
    settings = short("superb")
    one = downstreams.evaluate("superb", features, alone, [0], settings=settings).table
    many = downstreams.evaluate("superb", features, problem, [0], settings=settings).table
    scores = [name for name in one if name.startswith("score:")]
    many = many[many["fold"] == problem.folds[2].name]
    assert np.allclose(one[scores], many[scores], atol=1e-5)


def test_training_that_overflows_is_said_so():
    features, problem = make()
    features.pooled *= 1e37
    with pytest.raises(DownstreamError, match="not finite"):
        downstreams.evaluate("superb", features, problem, [0], settings=short("superb"))
