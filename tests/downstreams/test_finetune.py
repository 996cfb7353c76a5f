"""Fine-tuning on a tiny encoder: batches, read-outs, states that survive a kill, faults that are named."""

import copy
import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from commons.errors import UnknownName
from downstreams import course as courses
from downstreams import schedule, tuned_network
from downstreams.class_loss import ClassLoss
from downstreams.course import Course, Setup, chosen_rate, scored_after
from downstreams.errors import DownstreamError
from downstreams.frame_head import FrameHead
from downstreams.settings import FineTune
from downstreams.settings import FrameHead as OnFrames
from downstreams.shelf import Shelf, within
from downstreams.tuned_network import Batch, TunedNetwork, average, draws_of
from tests.downstreams.problems import ECAPA, MadeUpLive, Ragged, features_of, make, short

AGGREGATORS = ("mean", "attentive", "ecapa", "mscnn")
READOUTS = ("average", "best", "last")


def settings(**changed):
    return FineTune.model_validate(short("finetune", **(ECAPA | {"dropout": 0.0} | changed)).settings)


def setup(**changed):
    features, problem = make(n=120)
    return Setup(features.live, problem, problem.folds[0], 0, settings(**changed), "cpu")


def network(aggregator="mean", **changed):
    return TunedNetwork(setup().live, 3, settings(aggregator=aggregator, **changed), draws_of("f", 0, "head"), "cpu")


def batch(rows=range(16), **settings):
    rows = np.array(rows)
    return Batch(rows, ClassLoss(torch.arange(120) % 3, torch.tensor([0.5, 1.0, 2.0]), **settings))


def gradients(made, given, draws=None):
    loss = made.backward(given, draws)
    named = [*made.encoder.named_parameters(), *made.head.named_parameters()]
    return loss, {name: own.grad for name, own in named if own.grad is not None}


@pytest.mark.parametrize("mixup", [0.0, 0.5])
@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_parts_of_a_batch_give_the_loss_and_the_gradients_of_the_whole(aggregator, mixup, monkeypatch):
    """Also where a batch norm counts over all utterances, or these are mixed: 1e-5."""
    given, draws = batch(mixup=mixup), [draws_of("f", 0, "dropout") if mixup else None for _ in range(2)]
    loss, whole = gradients(network(aggregator), given, draws[0])
    monkeypatch.setitem(tuned_network.AT_ONCE["audio"], "cpu", 0.2)
    in_parts = network(aggregator)
    assert len(schedule.parts(np.arange(16), in_parts.costs[:16], 0.2)) > 3
    again, parts = gradients(in_parts, given, draws[1])
    assert abs(loss - again) < 1e-5
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        assert (gradient - parts[name]).abs().max() < 1e-5, name


def test_the_front_end_stays_and_the_rest_moves():
    own = setup(rates=[1e-2])
    before = own.network()
    trained = Course(own, 1e-2, 6, Shelf(None), 5)
    trained.run(lambda part: None)
    after = trained.network
    assert torch.equal(after.encoder.first.weight, before.encoder.first.weight)
    assert not torch.equal(after.encoder.second.weight, before.encoder.second.weight)
    now, then = (torch.cat([p.detach().flatten() for p in own.trained().values()]) for own in (after, before))
    assert after.moved(before) == pytest.approx(float((now - then).norm() / then.norm())) and before.moved(before) == 0
    assert after.size() == 12 * 12 + 12 + 3 * 12 + 3


def test_the_average_is_of_the_best_on_dev_and_its_norms_are_made_anew():
    own = setup(aggregator="ecapa", scorings=6)
    trained = Course(own, 1e-2, 24, Shelf(None), 5)
    trained.run(lambda part: None)
    figures = sorted((entry["dev"] for entry in trained.curve), reverse=True)
    assert [entry["dev"] for entry in trained.best] == figures[:5]
    states = trained.checkpoints()
    mean = average(states)
    name = "second.weight"
    assert torch.allclose(mean["encoder"][name], torch.stack([s["encoder"][name] for s in states]).mean(0))
    made = trained.network
    made.load(mean)
    averaged = [norm.mean.clone() for norm in made.head.norms()]
    made.norms_anew(own.fold.train, draws_of("f", 0, "norms"))
    anew = [norm.mean.clone() for norm in made.head.norms()]
    assert any(not torch.allclose(a, b) for a, b in zip(averaged, anew, strict=True))
    made.norms_anew(own.fold.train, draws_of("f", 0, "norms"))
    assert all(torch.allclose(norm.mean, b, atol=1e-6) for norm, b in zip(made.head.norms(), anew, strict=True))


