"""What the sections of a record say, from the objects of the rooms."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import leaderboard
import run_benchmark
import tasks
import upstreams
from cells import measure, sections
from commons import device
from downstreams.registry import HEADS


def test_memory_of_trainings_in_other_processes_counts() -> None:
    own, other = (sections.run({}, None, memory) for memory in ({}, {"cpu": 1e9, "cuda": 5.0}))
    assert other.peak_memory_mb == 1e9 > own.peak_memory_mb > 10
    assert (own.peak_gpu_memory_mb, other.peak_gpu_memory_mb) == (None, 5.0)


def test_every_job_begins_with_the_memory_of_none_before(monkeypatch, tmp_path: Path) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forgotten.append)
    monkeypatch.setattr(measure.runs, "claimed", lambda job: pytest.fail("it is not to be done"))
    job = SimpleNamespace(id="a job", setting=SimpleNamespace(results=tmp_path))
    with pytest.raises(pytest.fail.Exception):
        measure.perform(job, None, {})
    device.forget_peak("cpu")
    assert forgotten == ["cuda"]


def test_records_name_the_features_that_a_head_selects(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    (tmp_path / "few.yaml").write_text("counts: [2, 3]\nstrengths: [1.0]\n")
    folders = [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    heads = ["-d", f"selected@{tmp_path / 'few.yaml'}"]
    words = ["-u", "opensmile", "-t", "demo", *heads, "--limit", "48", "--jobs", "1", *folders]
    assert run_benchmark.main(words) == 0
    records, _ = leaderboard.load(tmp_path / "results" / "limited")
    of = {record.cell.upstream: record.chosen for record in records}
    own, names = of["opensmile"], upstreams.value_names(upstreams.identify(upstreams.resolve("opensmile")))
    assert [len(one) for one in own.features] == [choice["features"] for choice in own.folds]
    assert all(set(one) <= set(names) for one in own.features)
    assert of["majority"].features is None


def test_records_say_what_is_to_be_cited(tmp_path: Path) -> None:
    folders = [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    words = ["-u", "prosody", "-t", "demo", "-d", "superb", "--limit", "48", "--seeds", "1", "--jobs", "1", *folders]
    assert run_benchmark.main(words) == 0
    records, problems = leaderboard.load(tmp_path / "results" / "limited")
    assert not problems
    reading = tasks.load("demo", tasks.Options(tmp_path / "data", tmp_path / "cache", limit=48)).reading
    for record in records:
        assert record.task.cite == {name: list(keys) for name, keys in reading.cite.items()} == {"demo": []}
        measured = record.cell.upstream == "prosody"
        assert record.upstream.cite == (list(upstreams.resolve("prosody").cite) if measured else [])
        assert record.downstream.cite == (list(HEADS.find("superb").cite) if measured else [])
        assert bool(record.upstream.cite and record.downstream.cite) == measured
    assert {record.cell.upstream for record in records} > {"prosody"}
