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
from downstreams.settings import Superb
from tests.downstreams.problems import make, reader, short

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
    frames, means = [4 * f for f in frames], 4 * means  # so that some gradients are clipped and some not
    heads = started(torch.float32)
    theirs = [featurizer.weights, expert.projector.weight, expert.projector.bias,
              expert.model.post_net.linear.weight, expert.model.post_net.linear.bias]  # fmt: skip
    with torch.no_grad():
        for own, ours in zip(theirs, heads, strict=True):
            own.copy_(ours[0, 0])
    rate, steps = 1e-3, 40
    order = chance.stream(np.arange(N), 32 * steps, torch.Generator().manual_seed(3)).view(steps, 32)
    clip = Superb().clip
    optimiser = torch.optim.Adam(theirs, lr=rate)
    training = superb.Training(heads, [rate], clip)
    losses, norms = [], []
    for rows in order:
        for four in rows.split(4):
            padded = torch.nn.utils.rnn.pad_sequence([frames[i] for i in four], batch_first=True)
            wavs = [torch.zeros(320 * len(frames[i])) for i in four]
            features = featurizer(wavs, {"hidden_states": list(padded.unbind(2))})
            records = {"acc": [], "loss": [], "filename": [], "predict": [], "truth": []}
            loss = expert("train", features, targets[four].tolist(), [""] * 4, records)
            losses.append(loss.item())
            (loss / 8).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(theirs, clip).item())
        optimiser.step()
        optimiser.zero_grad()
        training.step(means[rows][None], targets[rows][None])
        for own, ours in zip(theirs, heads, strict=True):
            assert (own - ours[0, 0]).abs().max() < 2e-5
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])
    assert max(norms) > clip > min(norms)


def test_the_schedule_is_that_of_superb_on_iemocap_and_the_same_epochs_elsewhere():
    settings = Superb()
    for n in (3432, 3540, 3606):  # smallest, mean and largest training part of SUPERB's folds
        assert superb.schedule(n, settings) == (30_000, 1000)
    for n in (300, 1000, 20_000):
        steps, every = superb.schedule(n, settings)
        assert steps == 30 * every
        assert steps * settings.batch / n == pytest.approx(settings.epochs, rel=0.02)


class Plain:
    """The recipe by torch's own parts, one fold, seed and rate at a time: its figures on the way to the best step."""

    def __init__(self, means, problem, fold, seed, rate, settings):
        draws = chance.generator(fold.name, seed)
        layers = torch.zeros(means.shape[1], requires_grad=True)
        projector = torch.nn.Linear(means.shape[2], settings.projector)
        classifier = torch.nn.Linear(settings.projector, len(problem.classes))
        parameters = [layers, *projector.parameters(), *classifier.parameters()]
        with torch.no_grad():
            for linear in (projector, classifier):
                for own in (linear.weight, linear.bias):
                    own.uniform_(-(linear.in_features**-0.5), linear.in_features**-0.5, generator=draws)
        optimiser = torch.optim.Adam(parameters, lr=rate)
        targets, steps, every = torch.tensor(problem.targets), *superb.schedule(len(fold.train), settings)

        def projected(rows):
            return projector(torch.einsum("nld,l->nd", means[rows], layers.softmax(0)))

        self.rate, self.figures, self.norms, order = rate, [], [], torch.zeros(0, dtype=torch.long)
        for step in range(1, steps + 1):
            while len(order) < settings.batch:
                order = torch.cat([order, torch.randperm(len(fold.train), generator=draws)])
            rows, order = fold.train[order[: settings.batch]], order[settings.batch :]
            optimiser.zero_grad()
            cross_entropy(classifier(projected(rows)), targets[rows]).backward()
            self.norms.append(torch.nn.utils.clip_grad_norm_(parameters, settings.clip).item())
            optimiser.step()
            if step % every:
                continue
            with torch.no_grad():
                right = classifier(projected(fold.dev)).argmax(1) == targets[fold.dev]
                self.figures.append(100 * right.double().mean().item())
                if self.figures[-1] > max(self.figures[:-1], default=-1):
                    self.step, self.dev = step, self.figures[-1]
                    self.outputs = projected(fold.test).numpy()
                    self.scores = classifier(projected(fold.test)).softmax(1).numpy()


