"""Two views of an utterance: what they are, what the objectives reward, and that collapse is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from tests.upstreams.emotion2vec.recipes import move
from tests.upstreams.pretraining.training import STILL, run, same, speech, tiny, weights
from upstreams import UpstreamError
from upstreams.emotion2vec import two_views
from upstreams.emotion2vec.flops import parts
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.launch import prepare
from upstreams.pretraining.method import Speech
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.runfolder import STATE
from upstreams.pretraining.train import Trainer

CPU = torch.device("cpu")
VIEWS = ("loss.views.seconds=0.35", "loss.views.width=16", "loss.views.prototypes=24")
KINDS = ("contrastive", "distillation")
ALONE = ("loss.frame=0", "loss.alpha=0", "collapse.target=0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("views") / "speech")


@pytest.fixture(scope="module")
def spoken(data: Path) -> Speech:
    return prepare(with_views("contrastive", "loss.views.statistics=1"), [data], data.parent / "cache")


def with_views(kind: str, *changes: str):
    return tiny(f"loss.views.kind={kind}", *VIEWS, *changes)


def micro(spoken: Speech, epoch: int = 0, first: int = 0, last: int = 8) -> MicroBatch:
    rows = np.arange(first, last)
    return MicroBatch(epoch, rows, np.zeros(len(rows), int), spoken.pack.lengths[rows])


def test_without_views_recipes_and_states_are_as_before(spoken: Speech) -> None:
    assert "views" not in tiny().plain()["loss"] and tiny("loss.views=null").plain() == tiny().plain()
    state = Trainer.begin(tiny(), spoken, CPU, Processes()).state
    assert set(state) == {"student", "teacher", "heads", "optimiser"}


def test_views_lie_within_their_utterance_and_follow_from_seed_and_epoch(spoken: Speech) -> None:
    recipe, lengths = with_views("contrastive", "loss.views.gain_db=6"), spoken.pack.lengths[:8]
    both, factors = two_views.draw(micro(spoken), lengths, recipe, recipe.loss.views)
    again, same_factors = two_views.draw(micro(spoken), lengths, recipe, recipe.loss.views)
    other, _ = two_views.draw(micro(spoken, epoch=1), lengths, recipe, recipe.loss.views)
    assert (
        (both.starts == again.starts).all() and (factors == same_factors).all() and (both.starts != other.starts).any()
    )
    assert (both.starts >= 0).all() and (both.starts + both.samples <= np.tile(lengths, 2)).all()
    assert (both.utterances[:8] == both.utterances[8:]).all() and (both.starts[:8] != both.starts[8:]).any()
    assert 0.5 < factors.min() < factors.max() < 2 and len(set(factors)) == 16
    alone, _ = two_views.draw(micro(spoken, first=3, last=4), lengths[3:4], recipe, recipe.loss.views)
    assert alone.starts.tolist() == both.starts[[3, 11]].tolist()  # whatever the micro-batch


def test_views_are_the_audio_of_the_utterance_at_its_level(spoken: Speech) -> None:
    recipe = with_views("contrastive", "loss.views.gain_db=6")
    both, factors = two_views.draw(micro(spoken), spoken.pack.lengths[:8], recipe, recipe.loss.views)
    loaded = two_views.load(spoken, micro(spoken), recipe, recipe.network, recipe.loss.views)
    for row in (0, 5, 13):
        start, count = both.starts[row], both.samples[row]
        wanted = factors[row] * spoken.pack.samples(int(both.utterances[row]))[start : start + count]
        assert np.array_equal(loaded.waveforms[row, :count].numpy(), wanted)


def embeddings(seed: int = 0, count: int = 6) -> torch.Tensor:
    return F.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_contrastive_rewards_views_that_agree_and_utterances_that_differ() -> None:
    first, second = embeddings(0), embeddings(1)
    alike = two_views.contrastive(torch.cat([first, first]), 0.1)
    assert alike < two_views.contrastive(torch.cat([first, second]), 0.1)
    assert alike < two_views.contrastive(torch.cat([first[:1].expand(6, -1), first[:1].expand(6, -1)]), 0.1)
    by_hand = 0.0
    both = torch.cat([first, second])
    for row, other in [*zip(range(6), range(6, 12), strict=True), *zip(range(6, 12), range(6), strict=True)]:
        scores = torch.tensor([float(both[row] @ both[i]) / 0.1 for i in range(12) if i != row])
        by_hand += float(scores.logsumexp(0)) - float(both[row] @ both[other]) / 0.1
    assert float(two_views.contrastive(both, 0.1)) == pytest.approx(by_hand / 2, rel=1e-5)


def test_distillation_rewards_what_the_teacher_gives_for_the_other_view() -> None:
    given = torch.cat([3 * embeddings(0), 3 * embeddings(1)])
    other = given.roll(6, 0)
    assert two_views.distillation(other, given, 0.1, 0.04) < two_views.distillation(given, given, 0.1, 0.04)
    target = (given / 0.04).softmax(1)
    entropy = float(-(target * target.clamp(min=1e-30).log()).sum()) / 2
    assert float(two_views.distillation(other * 0.1 / 0.04, given, 0.1, 0.04)) == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize(
    "loss", [lambda e: two_views.contrastive(e, 0.1), lambda e: two_views.distillation(e, e, 0.1, 0.04)]
)
def test_neither_order_of_utterances_nor_of_views_matters(loss) -> None:
    first, second = embeddings(0), embeddings(1)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    wanted = float(loss(torch.cat([first, second])))
    assert float(loss(torch.cat([first[order], second[order]]))) == pytest.approx(wanted, rel=1e-5)
    assert float(loss(torch.cat([second, first]))) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("changes", [("weight=1",), ("weight=0", "statistics=1")], ids=" ".join)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_all_of_the_encoder_and_nothing_of_the_teacher(
    spoken: Speech, kind: str, changes: tuple[str, ...]
) -> None:
    trainer = Trainer.begin(with_views(kind, *ALONE, *(f"loss.views.{c}" for c in changes)), spoken, CPU, Processes())
    trainer.backward(Position(), [micro(spoken)])
    learner = trainer.learner
    for name, parameter in learner.student.named_parameters():
        learns = "decoder" not in name and "extra_tokens" not in name
        assert (parameter.grad.abs().max() > 0) == learns or not learns, name
    shared = {id(p) for p in learner.student.parameters()}
    assert all(p.grad is None for p in learner.teacher.parameters() if id(p) not in shared)
    head = learner.view_heads.student["head"].parameters()
    assert all((p.grad.abs().max() > 0) == ("weight=1" in changes) for p in head)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_gets_the_same_alone_and_padded(spoken: Speech, kind: str) -> None:
    recipe = with_views(kind, *STILL, "loss.views.seconds=0.9")
    learner = Trainer.begin(recipe, spoken, CPU, Processes()).learner
    inputs = two_views.load(spoken, micro(spoken), recipe, recipe.network, recipe.loss.views)
    assert inputs.valid is not None  # the batch is padded
    features, _ = learner.student.local(inputs.waveforms, inputs.lengths)
    together = two_views.pooled(learner.student, features, inputs.valid)
    for row in range(0, 16, 5):
        wave, length = inputs.waveforms[row : row + 1, : inputs.lengths[row]], inputs.lengths[row : row + 1]
        features, _ = learner.student.local(wave, length)
        torch.testing.assert_close(
            two_views.pooled(learner.student, features, None)[0], together[row], rtol=1e-4, atol=1e-4
        )


def likeness(trainer: Trainer, spoken: Speech) -> tuple[float, float]:
    """Mean cosine between the embeddings of two views of one utterance, and of different utterances."""
    recipe, learner = trainer.recipe, trainer.learner
    inputs = two_views.load(spoken, micro(spoken, 999, 0, 16), recipe, recipe.network, recipe.loss.views)
    with torch.no_grad():
        features, _ = learner.student.eval().local(inputs.waveforms, inputs.lengths)
        embedding = learner.view_heads.student["head"](two_views.pooled(learner.student, features, inputs.valid))
    learner.student.train()
    cosine = embedding @ embedding.T
    own = torch.eye(16, dtype=torch.bool).repeat(2, 2)
    return float(cosine.diagonal(16).mean()), float(cosine[~own].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_views_of_an_utterance_stay_alike_and_utterances_come_apart(spoken: Speech, kind: str) -> None:
    changes = ("batch.clones=1", "optimiser.rate=1e-3", "optimiser.steps=60", "teacher.decay=0.97")
    trainer = Trainer.begin(with_views(kind, *ALONE, *changes), spoken, CPU, Processes())
    before = likeness(trainer, spoken)
    for number in range(45):
        step = [micro(spoken, number, 0, 16)]
        sums = trainer.backward(Position(number), step)
        move(trainer, Position(number), step, sums, trainer.gradient_norm())
    own, others = likeness(trainer, spoken)
    assert own > 0.9 and own - others > 3 * (before[0] - before[1])
    assert trainer.learner.figures(sums.statistics, step)["view_var"] > trainer.recipe.loss.views.least


def test_crowding_is_how_near_the_next_utterance_is() -> None:
    first = embeddings(0)
    crowd = F.normalize(first[:1] + 0.01 * embeddings(1), dim=1)
    assert two_views.crowding(torch.cat([crowd, crowd])) > two_views.crowding(torch.cat([first, first]))
    assert two_views.crowding(torch.cat([first[:1], first[1:2]])) == 0  # one utterance has no neighbour
    distances = torch.cdist(first.double(), first.double()).fill_diagonal_(9).min(1).values
    assert float(two_views.crowding(torch.cat([first, first]))) == pytest.approx(
        -float(distances.log().sum()), rel=1e-3
    )


def test_statistics_of_a_view_are_learnt(data: Path, tmp_path: Path) -> None:
    changes = (*ALONE, "loss.views.weight=0", "loss.views.statistics=1", "optimiser.steps=40", "batch.clones=1")
    lines = run(with_views("contrastive", *changes), data, tmp_path / "run")
    assert lines[-1]["view_statistics_loss"] < 0.7 * lines[0]["view_statistics_loss"] and "view_loss" not in lines[0]


def test_the_statistics_that_are_wanted_follow_the_level_of_the_view(spoken: Speech) -> None:
    loaded = {}
    for gain in (0, 6):
        recipe = with_views("contrastive", "loss.views.statistics=1", f"loss.views.gain_db={gain}")
        loaded[gain] = two_views.load(spoken, micro(spoken), recipe, recipe.network, recipe.loss.views).wanted
        _, factors = two_views.draw(micro(spoken), spoken.pack.lengths[:8], recipe, recipe.loss.views)
    louder = (loaded[6] - loaded[0])[:, 2]  # the mean of log energy
    assert np.corrcoef(louder.numpy(), np.log(factors))[0, 1] > 0.999
    assert (loaded[6] - loaded[0])[:, [0, 1, 3, 4, 5]].abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_collapse_of_the_embedding_ends_the_run(data: Path, tmp_path: Path, kind: str) -> None:
    changes = ("loss.views.least=50", "collapse.after=10", "save_every=5")
    with pytest.raises(UpstreamError, match=r"collapsed at step 15 .*views differ by only .*\(view_var\)"):
        run(with_views(kind, *changes), data, tmp_path / "run")


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_that_are_all_the_same_are_a_collapse(spoken: Speech, kind: str) -> None:
    recipe = with_views(kind)
    trainer, step = Trainer.begin(recipe, spoken, CPU, Processes()), [micro(spoken)]
    healthy = trainer.learner.figures(trainer.backward(Position(), step).statistics, step)["view_var"]
    with torch.no_grad():
        trainer.learner.view_heads.student["head"].projector[2].weight.zero_()
        trainer.learner.view_heads.student["head"].projector[2].bias.fill_(1.0)
    collapsed = trainer.learner.figures(trainer.backward(Position(), step).statistics, step)["view_var"]
    assert collapsed < recipe.loss.views.least < healthy


def test_the_centre_is_the_average_of_the_teachers_scores(spoken: Speech) -> None:
    recipe = with_views("distillation", *STILL)
    whole = [micro(spoken)]
    halves = [micro(spoken, last=3), micro(spoken, first=3)]
    centres = []
    for step in (whole, halves):
        trainer = Trainer.begin(recipe, spoken, CPU, Processes())
        sums = trainer.backward(Position(), step)
        move(trainer, Position(), step, sums, trainer.gradient_norm())
        centres.append(trainer.learner.view_heads.centre.clone())
    assert centres[0].abs().max() > 0
    torch.testing.assert_close(*centres)  # however the step is divided into micro-batches and processes
    torch.testing.assert_close(centres[0].double() / (1 - recipe.loss.views.centre), sums.statistics[-24:] / 16,
                               rtol=1e-4, atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_views_goes_on_bit_for_bit(data: Path, tmp_path: Path, kind: str) -> None:
    run(with_views(kind), data, tmp_path / "stopped", stop_at=7)
    lines = run(with_views(kind), data, tmp_path / "stopped")
    straight = run(with_views(kind), data, tmp_path / "straight")
    assert lines[-1]["view_loss"] == straight[-1]["view_loss"]
    assert same(weights(tmp_path / "stopped", 20), weights(tmp_path / "straight", 20))
    ended = [torch.load(tmp_path / name / STATE, weights_only=True)["views"] for name in ("stopped", "straight")]
    assert same(*ended)
    assert not any("head" in name for name in weights(tmp_path / "straight", 20))  # a checkpoint holds none of it


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["loss.views.kind=byol"], r"loss\.views\.kind: .*'contrastive' or 'distillation'"),
        (["loss.views.weight=0"], r"loss\.views: weight and statistics are both 0"),
        (["loss.views.seconds=0.1"], r"loss\.views\.seconds must be at least audio\.min_seconds"),
    ],
)
def test_impossible_views_are_refused(changes: list[str], said: str) -> None:
    with pytest.raises(UpstreamError, match=said):
        tiny(*changes)


def test_operations_of_views_are_counted(spoken: Speech) -> None:
    recipe = with_views("contrastive", *STILL)
    rows = micro(spoken)
    learner = Trainer.begin(recipe, spoken, CPU, Processes()).learner
    inputs = two_views.load(spoken, rows, recipe, recipe.network, recipe.loss.views)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features, _ = learner.student.local(inputs.waveforms, inputs.lengths)
        two_views.pooled(learner.student.train(), features, inputs.valid)
    assert parts(recipe, recipe.network, rows.samples)["views"] == pytest.approx(
        3 * counter.get_total_flops(), rel=0.02
    )
