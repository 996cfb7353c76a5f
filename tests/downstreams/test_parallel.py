"""Parts side by side: the first error ends all of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

import downstreams
from downstreams import frame_training
from downstreams.course import Course
from downstreams.errors import DownstreamError
from downstreams.parallel import Stopped, reported, shared
from tests.downstreams.problems import make, short


def test_the_first_error_ends_the_parts_that_run_and_begins_no_further_ones():
    stop, both, ended, begun = threading.Event(), threading.Barrier(2, timeout=20), [], []
    advance = reported(None, 6, stop)

    def do(part):
        begun.append(part)
        if part > 1:
            return part
        both.wait()
        if part == 1:
            raise ValueError("the second part fails")
        try:
            for _ in range(4000):  # steps
                time.sleep(0.005)
                advance(1 / 4000)
        except Stopped:
            ended.append(part)
            raise

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="the second part fails"):
        shared(pool, range(6), do, None, str, stop)
    assert sorted(begun) == [0, 1] and ended == [0]


def test_a_signal_in_the_waiting_thread_ends_the_parts(monkeypatch):
    """As Ctrl-C: it must not wait for hours of training."""
    stop, begun = threading.Event(), []
    advance = reported(None, 2, stop)

    def do(part):
        begun.append(part)
        while True:
            time.sleep(0.005)
            advance(0.0)

    def interrupted(futures):
        while not begun:
            time.sleep(0.005)
        raise KeyboardInterrupt

    monkeypatch.setattr("downstreams.parallel.wait", interrupted)
    with ThreadPoolExecutor(1) as pool, suppress(KeyboardInterrupt):
        shared(pool, range(3), do, None, str, stop)
    assert begun == [0] and stop.is_set()


def test_a_fold_that_fails_ends_the_training_of_the_others(tmp_path, monkeypatch):
    """At their next step, and with its message; no further one begins."""
    features, problem = make(n=60)
    problem = replace(problem, folds=problem.folds[:4])
    both, begun = threading.Barrier(2, timeout=20), []

    def failing(course, advance):
        begun.append(course.setup.fold.name)
        both.wait()
        if course.setup.fold.name == "1":
            raise DownstreamError("fold '1' overflows")
        while True:
            advance(0.0)

    monkeypatch.setattr(Course, "run", failing)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(DownstreamError, match="fold '1' overflows"):
            downstreams.evaluate(short("finetune"), features, problem, [0], work=tmp_path)
    finally:
        torch.set_num_threads(before)
    assert sorted(begun) == ["0", "1"]


@pytest.mark.parametrize("head", ["finetune_ecapa", "attentive", "ecapa", "mscnn"])
def test_a_fold_that_fails_ends_networks_on_frames_of_the_others_after_their_epoch(monkeypatch, head):
    """Second stages, and heads on frozen frames."""
    features, problem = make(n=60)
    problem = replace(problem, folds=problem.folds[:2])
    both, ended, epochs = threading.Barrier(2, timeout=20), threading.Event(), []

    def failing(frames, seed, fold, rate, problem, settings, plan):
        both.wait()
        if fold.name == "1":
            ended.set()
            raise DownstreamError("fold '1' overflows")
        for epoch in range(1, 400):
            ended.wait(20)
            time.sleep(0.005)
            epochs.append(epoch)
            yield 1.0, plan.network(torch.Generator())

    monkeypatch.setattr(frame_training, "_epochs", failing)
    more = {"then_rates": [1e-2, 1e-1], "then_epochs": 400} if head == "finetune_ecapa" else {"epochs": 400}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(DownstreamError, match="fold '1' overflows"):
            downstreams.evaluate(short(head, **more), features, problem, [0])
    finally:
        torch.set_num_threads(before)
    assert 0 < len(epochs) < 100


def test_what_is_done_stands_and_no_error_stops_nothing():
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        assert shared(pool, range(4), lambda part: -part, None, str, stop) == [0, -1, -2, -3]
    reported(None, 1, stop)(1.0)
