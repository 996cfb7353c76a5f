"""One step: the gradient of all its micro-batches, and what is done with it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.upstreams.emotion2vec.recipes import move
from tests.upstreams.pretraining.training import STILL, packed, speech, tiny
from upstreams.emotion2vec.masked_batch import Inputs, load
from upstreams.emotion2vec.objective import predict, targets
from upstreams.emotion2vec.recipe import Recipe
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.train import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    return packed(speech(tmp_path_factory.mktemp("learner") / "speech"))


def begun(spoken: Speech, *changes: str) -> Trainer:
    """Before the first step, but with a student that differs from its teacher."""
    trainer = Trainer.begin(tiny(*changes), spoken, CPU, Processes())
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in trainer.learner.student.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return trainer


def unequal(spoken: Speech) -> list[MicroBatch]:
    """Three micro-batches of 2, 7 and 4 utterances."""
    rows = np.split(np.arange(13), [2, 9])
    return [MicroBatch(0, some, np.zeros(len(some), int), spoken.pack.lengths[some]) for some in rows]


def plain_loss(student, teacher, step: list[MicroBatch], spoken: Speech, recipe: Recipe) -> torch.Tensor:
    """The loss of a step in float64, as the paper or (released) fairseq divides it."""
    frames, utterances, masked, clones = [], [], [], []
    for micro in step:
        inputs = load(spoken, micro, recipe, recipe.network)
        inputs = Inputs(**{**vars(inputs), "waveforms": inputs.waveforms.double()})
        features, _ = student.local(inputs.waveforms, inputs.lengths)
        frame_y, utterance_y = targets(teacher, features.detach(), inputs, recipe)
        prediction, embedding, *_ = predict(student, features, inputs, recipe)
        distances = (prediction - frame_y.repeat_interleave(inputs.clones, 0)).square().sum(-1)
        frames.append(distances[inputs.masked].sum() / recipe.network.dim**0.5)
        far = (embedding - utterance_y.repeat_interleave(inputs.clones, 0)).square().sum(-1)
        utterances.append(far.sum() / recipe.network.dim**0.5)
        masked.append(int(inputs.masked.sum()))
        clones.append(len(far))
    if recipe.loss.weighting == "mean":
        utterance = sum(utterances) / sum(clones)
    else:
        utterance = sum(n * loss for n, loss in zip(masked, utterances, strict=True)) / sum(masked)
    return recipe.loss.frame * sum(frames) / sum(masked) + recipe.loss.alpha * utterance


@pytest.mark.parametrize("weighting", ["mean", "released"])
def test_the_gradient_of_a_step_is_that_of_the_loss_over_all_its_micro_batches(spoken: Speech, weighting: str) -> None:
    changes = ("masking.noise=0", f"loss.weighting={weighting}", "loss.frame=0.7", "loss.alpha=0.3")
    trainer, step = begun(spoken, *STILL, *changes), unequal(spoken)
    student, teacher = (copy.deepcopy(model).double() for model in (trainer.learner.student, trainer.learner.teacher))
    loss = plain_loss(student, teacher, step, spoken, trainer.recipe)
    plain = torch.autograd.grad(loss, list(student.parameters()), materialize_grads=True)
    sums = trainer.backward(Position(), step)
    weights = torch.tensor([0.7, 0.3], dtype=torch.float64)
    assert float(sums.losses.sum(0) @ weights) == pytest.approx(float(loss.detach()), rel=1e-5)
    wanted = torch.cat([gradient.flatten() for gradient in plain])
    assert float((trainer.gradients - wanted).norm() / wanted.norm()) < 1e-4


def test_gradients_are_clipped_to_the_norm_before_the_optimiser_sees_them(spoken: Speech) -> None:
    for clip, wanted in (("1.0", 1.0), ("100.0", 10.0), ("null", 10.0)):
        trainer, step = begun(spoken, f"optimiser.clip={clip}"), unequal(spoken)
        sums = trainer.backward(Position(), step)
        trainer.gradients.fill_(10 / len(trainer.gradients) ** 0.5)
        move(trainer, Position(), step, sums, trainer.gradient_norm())
        moments = [trainer.optimiser.state[p]["exp_avg"].flatten() for p in trainer.learner.student.parameters()]
        assert float(torch.cat(moments).norm()) == pytest.approx((1 - 0.9) * wanted, rel=1e-3)


def test_weights_decay_by_rate_and_share_and_biases_not_at_all(spoken: Speech) -> None:
    trainer = begun(spoken, "optimiser.weight_decay=0.5", "optimiser.warmup=0.5")
    before = {name: p.detach().clone() for name, p in trainer.learner.student.named_parameters()}
    step, left = unequal(spoken), 1.0
    sums = trainer.backward(Position(), step)
    trainer.gradients.zero_()  # then only the decay moves them
    for number in range(3):
        left *= 1 - 0.5 * move(trainer, Position(number), step, sums, 0.0)["rate"]
    assert left < 0.9995
    for name, p in trainer.learner.student.named_parameters():
        decays = p.ndim > 1 and not name.endswith("alibi_scale")
        assert torch.allclose(p, before[name] * (left if decays else 1.0), rtol=1e-6, atol=0), name


def into_the_decoder(spoken: Speech, *changes: str) -> tuple[torch.Tensor, Inputs]:
    """What the student's decoder is given for a batch in training: (B * C, T, D)."""
    trainer = begun(spoken, *STILL, *changes)
    recipe, student = trainer.recipe, trainer.learner.student
    given: list[torch.Tensor] = []
    decode = student.decode
    student.decode = lambda x, valid: (given.append(x.detach()), decode(x, valid))[1]  # type: ignore[method-assign]
    inputs = load(spoken, unequal(spoken)[1], recipe, recipe.network)
    features, _ = student.local(inputs.waveforms, inputs.lengths)
    predict(student, features, inputs, recipe)
    return given[0], inputs


