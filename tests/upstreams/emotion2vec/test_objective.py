"""What is minimised: agrees with a plain float64 computation, and none of the published traps is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.upstreams.pretraining.training import STILL, packed, speech, tiny
from upstreams.emotion2vec.learner import follow, teacher_of
from upstreams.emotion2vec.masked_batch import Inputs, counts, load
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import instance_norm, predict, targets, terms, utterance_weight
from upstreams.emotion2vec.recipe import Recipe, Teacher
from upstreams.pretraining.batches import MicroBatch, span_masks
from upstreams.pretraining.method import Speech
from upstreams.pretraining.recipe_sections import Optimiser

LOSSES = [
    (), ("loss.utterance_target=raw_mean",), ("loss.utterance_target=as_published",),
    ("loss.utterance_loss=token", "model.tokens=1"), ("loss.utterance_loss=global", "model.tokens=0"),
    ("loss.weighting=released", "loss.alpha=0.1"), ("loss.scale=1.0",), ("teacher.layers=1",),
    ("model.stem=waveform", "model.conv_layers=[[16,10,5],[16,8,8],[16,8,8]]"),
]  # fmt: skip


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    return packed(speech(tmp_path_factory.mktemp("objective") / "speech"))


def models(recipe: Recipe) -> tuple[Emotion2vec, Emotion2vec]:
    """A student, and a teacher that differs from it, both with every parameter at work."""
    torch.manual_seed(3)
    student = Emotion2vec(recipe.network)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    teacher = teacher_of(student)
    with torch.no_grad():
        for name, parameter in teacher.named_parameters():
            if "local_encoder" not in name and "project_features" not in name and "decoder" not in name:
                parameter += 0.02 * torch.randn_like(parameter)
    return student.train(), teacher


def micro_batch(spoken: Speech, size: int = 5) -> MicroBatch:
    rows = np.arange(size)
    return MicroBatch(epoch=2, utterances=rows, starts=np.zeros(size, int), samples=spoken.pack.lengths[rows])


def by_hand(student: Emotion2vec, teacher: Emotion2vec, spoken: Speech, recipe: Recipe) -> tuple[float, float]:
    """Both losses, utterance by utterance and clone by clone, in float64, with nothing padded or gathered."""
    student, teacher = (model.double().eval() for model in (student, teacher))
    frame_sum, utterance_sum, masked_frames, clones = 0.0, 0.0, 0, 0
    scale = recipe.loss.scale or 1 / np.sqrt(recipe.network.dim)
    for utterance in range(5):
        waveform = torch.from_numpy(spoken.pack.samples(utterance)).double()[None]
        with torch.no_grad():
            features, _ = student.local(waveform, torch.tensor([waveform.shape[1]]))
            frames = torch.arange(features.shape[1])[None]
            outputs = teacher.encode(teacher.positioned(features, None), frames).ffn
        layers = np.stack([o[0].numpy() for o in outputs[-recipe.teacher.layers :]])
        normed = (layers - layers.mean(1, keepdims=True)) / np.sqrt(layers.var(1, keepdims=True) + 1e-5)
        target, means = normed.mean(0), layers.mean(1)
        wanted = {
            "as_published": target.mean(0),
            "raw_mean": means.mean(0),
            "layer_norm": ((means - means.mean(1, keepdims=True))
                           / np.sqrt(means.var(1, keepdims=True) + 1e-5)).mean(0),
        }[recipe.loss.utterance_target]  # fmt: skip
        for mask in span_masks(recipe.seed, 2, utterance, len(target), recipe.batch.clones, recipe.masking):
            kept = torch.from_numpy(np.flatnonzero(~mask))[None]
            with torch.no_grad():
                x = student.positioned(features, None, torch.from_numpy(mask)[None])
                encoded = student.encode(x[:, kept[0]], kept)
                full = torch.zeros_like(x)
                full[:, kept[0]] = encoded.hidden[-1]
                prediction = student.decode(full)[0].numpy()
            pooled = encoded.hidden[-1] if recipe.loss.utterance_loss == "global" else encoded.tokens
            frame_sum += scale * ((prediction - target)[mask] ** 2).sum()
            utterance_sum += scale * ((pooled[0].numpy().mean(0) - wanted) ** 2).sum()
            masked_frames += mask.sum()
            clones += 1
    weight = 1.0 if recipe.loss.weighting == "released" else 1 / clones
    return frame_sum / masked_frames, utterance_sum * weight


@pytest.mark.parametrize("changes", LOSSES, ids=lambda changes: changes[0] if changes else "default")
def test_losses_agree_with_a_plain_float64_computation(spoken: Speech, changes: tuple[str, ...]) -> None:
    recipe = tiny("masking.noise=0", *STILL, *changes)
    student, teacher = models(recipe)
    micro = micro_batch(spoken)
    inputs = load(spoken, micro, recipe, recipe.network)
    assert inputs.valid is not None and inputs.kept_valid is not None  # the batch is padded
    sums = terms(student, teacher, torch.nn.Identity(), inputs, recipe)
    masked, _, clones = counts(recipe, recipe.network, [micro])
    frame = float(sums.frame.detach()) / masked
    utterance = float(sums.utterance.detach()) * utterance_weight(recipe.loss.weighting, clones, 1.0)
    assert (frame, utterance) == pytest.approx(by_hand(student, teacher, spoken, recipe), rel=2e-4, abs=1e-9)


def between_utterances(spoken: Speech, kind: str) -> float:
    recipe = tiny(f"loss.utterance_target={kind}")
    student, teacher = models(recipe)
    inputs = load(spoken, micro_batch(spoken, 20), recipe, recipe.network)
    features, _ = student.local(inputs.waveforms, inputs.lengths)
    _, of_utterances = targets(teacher, features.detach(), inputs, recipe)
    return float(of_utterances.std(0).mean())


def test_the_published_utterance_target_is_the_same_for_all_and_the_default_is_not(spoken: Speech) -> None:
    assert between_utterances(spoken, "as_published") < 1e-5
    assert between_utterances(spoken, "raw_mean") > 1e-3
    assert between_utterances(spoken, tiny().loss.utterance_target) > 1e-2


def test_instance_norm_leaves_padding_out() -> None:
    torch.manual_seed(0)
    x, valid = torch.randn(2, 9, 4) * 3 + 5, torch.ones(2, 9, dtype=torch.bool)
    valid[1, 6:] = False
    alone = torch.nn.functional.instance_norm(x[1:, :6].transpose(1, 2)).transpose(1, 2)
    assert torch.allclose(instance_norm(x, valid)[1, :6], alone[0], atol=1e-5)
    assert (instance_norm(x, valid)[1, 6:] == 0).all()


def test_the_student_never_gets_a_masked_frame(spoken: Speech) -> None:
    recipe = tiny("masking.noise=0", *STILL)
    student, _ = models(recipe)
    inputs = load(spoken, micro_batch(spoken), recipe, recipe.network)
    features, _ = student.local(inputs.waveforms, inputs.lengths)

    one = Inputs(
        **{
            **vars(inputs),
            **{name: getattr(inputs, name)[:: inputs.clones] for name in ("masked", "kept", "kept_valid")},
        }
    )
    before = predict(student, features, one, recipe)
    after = predict(student, torch.where(one.masked[:, :, None], 7.0, features), one, recipe)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_teacher_is_the_float32_average_and_shares_the_local_encoder() -> None:
    student = Emotion2vec(tiny().network)
    teacher = teacher_of(student)
    first = {name: p.detach().clone() for name, p in student.named_parameters()}
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 1
    follow(teacher, student, 0.9)
    for (name, own), learnt in zip(teacher.named_parameters(), student.parameters(), strict=True):
        shared = any(part in name for part in ("local_encoder", "project_features", "decoder"))
        assert own.dtype == torch.float32 and (own is learnt) == shared
        assert torch.allclose(own, learnt if shared else 0.9 * first[name] + 0.1 * learnt, atol=1e-6), name


def test_schedules_go_by_shares_of_the_run() -> None:
    teacher = Teacher(decay=0.999, end_decay=0.9999, anneal=0.2)
    for steps in (100, 10_000):
        assert teacher.decay_at(0, steps) == 0.999
        assert teacher.decay_at(steps // 10, steps) == pytest.approx(0.99945)
        assert teacher.decay_at(steps // 2, steps) == 0.9999
        decays = [teacher.decay_at(step, steps) for step in range(steps)]
        assert teacher.initial_share(steps) == pytest.approx(np.prod(decays))
        optimiser = Optimiser(steps=steps, rate=1.0, warmup=0.1)
        rates = [optimiser.rate_at(step) for step in range(steps)]
        assert max(rates) == 1.0 == rates[steps // 10 - 1] and rates[0] == pytest.approx(10 / steps)
        assert rates[-1] < 0.001 and rates[steps * 55 // 100] == pytest.approx(0.5, abs=0.01)
