"""Trainings that go on as they began, rates and their ends, memory, and metrics that curves are in."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from commons.corridors.predictions import Predictions
from commons.errors import Notice
from downstreams import beginning, choosing, finetuning, forecast
from downstreams.beginning import BEGUN, as_begun
from downstreams.course import Course, Diverged, Setup
from downstreams.errors import DownstreamError
from downstreams.shelf import Shelf
from tests.downstreams.problems import Ragged, features_of, make, short
from tests.downstreams.test_finetune import settings, setup


def forgotten():
    raise AssertionError("nothing is to be removed")


def on_both(monkeypatch, pays):
    monkeypatch.setattr("downstreams.tuned_network.bf16_pays", lambda kind: pays)


def test_a_training_goes_on_in_the_precision_in_which_it_began(monkeypatch):
    own, shelf = setup(precision="auto"), Shelf(None)
    on_both(monkeypatch, False)
    assert as_begun(own, shelf, forgotten).network().precision == "fp32"
    on_both(monkeypatch, True)
    assert own.network().precision == "bf16"
    assert as_begun(own, shelf, forgotten).network().precision == "fp32"
    assert as_begun(own, Shelf(None), forgotten).network().precision == "bf16"


@pytest.mark.parametrize("state", [{"device": "cpu", "precision": "bf16"}, {"device": "cuda", "precision": "fp32"}])
def test_a_training_that_cannot_go_on_as_it_began_begins_anew_and_says_so(monkeypatch, state):
    on_both(monkeypatch, False)
    shelf, removed = Shelf(None), []
    shelf.put(BEGUN, state)
    words = rf"fold '0', seed 0: .*began on {state['device']} in {state['precision']};.* on cpu in fp32, .*begins anew"
    with pytest.warns(Notice, match=words):
        assert as_begun(setup(precision="auto"), shelf, lambda: removed.append(1)).settings.precision == "fp32"
    assert removed == [1] and shelf.get(BEGUN) == {"device": "cpu", "precision": "fp32", "keep": []}


def test_what_was_done_on_another_device_is_not_used(tmp_path, monkeypatch):
    """Neither the chosen rate nor the steps; a training that began here is not tried again."""
    features, problem = make(n=60)
    problem = replace(problem, folds=problem.folds[:1])
    reader, ran = short("finetune", rates=[1e-3, 1e-2], steps=6, scorings=2, trial=0.5), []
    run = Course.run

    def counted(course, advance):
        ran.append((course.steps, course._step))
        if course.steps == 6 and len(ran) < 8:
            raise KeyboardInterrupt
        run(course, advance)

    monkeypatch.setattr(Course, "run", counted)

    def evaluate():
        return downstreams.evaluate(reader, features, problem, [0], work=tmp_path)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
            warnings.simplefilter("error", Notice)
            evaluate()
    assert [steps for steps, _ in ran] == [3, 3, 6, 6]
    Shelf(next(tmp_path.iterdir())).put(BEGUN, {"device": "cuda", "precision": "fp32"})
    with pytest.warns(Notice, match="begins anew"), pytest.raises(KeyboardInterrupt):
        evaluate()
    assert [steps for steps, _ in ran[4:]] == [3, 3, 6]
    made = evaluate()
    assert {path.stem for path in tmp_path.rglob("*.pt")} == {"result"}
    assert made.training_memory.keys() == {"cpu"} and made.training_memory["cpu"] > 10
    assert {entry["metric"] for entry in made.curves} == {problem.select_on} == {"WA"}


@pytest.mark.parametrize("part", ["dev", "test"])
def test_an_utterance_that_is_not_finite_is_named_before_the_first_step(part, monkeypatch):
    features, problem = make(n=60)
    row = getattr(problem.folds[0], part)[2]
    broken = Ragged(features.frames)
    broken[row] = np.full_like(broken[row], np.nan)
    own = Setup(features_of(None, broken).live, problem, problem.folds[0], 0, settings(), "cpu")
    shelf = Shelf(None)
    with pytest.raises(DownstreamError, match=f"'{problem.ids[row]}' has features that are not finite"):
        as_begun(own, shelf, forgotten)
    assert shelf.names() == []
    shelf.put(BEGUN, {"device": "cpu", "precision": "fp32"})
    monkeypatch.setattr(beginning, "_look", lambda setup: pytest.fail("it was looked at before"))
    as_begun(own, shelf, forgotten)


@pytest.mark.parametrize(("untrained", "words"), [(False, "smaller `rates`"), (True, "smaller `random_rates`")])
def test_advice_where_training_overflows_names_the_grid_that_was_used(untrained, words):
    own = setup()
    own.live.untrained = untrained
    with pytest.raises(Diverged, match=words):
        Course(own, 1e30, 12, Shelf(None), 1).run(lambda part: None)


def test_ends_of_a_grid():
    low, middle, high = rates = [1.0, 2.0, 3.0]
    assert choosing.edges(rates, [low, middle, high]) == [True, False, True]
    two = [low, high]
    assert choosing.edges(two, [low, high, high]) == [False] * 3
    assert choosing.edges(two, [high, high]) == [True] * 2
    assert choosing.edges(two, [high]) == choosing.edges([low], [low]) == [False]


@pytest.mark.parametrize(("rates", "edge"), [([1e-7, 3e-2], True), ([3e-2], False)])
def test_a_grid_of_two_rates_has_an_edge_where_all_folds_take_one(rates, edge):
    features, problem = make(n=60)
    problem = replace(problem, folds=problem.folds[:2])
    reader = short("finetune", rates=rates, steps=6, scorings=1, head_rates=[1e-7, 5e-2], head_factor=1.0)
    made = downstreams.evaluate(reader, features, problem, [0])
    assert [choice["edge"] for choice in made.choices] == [edge] * 2


def test_edges_are_those_of_a_seed_whatever_others_are_run(monkeypatch):
    """Folds of the first seed take different rates, those of the second the same one."""
    features, problem = make(n=60)
    problem = replace(problem, folds=problem.folds[:2])

    def chosen(courses, advance):
        rates = {course.rate: course.setup for course in courses}
        setup = rates[min(rates)]
        return (max if setup.seed or setup.fold.name == "0" else min)(rates), "", 0.0

    monkeypatch.setattr(finetuning, "chosen_rate", chosen)
    reader = short("finetune", rates=[1e-3, 1e-2], steps=2, scorings=1)
    both = downstreams.evaluate(reader, features, problem, [0, 1]).choices
    alone = [choice for seed in (0, 1) for choice in downstreams.evaluate(reader, features, problem, [seed]).choices]
    assert both == alone and [choice["edge"] for choice in both] == [False, False, True, True]


def test_memory_is_the_highest_of_all_trainings():
    states = [{"trainable": 3, "seconds": 1.0, "memory": own} for own in ({"cpu": 5.0, "cuda": 9.0}, {"cpu": 7.0})]
    facts = finetuning._with_facts(Predictions(None), [], [*states, {"trainable": 3, "seconds": 1.0}], "")
    assert facts.training_memory == {"cpu": 7.0, "cuda": 9.0} and facts.training_seconds == 3.0


def test_a_forecast_for_a_gpu_leaves_the_threads_and_forgets_what_was_there_before(monkeypatch):
    features, problem = make(n=60)
    before, forgets = torch.get_num_threads(), []
    monkeypatch.setattr(forecast, "Setup", lambda *given: Setup(*given[:-1], "cpu"))
    monkeypatch.setattr(forecast, "peak_memory", lambda device: 100.0 if forgets == ["cuda"] else 900.0)
    monkeypatch.setattr(forecast, "forget_peak", forgets.append)
    own = short("finetune")
    torch.set_num_threads(2)
    try:
        made = forecast.forecast(features, problem, own.settings, [0], "cuda")
        assert torch.get_num_threads() == 2 and made.side_by_side == 1 and made.memory == 100.0
    finally:
        torch.set_num_threads(before)
