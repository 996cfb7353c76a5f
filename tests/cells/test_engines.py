"""What every engine owes a plan."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import downstreams
import leaderboard
import run_benchmark
import tasks
import upstreams
from cells import engines, measure, runs, status, trainings, travel, workplace
from cells.costs import Costs
from cells.engines import local
from cells.jobs import Extract, Measure, Outcome, Pretrain
from cells.plan import planned as plan_of
from cells.request import parse, understood
from cells.workplace import AGAIN, TRAININGS, Workplace
from commons import claims
from commons.errors import EmorepError
from downstreams import registry
from tasks.corpora.demo import synthesis
from tests import processes

ENGINES = {"local": local.Local}


def planned(tmp_path: Path, *words: str):
    """The request, workplace and plan of a command line on the embedded corpus."""
    folders = [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    options = parse(["-u", "fbank", "mfcc", "-t", "demo", "--limit", "48", "--jobs", "1", *folders, *words])
    request = understood(options, lambda line: None)
    place = Workplace()
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


def test_a_plan_loads_each_task_once_however_many_utterances_all_have(tmp_path: Path, monkeypatch) -> None:
    loaded, load = [], tasks.load
    monkeypatch.setattr(workplace, "ROWS", 1)
    monkeypatch.setattr(tasks, "load", lambda name, *others: loaded.append(name) or load(name, *others))
    asked = ["demo", "perturbed:demo,gain@-6"]
    _, place, plan = planned(tmp_path, "-t", *asked)
    assert [name for name in loaded if name in asked] == asked and {job.task for job in plan.jobs} >= {"demo"}
    setting = plan.jobs[0].setting
    for name in asked:  # none of them is held any more but the last
        assert place.task(name, setting).name == name
    assert loaded.count(asked[0]) == 2


def test_jobs_are_plain_values_that_travel(tmp_path: Path) -> None:
    for job in planned(tmp_path)[2].jobs:
        assert travel.read(travel.write(job)) == job
    with pytest.raises(EmorepError, match="not a job"):
        travel.read('{"Popen": {"args": "ls"}}')


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
    other = Workplace()  # another process opens everything anew
    for job in plan.jobs:
        assert not measure.perform(job, other, before).failure
    assert files == {path: path.stat().st_mtime_ns for path in request.results.rglob("*") if path.suffix != ".jsonl"}


def test_a_job_runs_in_another_process_and_folder_from_its_arguments_alone(tmp_path: Path, monkeypatch) -> None:
    """Relative folders were resolved when it was planned; nobody hands on what the extraction said."""
    monkeypatch.chdir(tmp_path)
    words = ["-u", "fbank", "-t", "demo", "--limit", "48", "--jobs", "1", "--results", "here", "--cache", "cache"]
    request = understood(parse(words), lambda line: None)
    plan = plan_of(request, Workplace(), lambda line: None)
    job = next(job for job in plan.jobs if isinstance(job, Measure))
    (tmp_path / "job").write_text(travel.write(job))
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import sys; from cells import travel; from cells.measure import perform\n"
        "from cells.workplace import Workplace\n"
        "outcome = perform(travel.read(open(sys.argv[1]).read()), Workplace(), {}); sys.exit(outcome.failure or 0)"
    )
    done = processes.run(code, tmp_path / "job", folder=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "limited" / "fbank" / "demo" / "probe.json").is_file()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_job_whose_corpus_changed_since_it_was_planned_fails(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = synthesis.write(tmp_path / "cache")
    lines = ["path,speaker,emotion"]
    for number, wav in enumerate(sorted(root.rglob("*.wav"))[:24]):
        shutil.copy(wav, tmp_path / f"{number}.wav")
        lines.append(f"{number}.wav,{number % 3},{'ab'[number // 3 % 2]}")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(lines))
    words = ["-u", "fbank", "-t", "csv:mine.csv", "--jobs", "1", "--results", "r", "--cache", "cache"]
    request = understood(parse(words), lambda line: None)
    plan = plan_of(request, Workplace(), lambda line: None)
    table.write_text("\n".join(lines[:-6]))
    outcomes = list(engines.run(local.Local(Workplace()), plan.jobs))
    assert all("changed after it was planned" in one.failure for one in outcomes if one.cell and not one.skipped)
    assert not list(tmp_path.glob("r/*/*/*.json"))


def test_jobs_of_two_requests_keep_their_own_settings_in_one_workplace(tmp_path: Path) -> None:
    place = Workplace()
    for limit in (24, 48):
        request, _, plan = planned(tmp_path / str(limit), "--limit", str(limit))
        assert not any(outcome.failure for outcome in engines.run(local.Local(place), plan.jobs[:2]))
        record = leaderboard.find(request.results, "fbank", "demo", "probe")
        assert record and record.cell.limit == record.scores.counts.n == limit


def test_seeds_that_another_process_added_meanwhile_are_kept(tmp_path: Path, monkeypatch) -> None:
    request, place, plan = planned(tmp_path, "-d", "superb", "--seeds", "2")
    job = next(job for job in plan.jobs if isinstance(job, Measure))
    evaluate, other = downstreams.evaluate, []

    def slowly(*arguments):
        if not other:  # while this one trains its first seed, another process does the whole cell
            other.append(job)
            assert not measure.perform(job, Workplace(), {}).failure
        return evaluate(*arguments)

    monkeypatch.setattr(downstreams, "evaluate", slowly)
    assert not measure.perform(job, place, {}).failure
    record = leaderboard.find(request.results, *job.cell, verify=True)
    assert record and record.cell.seeds == [0, 1]
    assert not leaderboard.verify(request.results)


def test_a_head_of_the_network_itself_costs_the_others_nothing(tmp_path: Path) -> None:
    """One extraction serves all heads of stored features; what is trained live is none of it."""
    head = registry.HEADS.find("superb")
    with registry.HEADS.holding("superb", replace(head, needs=frozenset({"live"}))):
        _, place, plan = planned(tmp_path, "-d", "probe", "superb", "emotion2vec", "--seeds", "1")
        extract = plan.jobs[0]
        assert isinstance(extract, Extract) and extract.needs == {"pooled", "frames:last"}
        outcomes = {one.cell: one.failure for one in engines.run(local.Local(place), plan.jobs[:3])}
    assert not outcomes["fbank", "demo", "probe"] and "fine-tuned" in outcomes["fbank", "demo", "superb"]


def test_a_record_that_went_while_it_was_compared_is_not_called_the_same(tmp_path: Path, monkeypatch) -> None:
    request, place, plan = planned(tmp_path)
    assert not any(outcome.failure for outcome in engines.run(local.Local(place), plan.jobs[:2]))
    job = next(
        job for job in planned(tmp_path, "--rerun")[2].jobs if isinstance(job, Measure) and job.mode == "compare"
    )
    (request.results / "fbank" / "demo" / "probe.json").unlink()
    assert measure.perform(job, place, {}).differs == ("the earlier record is gone or damaged",)


def test_done_cells_load_no_model(tmp_path: Path, monkeypatch) -> None:
    (quick := tmp_path / "quick.yaml").write_text("strengths: [0.1]")
    words = ["-u", "random:emotion2vec@0", "-t", "demo", "--limit", "24", "--jobs", "1"]
    words += [word for name in ("results", "cache") for word in (f"--{name}", str(tmp_path / name))]
    heads = [f"{head}@{quick}" for head in ("probe", "probe_stats")]
    assert run_benchmark.main([*words, "-d", heads[0]]) == 0
    from upstreams.emotion2vec.upstream import Random

    def load(self):
        raise AssertionError("a network was built, and nothing had to be computed")

    monkeypatch.setattr(Random, "network", load)
    assert run_benchmark.main([*words, "-d", *heads]) == 0, "features are stored: no model is needed"


def test_a_plan_that_is_done_holds_no_job(tmp_path: Path) -> None:
    _, place, plan = planned(tmp_path)
    assert all(not outcome.failure for outcome in engines.run(local.Local(place), plan.jobs))
    after = planned(tmp_path)[2]
    assert not after.jobs and len(after.done) == 4
    assert all((isinstance(job, Measure) and job.mode == "compare") or isinstance(job, Extract)
               for job in planned(tmp_path, "--rerun")[2].jobs)  # fmt: skip


def test_a_job_of_several_cells_claims_and_lists_each(tmp_path: Path) -> None:
    _, _, plan = planned(tmp_path)
    one, other = (job for job in plan.jobs if isinstance(job, Measure) and job.upstream)
    both = replace(one, id="both", together=(one, other))
    file = runs.claims(both.setting.results)
    for held in (other.id, "measure of a third"):
        with claims.claimed(file, held):
            if not (child := os.fork()):  # claims exclude other processes
                os._exit(int(runs.is_free(both)))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == int(held != other.id)
    with runs.begun(both.setting.results, plan.run, [both], (), plan.costs.of([both], plan.sizes), "local") as begun:
        assert [entry[:4] for entry in begun.about["cells"]] == [[*own.cell, "both"] for own in (one, other)]
        assert "done 0 of 2 cells" in status.lines(begun)[1] and "driven" in status.lines(begun)[0]


def test_each_outcome_of_a_run_is_understood_once(tmp_path: Path, monkeypatch) -> None:
    """A driver looks many times; the last outcome of a job counts."""
    understand, lines = travel.read, []
    monkeypatch.setattr(travel, "read", lambda text: lines.append(text) or understand(text))
    run = runs.Run(tmp_path)
    for number, why in enumerate(("killed", "", ""), 1):
        run.add(Outcome(f"job {min(number, 2)}", failure=why))
        assert len(run.outcomes()) == min(number, 2) and len(lines) == number
    run.add(Outcome("job 1"))
    assert not any(outcome.failure for outcome in run.outcomes().values()) and run == runs.Run(tmp_path)


def left_behind(request, name: str, jobs, estimates, engine: str = "slurm") -> runs.Run:
    """A run whose driver has ended before any of its jobs."""
    with suppress(KeyboardInterrupt), runs.begun(request.results, name, jobs, (), estimates, engine) as run:
        raise KeyboardInterrupt
    return run


def test_a_run_that_measures_anew_is_done_once_it_did(tmp_path: Path) -> None:
    """Records of before are no sign of it. What it lacked, other processes may measure as well."""
    asked = ["-u", "fbank", "-d", "superb"]
    request, place, plan = planned(tmp_path, *asked, "--seeds", "1")
    assert not any(one.failure for one in engines.run(local.Local(place), plan.jobs))
    for words in ["--force"], ["--rerun"], ["--seeds", "2"], ["--skip-bad"]:
        _, _, plan = planned(tmp_path, *asked, *(words if "--seeds" in words else ["--seeds", "1", *words]))
        run = left_behind(request, words[0], plan.jobs, plan.costs.of(plan.jobs, plan.sizes))
        states = request.results / TRAININGS / f"state{AGAIN}{run.name}"
        states.mkdir(parents=True)
        cells = len([job for job in plan.jobs if isinstance(job, Measure)])
        assert cells and f"done 0 of {cells} cells" in status.lines(run)[1] and len(run.left()) == cells
        left_behind(request, "another", (), {}, "local")
        trainings.forget(request.results, "")
        assert run.folder.exists() and states.exists(), "its jobs are still queued"
        if words[0] in ("--force", "--rerun"):
            for job in plan.jobs:
                run.add(Outcome(job.id))
        else:
            assert not any(one.failure for one in engines.run(local.Local(place), plan.jobs))
        assert run.over
        left_behind(request, "another", (), {}, "local")
        assert not run.folder.exists()


def test_a_run_of_variants_is_over_once_each_is_trained(tmp_path: Path) -> None:
    request, _, plan = planned(tmp_path)
    own = upstreams.ablation("ems_place")
    job = Pretrain("a variant", own, next(iter(own.variants)), (), tmp_path, None, {}, request.setting)
    run = left_behind(request, "variants", [job], Costs().of([job], plan.sizes))
    assert not run.over and "done 0 of 1 variants" in status.lines(run)[1]
    run.add(Outcome(job.id, failure="the disk is full"))
    assert not run.over and list(run.failures()) == [job.id]
    run.add(Outcome(job.id))
    assert run.over and "done 1 of 1 variants" in status.lines(run)[1]


@pytest.mark.parametrize(("engine", "cancelled"), [("local", False), ("slurm", True), ("slurm", False)])
def test_what_a_stopped_run_left_a_later_one_does(
    engine: str, cancelled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless jobs may still wait on another machine."""
    monkeypatch.setattr(runs, "SETTLED", 0.0)
    request, _, plan = planned(tmp_path)
    estimates = plan.costs.of(plan.jobs, plan.sizes)
    run = left_behind(request, "before", plan.jobs, estimates, engine)
    if cancelled:
        run.cancel()
    waits = engine == "slurm" and not cancelled
    left_behind(request, "other cells", plan.jobs[:2], estimates)
    assert run.folder.exists()
    left_behind(request, "the same cells", plan.jobs, estimates)
    assert run.folder.exists() == waits
    if waits:  # now each of its jobs has ended
        for job in plan.jobs:
            run.add(Outcome(job.id, failure="its process was killed"))
        left_behind(request, "the same cells again", plan.jobs, estimates)
        assert not run.folder.exists()