def test_choices_and_predictions_are_those_of_a_plain_loop():
    features, problem = make()
    features = replace(features, pooled=2 * features.pooled)
    uneven = replace(problem.folds[1], train=problem.folds[1].train[:100], inner=())
    problem = replace(problem, folds=(problem.folds[0], uneven, *problem.folds[2:4]))
    own = short("superb", rates=[1e-4, 3e-4, 1e-3, 1e-2])
    settings = Superb.model_validate(own.settings)
    means = torch.tensor(features.pooled[:, 0])
    ours = downstreams.evaluate(own, features, problem, [3, 5])
    plain = [
        [Plain(means, problem, fold, seed, rate, settings) for rate in settings.rates]
        for seed in (3, 5)
        for fold in problem.folds
    ]
    best = [max(rates, key=lambda one: one.dev) for rates in plain]  # the first of equals
    for one, chosen in zip(best, ours.choices, strict=True):
        assert (chosen["rate"], chosen["step"], chosen["dev"]) == (one.rate, one.step, pytest.approx(one.dev))
        assert chosen["edge"] == (one.rate in (1e-4, 1e-2))
    scores = ours.table[[f"score:{c}" for c in problem.classes]].to_numpy()
    assert np.abs(scores - np.concatenate([one.scores for one in best])).max() < 1e-4
    assert np.abs(ours.outputs - np.concatenate([one.outputs for one in best[: len(problem.folds)]])).max() < 1e-3

    # What the loop is to tell apart does occur here.
    assert len({one.rate for one in best}) > 1
    assert any(one.rate != settings.rates[0] and one.figures[-1] != one.dev for one in best), "not the last step"
    assert any(one.figures.count(one.dev) > 1 for one in best), "equal figures at several steps"
    assert any(sum(other.dev == one.dev for other in rates) > 1 for one, rates in zip(best, plain, strict=True))
    norms = np.concatenate([one.norms for one in best])
    assert (norms > settings.clip).any() and (norms < settings.clip).any()


def test_a_grid_of_one_rate_has_no_edge():
    features, problem = make()
    choices = downstreams.evaluate(short("superb", rates=[1e-3]), features, problem, [0]).choices
    assert not any(choice["edge"] for choice in choices)


def test_layer_weights_find_the_layer_that_tells():
    features, problem = make()
    predictions = downstreams.evaluate(reader("superb", rates=[1e-2], epochs=60), features, problem, [0])
    weights = np.array(predictions.layer_weights)
    assert len(weights) == len(predictions.choices)
    assert np.allclose(weights.sum(1), 1)
    assert (weights.mean(0).argmax()) == 1


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_fold_does_not_depend_on_the_others(mixup):
    """Nor on how many more steps they have."""
    features, problem = make()
    short_one = replace(problem.folds[2], train=problem.folds[2].train[:60], inner=())
    problem = replace(problem, folds=(*problem.folds[:2], short_one, *problem.folds[3:]))
    alone = replace(problem, folds=problem.folds[2:3])
    one = downstreams.evaluate(short("superb", mixup=mixup), features, alone, [0]).table
    many = downstreams.evaluate(short("superb", mixup=mixup), features, problem, [0]).table
    scores = [name for name in one if name.startswith("score:")]
    many = many[many["fold"] == problem.folds[2].name]
    assert np.allclose(one[scores], many[scores], atol=1e-5)


def test_training_that_overflows_is_said_so():
    features, problem = make()
    features = replace(features, pooled=np.float32(1e37) * features.pooled)
    with pytest.raises(DownstreamError, match="not finite"):
        downstreams.evaluate(short("superb"), features, problem, [0])
