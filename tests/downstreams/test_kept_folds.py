"""Heads on frozen frames, and second stages, that are killed: what a fold or a rate gave is not trained again."""

from __future__ import annotations

import weakref
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import downstreams
from commons.corridors.features import Features
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Problem
from commons.errors import Notice
from downstreams.beginning import BEGUN
from downstreams.course import Setup
from downstreams.errors import DownstreamError
from downstreams.frame_head import mean_of
from downstreams.frame_training import of_fold
from downstreams.held_frames import HeldFrames
from downstreams.registry import HEADS
from downstreams.second_stage import TunedFrames
from downstreams.settings import FineTune, FrameHead
from downstreams.shelf import Shelf
from tests.downstreams.problems import make, make_several, short

KEEPING = [head for head in HEADS if HEADS.find(head).keeps_folds]


class Killed(BaseException):
    """What a kill is to a test."""


class Steps:
    """Counts the steps of AdamW, and kills at the step `last`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.last, self._step = 0, -1, torch.optim.AdamW.step
        monkeypatch.setattr(torch.optim.AdamW, "step", lambda *given: self.count(*given))

    def count(self, *given: object) -> object:
        if self.done == self.last:
            raise Killed
        self.done += 1
        return self._step(*given)


def same(one: Predictions, other: Predictions) -> bool:
    """Whether tables, choices, vectors and fitted heads are the same bits."""
    tables = zip(tables_of(one), tables_of(other), strict=True)
    heads = zip(one.fitted, other.fitted, strict=True)
    return (
        all(own.equals(its) for own, its in tables)
        and (one.choices, one.marks, one.curves) == (other.choices, other.marks, other.curves)
        and np.array_equal(one.outputs, other.outputs)
        and all(np.array_equal(array, its.arrays[name]) for own, its in heads for name, array in own.arrays.items())
    )


def tables_of(made: Predictions) -> list[pd.DataFrame]:
    """All its tables."""
    return [made.table, made.held_out, *(own.table for own in made.further)]


def run(head: str, problem: Problem, work: Path | None, **changed: object) -> Predictions:
    features, _ = data(head)
    return downstreams.evaluate(short(head, **changed), features, problem, [0], work=work)


def data(head: str) -> tuple[Features, Problem]:
    return make_several(n=80) if head == "speecheq" else make(n=60, speakers=3)


def test_networks_on_frozen_frames_keep_their_folds() -> None:
    assert KEEPING == ["attentive", "ecapa", "mscnn", "speecheq"]


@pytest.mark.parametrize("head", KEEPING)
def test_a_killed_head_goes_on_after_the_rates_and_folds_that_are_done(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the second rate of the first fold, then in the first one of the second."""
    torch.set_num_threads(1)  # one fold after the other
    problem = data(head)[1]
    problem = replace(problem, folds=problem.folds[:2])
    rates = {"rates": [3e-3, 1e-2], "epochs": 2} | ({"probes": True} if head == "speecheq" else {})
    steps = Steps(monkeypatch)
    whole = run(head, problem, None, **rates)
    of_rate, rest = divmod(steps.done, 4)
    assert not rest, "folds and rates have as many steps"
    made = 0
    for last in (of_rate + 1, 2 * of_rate - 1):
        steps.done, steps.last = 0, last
        with pytest.raises(Killed):
            run(head, problem, tmp_path, **rates)
        made += last // of_rate
    steps.done, steps.last = 0, -1
    pieced = run(head, problem, tmp_path, **rates)
    assert steps.done == (4 - made) * of_rate and same(whole, pieced)
    steps.done = 0
    assert same(whole, run(head, problem, tmp_path, **rates)) and steps.done == 0
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"result.pt"}
    assert len(list(tmp_path.rglob("*.pt"))) == 2 and not any("rates" in path.name for path in tmp_path.rglob("*"))


