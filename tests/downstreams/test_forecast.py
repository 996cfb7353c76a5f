"""What a training will take, said before it begins."""

from dataclasses import replace

import pytest

import downstreams
from downstreams.errors import DownstreamError
from downstreams.tuned_network import TunedNetwork
from tests.downstreams.problems import make, short


def test_steps_hours_and_what_is_done(tmp_path):
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:3])
    reader = short("finetune", rates=[1e-3, 1e-2], trial=0.5)
    before = downstreams.expected(reader, features, problem, [0, 1], work=tmp_path)
    assert (before.trainings, before.done, before.steps) == (6, 0, 6 * (24 + 2 * 12))
    assert before.seconds > 0 and before.memory > 10
    assert before.hours == pytest.approx(before.steps * before.seconds / 3600 / before.side_by_side)
    assert str(before).startswith("6 trainings (folds x seeds), 0 of them done; 288 steps of ")
    downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    after = downstreams.expected(reader, features, problem, [0, 1], work=tmp_path)
    assert (after.done, after.steps) == (3, 3 * 48) and "; memory with one of them: " in str(after)
    downstreams.evaluate(reader, features, problem, [1], work=tmp_path)
    assert str(downstreams.expected(reader, features, problem, [0, 1], work=tmp_path)) == (
        "6 trainings (folds x seeds), 6 of them done"
    )


def test_the_step_is_the_first_of_the_training(monkeypatch):
    """Not of the first utterances of a corpus, which may all be of one class, speaker or length."""
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:1])
    reader, taken = short("finetune"), []
    backward = TunedNetwork.backward
    monkeypatch.setattr(
        TunedNetwork, "backward", lambda own, batch, draws: taken.append(batch.rows) or backward(own, batch, draws)
    )
    downstreams.expected(reader, features, problem, [0])
    expected = taken[-1].tolist()
    downstreams.evaluate(reader, features, problem, [0])
    assert expected == taken[2].tolist() and expected != problem.folds[0].train[: len(expected)].tolist()


def test_the_second_stage_is_counted():
    features, problem = make(n=120)
    problem = replace(problem, folds=problem.folds[:2])
    own = downstreams.expected(short("finetune_ecapa", then_rates=[1e-3, 1e-2]), features, problem, [0])
    first = downstreams.expected(short("finetune"), features, problem, [0])
    epochs, batch, rates = 2, 32, 2
    trained = [len(fold.train) for fold in problem.folds]
    assert own.then_steps == sum(rates * max(epochs, round(epochs * n / batch)) for n in trained)
    assert (first.then_steps, first.then_seconds, own.steps) == (0, 0.0, first.steps) and own.then_seconds > 0
    assert own.hours == pytest.approx(
        (own.steps * own.seconds + own.then_steps * own.then_seconds) / 3600 / own.side_by_side
    )
    assert f", then {own.then_steps} of the second stage of " in str(own) and ", then" not in str(first)


def test_faults_are_those_of_the_training():
    features, problem = make(n=120)
    with pytest.raises(DownstreamError, match="reads the network itself"):
        downstreams.expected(short("finetune"), replace(features, live=None), problem, [0])
