"""Recipes: those that ship, and what is said of impossible ones; the operations counted for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import upstreams
from commons.errors import EmorepError, UnknownName
from commons.places import Places
from tests.upstreams.emotion2vec.training import STILL, packed, speech, tiny
from upstreams import UpstreamError
from upstreams.__main__ import main
from upstreams.emotion2vec import ablation, recipe
from upstreams.emotion2vec.batches import MicroBatch
from upstreams.emotion2vec.counting import parts
from upstreams.emotion2vec.heard import hear
from upstreams.emotion2vec.learner import initial
from upstreams.emotion2vec.objective import predict, targets
from upstreams.emotion2vec.schedule import ema_decay, initial_share
from upstreams.emotion2vec.teacher import teacher_of


def test_base_is_the_published_recipe() -> None:
    base = recipe.load("base")
    parameters = sum(p.numel() for p in initial(base).parameters())
    assert parameters == 93_790_988
    assert (base.batch.clones, base.teacher.layers, base.loss.alpha, base.loss.utterance_loss) == (8, 8, 1.0, "chunk")
    assert (base.masking.share, base.masking.span, base.network.tokens) == (0.5, 5, 10)
    assert (base.teacher.decay, base.teacher.end_decay, base.teacher.anneal) == (0.999, 0.99999, 0.2)
    assert (base.optimiser.rate, base.optimiser.warmup, base.optimiser.steps) == (7.5e-5, 0.05, 100_000)


@pytest.mark.parametrize("name", recipe.names())
def test_shipped_recipes_are_whole(name: str) -> None:
    assert recipe.load(name).network.blocks >= recipe.load(name).teacher.layers


@pytest.mark.parametrize("changes", [("base",), ("small",), ("small", "optimiser.steps=4000")], ids=" ".join)
def test_the_teacher_leaves_its_beginning_behind(changes: tuple[str, ...]) -> None:
    name, *settings = changes
    made = recipe.load(name, settings)
    decays, left = made.teacher, 1.0
    for step in range(made.optimiser.steps):
        left *= ema_decay(step, made.optimiser.steps, decays.decay, decays.end_decay, decays.anneal)
    assert left < 0.02
    assert left == initial_share(made.optimiser.steps, decays.decay, decays.end_decay, decays.anneal)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["loss.alpha=much"], r"loss\.alpha: .*number.*found 'much'"),
        (["loss.alpa=1"], r"loss\.alpa: Extra inputs"),
        (["model.deep=3"], "model has no deep; known: preset, activation_dropout"),
        (["model.preset=huge"], "'huge' is unknown; expected one of base, large, small"),
        (["model.dim=100"], "no multiple"),
        (["loss.alpha=0", "loss.frame=0"], "nothing to learn"),
        (["teacher.layers=9"], "the model has 4 blocks"),
        (["loss.utterance_loss=token", "model.tokens=3"], r"takes model\.tokens 1, found 3"),
        (["model.decoder_depth=0"], "without a decoder"),
        (["audio.max_seconds=1.5"], "at least twice min_seconds"),
        (["audio.min_seconds=0.1"], "fewer than two spans"),
        (["batch.seconds=3"], "less than the longest utterance"),
        (["optimiser.rate=.nan"], r"optimiser\.rate: .*finite"),
        (["model.preset=[1]"], r"\[1\] is unknown; expected one of base"),
        (["seed=99999999999999999999999999"], "seed: .*less than"),
        (["optimiser.betas=[1,1]"], r"optimiser\.betas\.0: .*less than 1"),
        (["teacher.decay=0.999", "teacher.end_decay=0.99"], r"teacher: end_decay 0\.99 is below decay 0\.999"),
        (["teacher.decay=1.5"], r"teacher\.decay: .*less than or equal to 1"),
        *(
            ([f"model.{key}={value}"], rf"model: .* has {key} .*; expected a whole number of at least {least}")
            for key, value, least in (
                ("pos_groups", 0, 1),
                ("decoder_groups", 0, 1),
                ("dim", "256.0", 1),
                ("dim", "true", 1),
                ("tokens", -1, 0),
                ("pos_kernel", -1, 1),
                ("decoder_kernel", 0, 1),
                ("pos_depth", -1, 1),
                ("pos_depth", 0, 1),
                ("decoder_dim", 0, 1),
                ("decoder_depth", -1, 0),
                ("heads", "four", 1),
                ("depth", -1, 0),
                ("classes", "null", 0),
            )
        ),
        *(
            ([f"model.{key}={value}"], rf"model: .* has {key} .*; expected a number of at least 0 and below 1")
            for key, value in (("dropout", 2), ("layerdrop", 1), ("decoder_dropout", -0.1), ("prenet_dropout", ".nan"))
        ),
        (["model.ffn_ratio=0"], "ffn_ratio 0, which leaves no channel"),
        (["model.ffn_ratio=.inf"], "ffn_ratio inf; expected a number above 0"),
        (["model.normalize=7"], "normalize 7; expected true or false"),
        (["model.stem=[1]"], r"stem \[1\]; expected a word"),
        (["model.conv_layers=5"], r"conv_layers 5; expected \[channels, kernel, stride\]"),
        (["model.conv_layers=[[256,3,0]]"], "conv_layers .*each a whole number of at least 1"),
        (["model.conv_layers=[[256,3.0,1]]"], "conv_layers .*each a whole number of at least 1"),
        (["alpha"], "expected KEY=VALUE"),
        (["loss.alpha.beta=1", "loss.alpha=1"][::-1], "has no keys of its own"),
    ],
)
def test_impossible_recipes_are_refused_by_key(changes: list[str], said: str) -> None:
    with pytest.raises(UpstreamError, match=said):
        recipe.load("small", changes)


def test_unknown_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean small"):
        recipe.load("smal")
    broken = tmp_path / "mine.yaml"
    for text, said in (("a: [", "not YAML"), ("- 1", "must hold sections")):
        broken.write_text(text)
        with pytest.raises(UpstreamError, match=rf"mine\.yaml: {said}"):
            recipe.load(str(broken))


def test_tokens_follow_from_the_utterance_loss() -> None:
    tokens = {kind: recipe.load("base", [f"loss.utterance_loss={kind}"]).network.tokens for kind in recipe.TOKENS}
    assert tokens == {"chunk": 10, "token": 1, "global": 0}


@pytest.mark.parametrize("stem", ["waveform", "log_mel"])
def test_counted_operations_are_those_torch_performs(tmp_path: Path, stem: str) -> None:
    convolutions = "[[16,10,5],[16,8,8],[16,8,8]]" if stem == "waveform" else "[[16,3,1],[16,3,2]]"
    made = tiny(*STILL, f"model.stem={stem}", f"model.conv_layers={convolutions}", "batch.equal_lengths=true")
    pack = packed(speech(tmp_path / "speech", 4), tmp_path)
    micro = MicroBatch(0, np.arange(4), np.zeros(4, int), np.full(4, pack.lengths.min()))
    student = initial(made).eval()
    teacher, heard = teacher_of(student), hear(pack, micro, made, made.network)
    found = parts(made, made.network, micro.samples)
    forward = {name: found[name] / (1 if name == "teacher" else 3) for name in found}

    def performed(what) -> tuple[float, object]:
        # The fused attention of the CPU is none of those that torch counts.
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            result = what()
        return counter.get_total_flops(), result

    local, (features, _) = performed(lambda: student.local(heard.waveforms, heard.lengths))
    taught, _ = performed(lambda: targets(teacher, features, heard, made))
    learnt, _ = performed(lambda: predict(student, features, heard, made))
    assert local == pytest.approx(forward["local encoder"], rel=0.01)
    assert taught == pytest.approx(forward["teacher"], rel=0.01)
    assert learnt == pytest.approx(sum(v for name, v in forward.items() if name[:3] in ("stu", "dec")), rel=0.01)


@pytest.mark.parametrize("name", ablation.names())
def test_every_shipped_ablation_varies_one_recipe_by_possible_settings(name: str) -> None:
    found = ablation.load(name)
    made = {variant: recipe.load(found.config, changes) for variant, changes in found.variants.items()}
    assert len({one.model_dump_json() for one in made.values()}) == len(made) > 1
    assert recipe.load(found.config) in made.values()  # the recipe itself is one of them
    assert set(found.published) <= set(made)
    assert bool(found.published) == bool(found.source)


def test_a_variant_without_a_run_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "losses").mkdir()
    for name in ("emotion2vec:losses/frame", "emotion2vec:losses", "emotion2vec:../losses"):
        with pytest.raises(EmorepError, match=r"holds no run; .*--ablation"):
            upstreams.resolve(name, Places(runs=tmp_path))


def test_a_wrong_recipe_is_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "small", "--data", "nowhere", "--set", "loss.alpha=much"]) == 2
    assert main(["pretrain", "smal", "--data", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert "loss.alpha" in said and "did you mean small" in said


@pytest.mark.parametrize(
    "text",
    [
        "model: &m {blocks: 2}\nloss: *m\n",
        "seed: " + "9" * 5000,
        "model: " + "[" * 20_000,
        "model: {width: 2020-01-01}",
        "model: {width: 2020-99-99}",
        "model: {width: {a: {b: [1]}}}",
        "model: {stem: !!binary aGk=}",
        "optimiser: {steps: " + "9" * 25 + ", rate: 1e400}",
        "x" * 5000 + ": 1",
        "seed: " + "x" * 5000,
    ],
)
def test_a_hostile_recipe_is_refused_and_named_with_nothing_echoed_whole(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UpstreamError, match=r"mine\.yaml") as error:
        recipe.load(str(file))
    assert len(str(error.value)) < 3000
    for change in (f"model.width={text}", f"{text}=1"):
        with pytest.raises(UpstreamError) as error:
            recipe.load("small", [change])
        assert len(str(error.value)) < 3000
