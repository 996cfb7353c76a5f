"""What the log says of a run's speed."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.upstreams.pretraining.training import tiny
from upstreams.pretraining import meter
from upstreams.pretraining.batches import MicroBatch, Position
from upstreams.pretraining.meter import Meter, Sums

CPU = torch.device("cpu")


@pytest.mark.parametrize(("kind", "share"), [("cpu", 0.5), ("cuda", 0.02)])
def test_other_programs_do_not_count_in_the_share_of_a_processors_peak(
    kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of 2e9 operations takes a processor 2 s; meanwhile 50 s pass. The peak is 2e9 a second."""
    clocks = {"process_time": 0.0, "perf_counter": 0.0}
    for name in clocks:
        monkeypatch.setattr(time, name, lambda name=name: clocks[name])
    monkeypatch.setattr(meter, "matrix_peak", lambda device, precision, clock: 2e9)
    monkeypatch.setattr(meter, "peak_memory", lambda device: 0.0)
    learner = SimpleNamespace(
        weights={"loss": 1.0}, framing=SimpleNamespace(frames=lambda samples: samples // 160),
        flops=lambda step: 2e9, figures=lambda statistics, step: {},
    )  # fmt: skip
    watched = Meter(tiny("log_every=1"), learner, torch.device(kind), 1)
    clocks |= {"process_time": 2.0, "perf_counter": 50.0}
    step = [MicroBatch(0, np.arange(1), np.zeros(1, int), np.array([16000]))]
    line = watched.line(Position(), Position(1), step, Sums(1, 1, 0, CPU), {})
    assert line is not None and line["share_of_peak"] == share
    assert (line["seconds"], line["frames_per_second"]) == (50.0, 2.0)


def test_the_peak_is_the_fastest_of_a_few_products_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(meter.SIZES, "cpu", 10)
    taken = iter([0.01, 4.0, 1.0, 0.5, 8.0, 2.0])
    ticks = iter([tick for seconds in taken for tick in (100.0, 100.0 + seconds)])
    assert meter.matrix_peak.__wrapped__(CPU, "fp32", lambda: next(ticks)) == 2 * 10**3 / 0.5
