"""What every engine owes a plan."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import run_benchmark
from cells import engines, measure
from cells.engines import local
from cells.jobs import Extract, Measure, Outcome
from cells.plan import planned as plan_of
from cells.request import parse, understood
from cells.workplace import Workplace

ENGINES = {"local": local.Local}


def planned(tmp_path: Path, *words: str):
    """The request, workplace and plan of a command line on the embedded corpus."""
    folders = [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    options = parse(["-u", "fbank", "mfcc", "-t", "demo", "--limit", "48", "--jobs", "1", *folders, *words])
    request = understood(options, lambda line: None)
    place = Workplace(request.setting)
    return request, place, plan_of(request, place, lambda line: None)


def test_the_plan_lists_every_job_after_those_it_needs(tmp_path: Path) -> None:
    _, _, plan = planned(tmp_path, "-d", "probe", "superb")
    assert [type(job).__name__ for job in plan.jobs] == ["Extract", "Measure", "Measure"] * 2 + ["Measure"] * 2
    listed: set[str] = set()
    for job in plan.jobs:
        assert set(job.after) | set(getattr(job, "beside", ())) <= listed
        assert job.id not in listed
        listed.add(job.id)
    assert not (tmp_path / "results").exists() and not (tmp_path / "cache" / "features").exists(), "only planned"


def test_jobs_are_plain_values_that_travel(tmp_path: Path) -> None:
    for job in planned(tmp_path)[2].jobs:
        assert pickle.loads(pickle.dumps(job)) == job


@pytest.mark.parametrize("engine", ENGINES)
def test_outcomes_come_as_jobs_end_and_cancel_starts_no_more(engine, tmp_path: Path) -> None:
    request, place, plan = planned(tmp_path)
    running = engines.run(ENGINES[engine](place), plan.jobs)
    first = next(running)
    assert first.extracted and first.extracted.counts["computed"] == 48
    second = next(running)
    assert second.cell == ("fbank", "demo", "probe")
    assert (request.results / "fbank" / "demo" / "probe.json").is_file()
    running.close()  # as Ctrl-C does
    assert not (request.results / "mfcc").exists()
    again = planned(tmp_path)[2]
    assert again.done == (("fbank", "demo", "probe"),) and again.jobs[0].upstream.named.name == "mfcc"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failed_extraction_costs_the_cells_that_read_it(engine, tmp_path: Path, monkeypatch) -> None:
    _, place, plan = planned(tmp_path)
    perform = measure.perform

    def failing(job, place, before):
        if isinstance(job, Extract) and job.upstream.named.name == "fbank":
            return Outcome(job.id, failure="no such layer")
        return perform(job, place, before)

    monkeypatch.setattr(local, "perform", failing)
    outcomes = {outcome.cell: outcome for outcome in engines.run(ENGINES[engine](place), plan.jobs) if outcome.cell}
    assert outcomes["fbank", "demo", "probe"].failure == "no such layer"
    assert not outcomes["mfcc", "demo", "probe"].failure and not outcomes["majority", "demo", "reference"].skipped


def test_a_job_that_ran_runs_again_and_changes_nothing(tmp_path: Path) -> None:
    request, place, plan = planned(tmp_path, "-d", "superb", "--seeds", "2")
    before: dict[str, Outcome] = {}
    for job in plan.jobs:
        before[job.id] = measure.perform(job, place, before)
        assert not before[job.id].failure, before[job.id].failure
    files = {path: path.stat().st_mtime_ns for path in request.results.rglob("*") if path.suffix != ".jsonl"}
    other = Workplace(request.setting)  # another process opens everything anew
    for job in plan.jobs:
        assert not measure.perform(job, other, before).failure
    assert files == {path: path.stat().st_mtime_ns for path in request.results.rglob("*") if path.suffix != ".jsonl"}


def test_done_cells_load_no_model(tmp_path: Path, monkeypatch) -> None:
    words = ["-u", "random:emotion2vec", "-t", "demo", "--limit", "48", "--jobs", "1"]
    words += [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    assert run_benchmark.main(words) == 0
    from upstreams.emotion2vec.upstream import Random

    def load(self):
        raise AssertionError("a network was built, and nothing had to be computed")

    monkeypatch.setattr(Random, "network", load)
    assert run_benchmark.main([*words, "-d", "probe", "probe_stats"]) == 0, "features are stored: no model is needed"


def test_a_plan_that_is_done_holds_no_job(tmp_path: Path) -> None:
    _, place, plan = planned(tmp_path)
    assert all(not outcome.failure for outcome in engines.run(local.Local(place), plan.jobs))
    after = planned(tmp_path)[2]
    assert not after.jobs and len(after.done) == 4
    assert all((isinstance(job, Measure) and job.mode == "compare") or isinstance(job, Extract)
               for job in planned(tmp_path, "--rerun")[2].jobs)  # fmt: skip
