"""Long trainings as jobs: in parts, side by side and in one run they give the same cells."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

import leaderboard
import run_benchmark
from cells import groups, parcels, runs, status, travel
from cells.costs import CELL, Estimate
from cells.engines import local
from cells.jobs import PART, Job, Measure, Outcome, Train, cell_of, with_setting
from cells.measure import perform
from cells.plan import planned
from cells.request import parse, understood
from cells.shards import Shard
from cells.workplace import Workplace
from commons import claims
from commons.errors import EmorepError
from downstreams.course import Course
from downstreams.parallel import shared
from tests.cells.test_trained import NETWORKS, SETTINGS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks, their settings, and the results `alone` of one run on this machine."""
    folder = tmp_path_factory.mktemp("trainings")
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "quick.yaml").write_text(SETTINGS)
    assert run_benchmark.main(words(folder, "alone")) == 0
    return folder


def words(folder: Path, results: str, *more: str) -> list[str]:
    return ["-u", f"{folder / 'nets.py'}:Sound", "-t", "demo", "-d", f"finetune@{folder / 'quick.yaml'}",
            "--limit", "48", "--seeds", "1", "--jobs", "1", "--results", str(folder / results),
            "--cache", str(folder / "cache"), *more]  # fmt: skip


def jobs_of(folder: Path, results: str, *more: str) -> tuple[list[Job], dict[str, Estimate]]:
    plan = planned(understood(parse(words(folder, results, *more)), print), Workplace(), print)
    return list(plan.jobs), plan.costs.of(plan.jobs, plan.sizes)


def predictions(folder: Path, results: str) -> dict[str, pd.DataFrame]:
    where = folder / results / "limited"
    records, problems = leaderboard.load(where)
    assert not problems and leaderboard.verify(where) == []
    return {record.cell.downstream: leaderboard.predictions(where, record) for record in records}


def test_cells_of_one_training_come_after_one_job_and_cost_next_to_nothing(folder: Path) -> None:
    jobs, estimates = jobs_of(folder, "none")
    (training,) = (job for job in jobs if isinstance(job, Train))
    cells = [job for job in jobs if isinstance(job, Measure) and job.upstream]
    assert len(cells) == 3 and all(training.id in job.after for job in cells)
    folds = len(Workplace().task("demo", training.setting).problem.folds)
    assert training.fits == folds
    assert {estimates[job.id].seconds for job in cells} == {CELL} and estimates[training.id].seconds > 0


def split(folder: Path, results: str) -> list[parcels.Parcel]:
    """The parcels of a request, so small that its trainings are split; parts of a wave in another order."""
    jobs, estimates = jobs_of(folder, results)
    (training,) = (job for job in jobs if isinstance(job, Train))
    packed = parcels.packed(jobs, estimates, estimates[training.id].seconds / 4, gpu=False)
    return sorted(packed, key=lambda parcel: (parcel.wave, -parcel.number))


def test_parts_are_every_training_once_before_the_cells(folder: Path) -> None:
    packed = split(folder, "none")
    parts = {job.part: job for parcel in packed for job in parcel.jobs if isinstance(job, Train)}
    assert sorted(parts) == list(range(parts[0].parts)) and parts[0].parts > 2 and PART in parts[0].id
    for parcel in packed:
        for job in parcel.jobs:
            assert isinstance(job, Train) == (parcel.wave == 0) or (isinstance(job, Measure) and not job.upstream)
            if isinstance(job, Measure) and job.upstream:
                assert set(job.after) == {part.id for part in parts.values()}


def test_parts_done_anywhere_in_any_order_give_what_one_run_gives(folder: Path, capsys) -> None:
    """Each job as it travels, in a place of its own; from then on nothing is left to do."""
    before: dict[str, Outcome] = {}
    for parcel in split(folder, "apart"):
        for job in parcel.jobs:
            there = travel.read(travel.write(job))
            assert there == job
            before[job.id] = outcome = perform(job, Workplace(), before)
            assert not outcome.failure, outcome.failure
    alone, apart = (predictions(folder, results) for results in ("alone", "apart"))
    assert alone.keys() == apart.keys() and len(alone) == 4, "three read-outs, and reference rows"
    for head, table in alone.items():
        pd.testing.assert_frame_equal(table, apart[head], check_exact=True)
    capsys.readouterr()
    assert run_benchmark.main(words(folder, "apart", "--dry-run")) == 0
    assert "nothing is left to do" in capsys.readouterr().out