@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_masked_slots_are_filled_with_noise_of_the_recipe_s_deviation(spoken: Speech, noise: float) -> None:
    given, inputs = into_the_decoder(spoken, f"masking.noise={noise}")
    slots = given[inputs.masked]
    assert float(slots.std()) == pytest.approx(noise, rel=0.02) and abs(float(slots.mean())) < 0.02 * noise
    assert float(slots.std(0).mean()) == pytest.approx(noise, rel=0.1)  # no row is the other's copy


def test_visible_frames_are_dropped_before_the_decoder_and_noise_is_not(spoken: Speech) -> None:
    whole, inputs = into_the_decoder(spoken)
    given, _ = into_the_decoder(spoken, "model.decoder_dropout=0.25")
    visible = ~inputs.masked & inputs.valid.repeat_interleave(inputs.clones, 0)
    dropped = given[visible] == 0
    assert float(dropped.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(given[visible][~dropped], whole[visible][~dropped] / 0.75, rtol=1e-5)
    assert (given[inputs.masked] != 0).all()


def test_the_teacher_follows_by_the_schedule_s_decay_at_every_step(spoken: Speech) -> None:
    trainer = begun(spoken, "optimiser.steps=8", "teacher.decay=0.5", "teacher.end_decay=0.9", "teacher.anneal=0.5")
    decays = [0.5, 0.6, 0.7, 0.8, 0.9, 0.9]
    before = dict(trainer.learner.teacher.named_parameters())
    before = {name: p.detach().clone() for name, p in before.items() if ".blocks." in name and "decoder" not in name}
    wanted, step = before, unequal(spoken)
    for number, decay in enumerate(decays):
        sums = trainer.backward(Position(number), step)
        assert move(trainer, Position(number), step, sums, trainer.gradient_norm())["ema_decay"] == pytest.approx(decay)
        students = dict(trainer.learner.student.named_parameters())
        wanted = {name: decay * old + (1 - decay) * students[name].detach() for name, old in wanted.items()}
    for name, p in trainer.learner.teacher.named_parameters():
        if name in wanted:
            assert torch.allclose(p, wanted[name], atol=1e-6) and not torch.equal(p, before[name]), name