def evaluate(reader, features, problem, work=None, seeds=(0,)):
    return downstreams.evaluate(reader, features, problem, list(seeds), work=work)


def test_one_training_gives_three_read_outs(tmp_path, monkeypatch):
    features, problem = make(n=120)
    names = downstreams.expand("finetune")
    assert names == ["finetune", "finetune:best", "finetune:last"]
    assert downstreams.expand("finetune:best") == ["finetune:best"] and downstreams.expand("probe") == ["probe"]
    assert [downstreams.resolve(name).settings["readout"] for name in names] == list(READOUTS)
    assert [downstreams.resolve(name).name for name in names] == names
    with pytest.raises(UnknownName, match="did you mean best"):
        downstreams.resolve("finetune:bets")
    first = evaluate(short("finetune"), features, problem, tmp_path)
    monkeypatch.setattr(Course, "run", lambda *given: pytest.fail("it trains again"))
    others = [evaluate(short("finetune", readout=name), features, problem, tmp_path) for name in READOUTS]
    assert others[0].table.equals(first.table) and others[0].choices == first.choices
    assert not others[1].table.equals(others[2].table)
    for predictions in others:
        assert predictions.curves == first.curves and predictions.trainable == first.trainable
        assert len(predictions.choices) == len(problem.folds)
        assert all(choice["moved"] > 0 for choice in predictions.choices)
    for best, curve in zip(others[1].choices, problem.folds, strict=True):
        own = [entry for entry in first.curves if entry["fold"] == curve.name]
        assert best["dev"] == max(entry["dev"] for entry in own)
        assert others[2].choices[0]["step"] == own[-1]["step"]


def test_two_stages_share_the_first_with_finetune(tmp_path, monkeypatch):
    """ECAPA on frames of the averaged encoder; the cells of the first stage then train nothing."""
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:2])
    sizes = {name: value for name, value in short("finetune_ecapa").settings.items() if name in ECAPA}
    both = evaluate(short("finetune_ecapa"), features, problem, tmp_path)
    assert [choice["ecapa_rate"] for choice in both.choices] == [1e-2, 1e-2]
    assert downstreams.expand("finetune_ecapa") == ["finetune_ecapa"]
    assert short("finetune_ecapa").trained == "encoder (all), then ecapa"
    monkeypatch.setattr(Course, "run", lambda *given: pytest.fail("it trains again"))
    again = evaluate(short("finetune_ecapa"), features, problem, tmp_path)
    assert again.table.equals(both.table) and again.choices == both.choices
    first = evaluate(short("finetune", **sizes), features, problem, tmp_path)
    assert first.curves == both.curves and not first.table.equals(both.table)
    assert [choice["first_stage"] for choice in both.choices] == [choice["dev"] for choice in first.choices]
    assert both.training_seconds > first.training_seconds
    width, classes = features.live.width, len(problem.classes)
    ecapa = FrameHead(
        "ecapa", 1, width, classes, OnFrames.model_validate(sizes | {"network": "ecapa"}), torch.Generator()
    )
    head = sum(own.numel() for own in ecapa.parameters() if own.requires_grad)
    assert both.trainable == first.trainable - (width + 1) * classes + head  # ECAPA in place of the linear layer


def test_a_training_does_not_depend_on_sizes_that_its_head_does_not_have():
    """Those of ECAPA-TDNN are of the second stage alone, unless ECAPA-TDNN is trained in the first."""
    own = downstreams.of_training(short("finetune"))
    assert own == downstreams.of_training(short("finetune_ecapa", embedding=6, kernels=[1], then_averaged=2))
    assert own == downstreams.of_training(short("finetune", embedding=6, readout="last"))
    assert own != downstreams.of_training(short("finetune", averaged=2))
    for head, aggregator in (("finetune", "ecapa"), ("finetune_speecheq", "attentive")):
        readers = (short(head, aggregator=aggregator, hidden=hidden) for hidden in (8, 16))
        assert len({str(downstreams.of_training(reader)) for reader in readers}) == 2


def test_second_stages_of_other_settings_are_not_taken_for_each_other(tmp_path):
    """They share a first stage, and its folder."""
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:1])
    first, other = (short("finetune_ecapa", then_rates=[rate]) for rate in (1e-2, 3e-2))
    others = [first, other, short("finetune_ecapa", embedding=6), short("finetune_ecapa", then_averaged=1)]
    assert len({downstreams.readout(reader) for reader in others}) == 4
    evaluate(first, features, problem, tmp_path / "shared")
    after = evaluate(other, features, problem, tmp_path / "shared")
    alone = evaluate(other, features, problem, tmp_path / "alone")
    assert after.table.equals(alone.table) and after.choices == alone.choices
    assert after.choices[0]["ecapa_rate"] == 3e-2
    again = evaluate(first, features, problem, tmp_path / "shared")
    assert again.choices[0]["ecapa_rate"] == 1e-2


