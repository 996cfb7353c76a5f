"""emotion2vec's recipe: what ships, what is said of impossible ones, and the operations counted for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.upstreams.pretraining.training import STILL, packed, speech, tiny
from upstreams import UpstreamError
from upstreams.emotion2vec.flops import parts
from upstreams.emotion2vec.learner import initial, teacher_of
from upstreams.emotion2vec.masked_batch import load
from upstreams.emotion2vec.objective import predict, targets
from upstreams.emotion2vec.recipe import TOKENS
from upstreams.pretraining import recipe
from upstreams.pretraining.batches import MicroBatch


def test_base_is_the_published_recipe() -> None:
    base = recipe.load("base")
    parameters = sum(p.numel() for p in initial(base).parameters())
    assert parameters == 93_790_988
    assert (base.batch.clones, base.teacher.layers, base.loss.alpha, base.loss.utterance_loss) == (8, 8, 1.0, "chunk")
    assert (base.masking.share, base.masking.span, base.network.tokens) == (0.5, 5, 10)
    assert (base.teacher.decay, base.teacher.end_decay, base.teacher.anneal) == (0.999, 0.99999, 0.2)
    assert (base.optimiser.rate, base.optimiser.warmup, base.optimiser.steps) == (7.5e-5, 0.05, 100_000)


@pytest.mark.parametrize("changes", [("base",), ("small",), ("small", "optimiser.steps=4000")], ids=" ".join)
def test_the_teacher_leaves_its_beginning_behind(changes: tuple[str, ...]) -> None:
    name, *settings = changes
    made = recipe.load(name, settings)
    assert made.teacher.initial_share(made.optimiser.steps) < 0.02 and not made.warnings()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["loss.alpha=much"], r"loss\.alpha: .*number.*it is 'much'"),
        (["loss.alpa=1"], r"loss\.alpa: unknown key"),
        (["model.deep=3"], "model has no deep; known: preset, activation_dropout"),
        (["model.preset=huge"], "'huge' is unknown; expected one of base, large, small"),
        (["model.dim=100"], "no multiple"),
        (["loss.alpha=0", "loss.frame=0", "loss.summary=0", "loss.side=0"], "nothing to learn"),
        (["loss.side_targets=[]", "loss.visible=1", "loss.summary=0"], "no side_targets to predict"),
        (["loss.side_targets=[]", "loss.summary=1"], "no side_targets to summarise"),
        (["loss.summary=0", "loss.pooled=mean_and_deviation"], "pooled decides nothing where summary is 0"),
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


def test_tokens_follow_from_the_utterance_loss() -> None:
    tokens = {kind: recipe.load("base", [f"loss.utterance_loss={kind}"]).network.tokens for kind in TOKENS}
    assert tokens == {"chunk": 10, "token": 1, "global": 0}


def test_settings_that_earlier_versions_lacked_are_written_where_they_decide_something() -> None:
    later = {"views", "visible", "pooled"}
    assert not later & set(recipe.load("small").plain()["loss"])
    changes = ["loss.visible=1", "loss.pooled=mean_and_deviation", "loss.views.kind=contrastive"]
    assert later <= set(recipe.load("small", changes).plain()["loss"])


def test_what_no_loss_needs_is_not_counted() -> None:
    """Side targets of the frames that the student sees need neither teacher nor decoder; views need nothing else."""
    samples, targets = np.full(4, 9600), ["loss.frame=0", "loss.alpha=0", "loss.side=0"]
    every = {"local encoder", "teacher", "student, positional", "student, blocks", "decoder"}
    for changes, left in (
        ([], every),
        ([*targets, "loss.visible=1"], every - {"teacher", "decoder"}),
        ([*targets, "loss.summary=0", "loss.views.kind=contrastive"], {"views"}),
    ):
        made = recipe.load("small", changes)
        assert set(parts(made, made.network, samples)) == left


@pytest.mark.parametrize("stem", ["waveform", "log_mel"])
def test_counted_operations_are_those_torch_performs(tmp_path: Path, stem: str) -> None:
    convolutions = "[[16,10,5],[16,8,8],[16,8,8]]" if stem == "waveform" else "[[16,3,1],[16,3,2]]"
    made = tiny(*STILL, f"model.stem={stem}", f"model.conv_layers={convolutions}", "batch.equal_lengths=true")
    spoken = packed(speech(tmp_path / "speech", 4))
    micro = MicroBatch(0, np.arange(4), np.zeros(4, int), np.full(4, spoken.pack.lengths.min()))
    student = initial(made).eval()
    teacher, inputs = teacher_of(student), load(spoken, micro, made, made.network)
    counted = parts(made, made.network, micro.samples)
    forward = {name: counted[name] / (1 if name == "teacher" else 3) for name in counted}

    def performed(what) -> tuple[float, object]:
        # The fused attention of the CPU is none of those that torch counts.
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            result = what()
        return counter.get_total_flops(), result

    local, (features, _) = performed(lambda: student.local(inputs.waveforms, inputs.lengths))
    taught, _ = performed(lambda: targets(teacher, features, inputs, made))
    learnt, _ = performed(lambda: predict(student, features, inputs, made))
    assert local == pytest.approx(forward["local encoder"], rel=0.01)
    assert taught == pytest.approx(forward["teacher"], rel=0.01)
    assert learnt == pytest.approx(sum(v for name, v in forward.items() if name[:3] in ("stu", "dec")), rel=0.01)