def test_a_killed_second_stage_goes_on_after_the_rates_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, problem = make(n=60, speakers=3)
    problem = replace(problem, folds=problem.folds[:1])
    reader, steps = short("finetune_ecapa", then_rates=[3e-3, 1e-2]), Steps(monkeypatch)
    whole = downstreams.evaluate(reader, features, problem, [0])
    of_rate = (steps.done - int(reader.settings["steps"])) // 2
    steps.done, steps.last = 0, steps.done - 1
    with pytest.raises(Killed):
        downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    steps.done, steps.last = 0, -1
    pieced = downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    assert steps.done == of_rate and same(whole, pieced)
    assert len(list(tmp_path.rglob("*.pt"))) == 3, "the result, that of the second stage, and its head"


@pytest.mark.parametrize("between", [False, True])
def test_a_second_stage_takes_no_rates_of_an_encoder_that_was_trained_elsewhere(
    between: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the cells of the first stage, or a stage of other settings, were made `between`."""
    features, problem = make(n=60, speakers=3)
    problem = replace(problem, folds=problem.folds[:1])
    reader, steps = short("finetune_ecapa", then_rates=[3e-3, 1e-2]), Steps(monkeypatch)
    whole = downstreams.evaluate(reader, features, problem, [0])
    every, steps.last, steps.done = steps.done, steps.done - 1, 0
    with pytest.raises(Killed):
        downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    assert [path.stem for path in tmp_path.rglob("rate*.pt")] == ["rate 0.003"]
    steps.last, steps.done = -1, 0
    if between:
        other = short("finetune_ecapa", then_rates=[3e-3], then_epochs=1)
        downstreams.evaluate(other, features, problem, [0], work=tmp_path)
    else:
        Shelf(next(tmp_path.iterdir())).put(BEGUN, {"device": "cuda", "precision": "fp32"})
    with nullcontext() if between else pytest.warns(Notice, match="begins anew"):
        steps.done = 0
        pieced = downstreams.evaluate(reader, features, problem, [0], work=tmp_path)
    assert steps.done == every and same(whole, pieced)
    assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.parent != tmp_path]


def test_a_result_of_before_does_not_stand_for_a_training_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`finetune` was done, perhaps elsewhere; what a killed second stage kept is of another encoder then."""
    features, problem = make(n=60, speakers=3)
    problem = replace(problem, folds=problem.folds[:1])
    steps, keep = Steps(monkeypatch), ["ecapa"]
    downstreams.evaluate(short("finetune"), features, problem, [0], work=tmp_path)
    steps.done = 0
    downstreams.evaluate(short("finetune_ecapa"), features, problem, [0])
    steps.last, steps.done = steps.done - 1, 0
    with pytest.raises(Killed):
        downstreams.evaluate(short("finetune_ecapa"), features, problem, [0], work=tmp_path, keep=keep)
    assert not list(tmp_path.rglob("result.pt")) and list(tmp_path.rglob("encoder average.pt"))


def of_ecapa(**settings: object) -> FrameHead:
    return FrameHead.model_validate(short("ecapa", **settings).settings)


def test_the_average_of_epochs_has_norms_made_anew_and_its_own_figure() -> None:
    features, problem = make(n=60, speakers=3)
    fold, settings, shelf = problem.folds[0], of_ecapa(epochs=6, rates=[1e-2]), Shelf(None)
    frames = HeldFrames(features.frames, features.ids, "cpu")
    made = of_fold(
        frames, 0, fold, problem=problem, settings=settings, advance=lambda part: None, shelf=shelf, averaged=3
    )
    state = shelf.get("rate 0.01")
    figures = state["figures"]
    assert len(figures) == 3 and figures == sorted(figures, reverse=True)
    assert made.choice["averaged"] == " ".join(map(str, state["epochs"])) and made.choice["epoch"] == state["epochs"][0]
    mean, own = mean_of(state["states"]), made.fitted.arrays
    parameters = [name for name in mean if not name.endswith((".mean", ".variance", ".frames"))]
    assert all(np.array_equal(own[f"head.{name}"], mean[name].numpy()) for name in parameters)
    means = [name for name in mean if name.endswith(".mean")]
    assert means and any(np.abs(own[f"head.{name}"] - mean[name].numpy()).max() > 1e-4 for name in means)
    right = 100 * (made.dev.argmax(1) == problem.targets[fold.dev]).mean()
    assert made.figure == pytest.approx(right)


def test_the_second_stage_averages_its_five_best_epochs_unless_a_file_says_one() -> None:
    features, problem = make(n=60, speakers=3)
    problem = replace(problem, folds=problem.folds[:1])
    for averaged, epochs in ((5, 5), (1, None)):
        reader = short("finetune_ecapa", then_epochs=6, then_averaged=averaged)
        [choice] = downstreams.evaluate(reader, features, problem, [0]).choices
        several = choice.get("ecapa_averaged")
        assert (several and len(set(several.split()))) == epochs and 1 <= choice["ecapa_epoch"] <= 6
    own = downstreams.resolve("finetune_ecapa").settings
    assert own["then_averaged"] == 5 and "then_averaged" not in downstreams.resolve("finetune").settings


@pytest.mark.parametrize("head", KEEPING)
def test_a_rate_that_diverges_ends_at_its_step_which_is_told(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, problem = data(head)
    problem = replace(problem, folds=problem.folds[:1])
    steps = Steps(monkeypatch)
    said = r"fold '0': .* not finite at step \d+ of \d+, at rate 1e\+30: .*; set smaller .* is finite: 1e\+30, 1e\+31"
    with pytest.raises(DownstreamError, match=said):
        downstreams.evaluate(short(head, rates=[1e30, 1e31], epochs=20), features, problem, [0])
    assert steps.done < 10, "of 2 x 20 epochs"


def test_progress_is_whole_whatever_ends_early_or_is_there_already(tmp_path: Path) -> None:
    features, problem = make(n=60, speakers=3)
    reader = short("attentive", rates=[1e-2, 1e30])
    shown: list[tuple[float, float]] = []
    for most in (6, 12):
        downstreams.evaluate(reader, features, problem, [0], progress=lambda *now: shown.append(now), work=tmp_path)
        assert sum(done == pytest.approx(6) for done, _ in shown) == most // 6
    assert {total for _, total in shown} == {6}


def test_frames_are_held_once_and_only_of_what_a_fold_reads() -> None:
    features, problem = make(n=60, speakers=3)
    settings = FineTune.model_validate(short("finetune_ecapa").settings)
    fold = replace(problem.folds[0], train=problem.folds[0].train[3:])
    network = Setup(features.live, problem, fold, 0, settings, "cpu").network()
    rows = np.unique(np.concatenate([fold.train, fold.dev, fold.tested]))
    tuned = TunedFrames(network, len(problem.ids), rows)
    whole = TunedFrames(network, len(problem.ids), np.arange(len(problem.ids)))
    assert np.flatnonzero(np.diff(tuned.offsets)).tolist() == rows.tolist() and len(rows) == 57
    held = HeldFrames(tuned, problem.ids, "cpu", rows=rows)
    for row, own in zip(rows, held.each(rows), strict=True):
        assert np.array_equal(own.numpy(), whole[row])
    with pytest.raises(DownstreamError, match=f"'{problem.ids[fold.train[0] - 9]}' has no frames"):
        HeldFrames(tuned, problem.ids, "cpu")
    gone = weakref.ref(tuned)
    del tuned
    assert gone() is None and held.lengths.sum() > 0


def test_frames_from_disk_stay_there() -> None:
    features, problem = make(n=60, speakers=3)
    on_disk, in_memory = (HeldFrames(features.frames, problem.ids, "cpu", resident=most) for most in (0, 1 << 20))
    for one, other in zip(on_disk.each(np.arange(60)), in_memory.each(np.arange(60)), strict=True):
        assert torch.equal(one, other)