class Killed(BaseException):
    """What a kill is to a test."""


@pytest.mark.parametrize("after", [1, 7, 13, 23])
def test_a_killed_training_goes_on_and_ends_bit_equal(tmp_path, monkeypatch, after):
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:1])
    reader = short("finetune", rates=[1e-3, 1e-2], aggregator="attentive", dropout=0.5, hidden=8)
    whole = evaluate(reader, features, problem)
    step, left = torch.optim.AdamW.step, [after]

    def counted(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return step(*given, **named)

    runs = 0
    while True:
        runs += 1
        assert runs < 60
        left[0] = after
        monkeypatch.setattr(torch.optim.AdamW, "step", counted)
        try:
            pieced = evaluate(reader, features, problem, tmp_path)
            break
        except Killed:
            kept = [path for path in tmp_path.rglob("*.pt") if path.stem.isdigit()]
            assert len(kept) <= 5 + 2  # those of the training, or one of each rate that is tried
            if after < 4 and runs > 3:
                return  # no scoring is reached: it begins anew, and nothing is broken
    assert pieced.table.equals(whole.table)
    assert pieced.choices == whole.choices and pieced.curves == whole.curves
    assert [path.stem for path in tmp_path.rglob("*.pt")] == ["result"]


def test_who_reads_results_leaves_a_training_for_weights_that_was_killed(tmp_path, monkeypatch):
    features, problem = make(n=60)
    problem, run = replace(problem, folds=problem.folds[:1]), Course.run
    reader, steps = short("finetune", steps=6, scorings=3), []
    whole = evaluate(reader, features, problem, tmp_path)

    def killed(course, advance):
        def counted(share):
            steps.append(course._step)
            if len(steps) == 5:
                raise Killed
            advance(share)

        run(course, counted)

    monkeypatch.setattr(Course, "run", killed)
    with pytest.raises(Killed):
        downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=["average"])
    assert steps == [0, 1, 2, 3, 4]
    assert evaluate(short("finetune", steps=6, scorings=3, readout="last"), features, problem, tmp_path).curves
    again = downstreams.evaluate(reader, features, problem, [0], work=tmp_path, keep=["average"])
    assert steps[5] == 3 and again.table.equals(whole.table) and len(again.fitted) == 1


def test_no_more_checkpoints_than_asked_for_at_any_time(tmp_path):
    own, seen = setup(scorings=12, steps=48), []
    shelf = Shelf(tmp_path / "a")
    trained = Course(own, 1e-2, 48, shelf, 3)
    trained.run(lambda part: seen.append(len(shelf.names()) - 1))
    assert max(seen) == 3 and len(trained.curve) > 6


def test_the_rate_is_that_of_the_best_short_training_and_one_that_diverged_is_not_chosen():
    def tried(*rates):
        own = setup()
        return chosen_rate((Course(own, rate, 12, Shelf(None), 1) for rate in rates), lambda part: None)

    rate, words, seconds = tried(1e-3, 1e30)
    assert rate == 1e-3 and "1e+30: diverged" in words and seconds > 0
    said = r"fold '0': .* not finite at step \d+ of 12, at rate 1e\+30 .*none is finite: 1e\+30, 1e\+31"
    with pytest.raises(DownstreamError, match=said):
        tried(1e30, 1e31)


def test_of_a_trial_that_is_over_nothing_stays_in_memory():
    gone = []

    def tried():
        for rate in (1e30, 1e-3):
            assert all(one() is None for one in gone)
            course = Course(setup(), rate, 12, Shelf(None), 1)
            gone.append(weakref.ref(course.network))
            yield course
            del course

    gc.disable()  # nothing waits for the collector
    try:
        chosen_rate(tried(), lambda part: None)
        assert all(one() is None for one in gone)
    finally:
        gc.enable()


def test_the_time_of_all_trials_is_told():
    trials = [Course(setup(), rate, 12, Shelf(None), 1) for rate in (1e-3, 1e-2)]
    _, _, seconds = chosen_rate(trials, lambda part: None)
    assert seconds == sum(own.seconds for own in trials) > max(own.seconds for own in trials) > 0