def test_what_is_measured_again_is_trained_again(folder: Path, capsys) -> None:
    """States that an earlier measurement left are forgotten first."""
    (states,) = (path for path in (folder / "alone" / "limited" / "trainings").iterdir() if path.is_dir())
    shutil.copytree(states, states.with_name(f"{states.name}-again-a-run-that-was-killed"))
    assert run_benchmark.main(words(folder, "alone", "--rerun")) == 0
    said = capsys.readouterr()
    assert "5 cells done again: 5 the same" in said.out and "0 of them done" in said.err
    assert [path for path in states.parent.iterdir() if path.is_dir()] == [states], (
        "only what can be gone on from stays"
    )


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_weights_of_several_read_outs_are_of_one_training(folder: Path, monkeypatch, more: tuple[str, ...]) -> None:
    run, courses = Course.run, []

    def counted(course, advance):
        courses.append(course.steps)
        run(course, advance)

    monkeypatch.setattr(Course, "run", counted)
    (folder / "quicker.yaml").write_text(SETTINGS.replace("steps: 6", "steps: 4"))
    heads = [f"finetune{part}@{folder / 'quicker.yaml'}" for part in ("", ":best")]
    assert run_benchmark.main(words(folder, "kept", "-d", *heads, "--keep-weights", *more)) == 0
    where = folder / "kept" / "limited"
    measured = [one for one in leaderboard.load(where)[0] if one.cell.downstream.startswith("finetune")]
    held = {one.cell.downstream.partition("@")[0]: leaderboard.kept(where, one) for one in measured}
    assert held == {"finetune": [0], "finetune:best": [0], "finetune:last": []}
    assert len(courses) == len(measured[0].task.folds)
    assert not [path for path in where.rglob("trainings/**/*.pt") if path.stem != "result"]


def test_heads_that_share_a_training_are_in_one_shard(folder: Path) -> None:
    more = ["-d", f"finetune@{folder / 'quick.yaml'}", f"finetune_ecapa@{folder / 'quick.yaml'}"]
    plan = planned(understood(parse(words(folder, "none", *more)), print), Workplace(), print)
    dealt = [groups.shard(plan, Shard(number, 2)) for number in (1, 2)]
    assert sum(isinstance(job, Train) for part in dealt for job in part.jobs) == 1
    assert sum(len(part.cells) for part in dealt) == len(plan.cells)


def test_a_failure_counts_until_its_cell_is_done(folder: Path, capsys) -> None:
    """A run that nobody works on is forgotten once a later one has done its cells."""
    jobs, estimates = jobs_of(folder, "alone")
    assert not jobs, "all is done"
    jobs, estimates = jobs_of(folder, "none")
    results = folder / "alone" / "limited"
    with suppress(EmorepError), runs.begun(results, "before", jobs, (), estimates, "slurm") as run:
        for job in jobs:
            run.add(Outcome(job.id, cell_of(job), failure="its process was killed"))
        raise EmorepError("the driver ends")
    failed = [job.id for job in jobs if isinstance(job, Measure)]
    assert set(failed) <= set(run.failures()) and not run.over
    for path in results.glob("*/*/*.json"):
        os.utime(path, (time.time() + 5, time.time() + 5))
    assert not set(failed) & set(run.failures()) and run.over and not run.left()
    assert status.show(folder / "alone", cancel=False) == 0 and "done 5 of 5 cells" in capsys.readouterr().out
    with runs.begun(results, "after", (), (), {}, "local"):
        assert not run.folder.exists()


def test_another_seed_trains_that_seed_alone(folder: Path) -> None:
    (training,) = (job for job in jobs_of(folder, "alone", "--seeds", "2")[0] if isinstance(job, Train))
    assert training.seeds == (1,)


def test_a_cancelled_run_says_so_and_is_known_until_its_cells_are_done(folder: Path, monkeypatch, capsys) -> None:
    results, perform_all = folder / "cancelled" / "limited", local.perform

    def cancelling(job, place, before):
        for run in runs.known(results):
            run.cancel()
        return perform_all(job, place, before)

    wanted = ["-u", "fbank", "mfcc", "-t", "demo", "--limit", "48", "--jobs", "1", "--results", str(results.parent),
              "--cache", str(folder / "cache")]  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(local, "perform", cancelling)
        assert run_benchmark.main(wanted) == 1
    assert "the run was cancelled: 1 of 6 jobs have ended" in capsys.readouterr().err
    (run,) = runs.known(results)
    assert run.cancelled and len(run.left()) == 4
    with runs.begun(results, "other cells", (), (), {}, "local"):
        assert run.folder.exists()
    assert run_benchmark.main(wanted) == 0
    with runs.begun(results, "later", (), (), {}, "local"):
        assert not run.folder.exists()


def test_a_setting_reaches_all_parts_of_a_job(folder: Path) -> None:
    jobs, _ = jobs_of(folder, "none", "-t", "perturbed:demo,white@10")
    for job in jobs:
        moved = with_setting(job, lambda own: type(own)(Path("there"), own.reading, own.extraction))
        own = moved.of if isinstance(moved, Train) else moved
        assert moved.setting.results == Path("there")
        assert all(part.setting == moved.setting for part in getattr(own, "together", ()))


def test_processes_that_share_work_take_what_no_other_does(tmp_path: Path, monkeypatch) -> None:
    """Parts that another process has claimed come last; each is done once."""
    taken: list[int] = []
    busy = {1, 2}
    monkeypatch.setattr(claims, "is_free", lambda file, name: int(name) not in busy)
    with ThreadPoolExecutor(1) as pool:
        made = shared(pool, range(5), lambda part: taken.append(part) or 10 * part, tmp_path / "claims", str)
    assert taken == [0, 3, 4, 1, 2] and made == [0, 10, 20, 30, 40]


def test_parts_are_done_side_by_side_and_given_in_order() -> None:
    counts, meet = Counter[int](), threading.Barrier(2, timeout=20)

    def do(part: int) -> int:
        counts[part] += 1
        meet.wait()
        return part

    with ThreadPoolExecutor(2) as pool:
        assert shared(pool, range(6), do, None, str) == list(range(6))
    assert set(counts.values()) == {1}