def test_random_weights_have_rates_of_their_own():
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:1])
    reader = short("finetune", random_rates=[1e-2, 3e-2], trial=0.3)
    assert [choice.get("tried") for choice in evaluate(reader, features, problem).choices] == [None]
    features.live.untrained = True
    [choice] = evaluate(reader, features, problem).choices
    assert choice["rate"] in (1e-2, 3e-2) and choice["tried"].startswith("0.01: ")


def test_an_utterance_that_is_not_finite_is_named_wherever_it_is():
    for part in ("train", "dev", "test"):
        features, problem = make(n=60)
        row = getattr(problem.folds[0], part)[2]
        broken = Ragged(features.frames)
        broken[row] = np.full_like(broken[row], np.nan)
        alone = replace(problem, folds=problem.folds[:1])
        with pytest.raises(DownstreamError, match=f"'{problem.ids[row]}' has features that are not finite"):
            evaluate(short("finetune", batch=40), features_of(None, broken), alone)


def test_silence_and_a_very_long_utterance_train():
    features, problem = make(n=60)
    frames = Ragged(features.frames)
    frames[0] = np.zeros((1, 1, 12), np.float16)
    frames[1] = np.tile(frames[1][:1], (30_000, 1, 1))  # ten minutes
    long = Ragged(frames)
    live = MadeUpLive(long)
    made = TunedNetwork(live, 3, settings(aggregator="ecapa"), draws_of("f", 0, "head"), "cpu")
    assert made.costs.max() == 30.0 and len(made.frames([1], 30.0)[0]) == 1500
    assert math.isfinite(made.backward(batch(range(4)), None))
    table = evaluate(short("finetune"), features_of(None, long), problem).table
    assert np.isfinite(table.filter(like="score:").to_numpy()).all()


def test_folds_beside_it_leave_the_bits_of_a_fold_as_they_are():
    """A thread that leaves autocast empties torch's cache of weights in bf16, and all threads share it."""

    def of_one_by_one(meanwhile):
        made = network(precision="bf16")
        together = made.live.frames

        def frames(encoder, rows, longest=None):
            for number, row in enumerate(rows):
                if meanwhile and number % 3 == 0:
                    torch.clear_autocast_cache()
                yield together(encoder, [row], longest)[0]

        made.live.frames = lambda *given: list(frames(*given))
        return gradients(made, batch())

    (expected, alone), (loss, beside) = (of_one_by_one(meanwhile) for meanwhile in (False, True))
    assert loss == expected and all(torch.equal(own, beside[name]) for name, own in alone.items())


def test_bf16_is_near_fp32_and_the_choice_is_told():
    exact, near = (setup(precision=precision).network() for precision in ("fp32", "bf16"))
    one, other = exact.backward(batch(), None), near.backward(batch(), None)
    assert one != other and abs(one - other) < 0.02
    assert all(own.grad.dtype == torch.float32 for own in near.trained().values())
    features, problem = make(n=60)
    [choice] = evaluate(short("finetune"), features, replace(problem, folds=problem.folds[:1])).choices
    assert choice["precision"] == "fp32"
    assert tuned_network.faster(torch.device("cuda")) == "bf16"
    assert setup(precision="auto").network().precision == tuned_network.faster(torch.device("cpu"))


def test_budget_and_scorings():
    own = FineTune()
    assert own.steps_of(430) == 1500 and own.steps_of(10_000) == 6250
    assert scored_after(1500, 430, own)[-1] == 1500 and len(scored_after(1500, 430, own)) == own.scorings
    assert len(scored_after(6250, 10_000, own)) == 20
    assert setup(head_factor=10.0, head_rates=[1e-4, 1e-3]).head_rate(1e-5) == pytest.approx(1e-4)


def test_shelves_keep_what_they_are_given(tmp_path):
    state = {"a": {"b": torch.arange(3)}, "c": [{"d": 1.5, "e": "f", "g": None}], "h": True}
    for shelf in (Shelf(None), Shelf(within(tmp_path, "a/b", "ü c"))):
        assert shelf.get("x") is None and shelf.names() == []
        given = copy.deepcopy(state)
        shelf.put("x", given)
        given["a"]["b"] += 1
        kept = shelf.get("x")
        assert torch.equal(kept["a"]["b"], torch.arange(3)) and kept["c"] == state["c"] and kept["h"] is True
        assert shelf.names() == ["x"]
        shelf.clear()
        assert shelf.names() == []
    assert within(tmp_path, "a/b") != within(tmp_path, "a-b") and within(None, "a") is None
    assert courses.NOW not in shelf.names()
