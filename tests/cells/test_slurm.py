"""Jobs by shards and by Slurm: a stand-in for its commands, and submitit's processes on this machine."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import leaderboard
from cells import engine_settings, engines, parcels, runs
from cells.engine_settings import Workers
from cells.engines import slurm as slurm_engine
from cells.engines import worker
from cells.engines.cluster import Cluster
from cells.engines.slurm import Errand
from commons import device
from commons.errors import Refused
from tests.cells.distributed import assert_same, run, stamps, words
from tests.cells.test_engines import planned
from tests.processes import ROOT

pytest.importorskip("submitit", reason="needs submitit: pip install emorep[slurm]")
from submitit.helpers import DelayedSubmission

SBATCH = r"""#!/bin/bash
grep -q nowhere "$1" && { echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1; }
echo "Submitted batch job 77"
cp "$1" "$SLURM_STAND_IN/script"
set -m
(for i in $(seq 0 $(sed -n 's/^#SBATCH --array=0-\([0-9]*\)%.*/\1/p' "$1")); do  # one at a time
  SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$i SLURM_JOB_ID=$((78 + i)) SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 \
    SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 bash "$1" > "$SLURM_STAND_IN/$i" 2>&1
done) > /dev/null 2>&1 &
echo $! > "$SLURM_STAND_IN/group"
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done
exec "$@"
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, with_demo: Callable[[Path], Path]) -> Path:
    return with_demo(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def local(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of this machine's own engine."""
    results = tmp_path_factory.mktemp("local")
    assert run(results, cache) == 0
    return results


def settings(folder: Path, *lines: str, minutes: float = 0.006) -> list[str]:
    (folder / "slurm.yaml").write_text("\n".join(["cpus: 1", f"minutes: {minutes:.6f}", *lines]))
    return ["--engine", "slurm", "--engine-config", str(folder / "slurm.yaml")]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Commands of Slurm that start the jobs of an array on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {"sbatch": SBATCH, "srun": SRUN, "scancel": '#!/bin/bash\necho "$@" > "$SLURM_STAND_IN/cancelled"\n',
                "sacct": '#!/bin/bash\necho "JobID|State|NodeList"\necho "77_0|RUNNING|here"\n'}  # fmt: skip
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(tmp_path))
    yield tmp_path
    if (tmp_path / "group").exists():  # jobs do not outlive the test
        with suppress(ProcessLookupError):
            os.killpg(int((tmp_path / "group").read_text()), signal.SIGKILL)


def test_shards_give_what_one_run_gives(local: Path, cache: Path, tmp_path: Path) -> None:
    for number in (2, 1, 3):
        assert run(tmp_path, cache, "--shard", f"{number}/3") == 0
    assert_same(tmp_path, local)


def test_slurm_gives_what_this_machine_gives(local: Path, tmp_path: Path, slurm: Path, capsys) -> None:
    """From an empty cache, by an array of some jobs, with the script that was shown ahead."""
    lines = ("partition: gpu", "account: lab", "memory: 0.5", "exclusive: false", "wckey: mine", "setup: [echo loaded]")
    results, cache, more = tmp_path / "results", tmp_path / "cache", settings(tmp_path, *lines)
    assert run(results, cache, *more, "--dry-run") == 0
    ahead = options(capsys.readouterr().out)
    assert run(results, cache, *more) == 0
    assert_same(results, local)
    script = (slurm / "script").read_text()
    wanted = ("partition=gpu", "account=lab", "requeue", "cpus-per-task=1", "mem=512MB", "wckey=mine")
    assert options(script) == ahead >= {f"#SBATCH --{option}" for option in wanted}
    assert "exclusive" not in script and script.index("echo loaded") < script.index("srun")


def options(script: str) -> set[str]:
    """The lines that sbatch reads, without those with folders of the run."""
    return {line for line in script.splitlines() if line.startswith("#SBATCH") and "/jobs/" not in line}


def test_what_slurm_refuses_is_one_message(cache: Path, tmp_path: Path, slurm: Path, capsys) -> None:
    assert run(tmp_path / "results", cache, *settings(tmp_path, "partition: nowhere")) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "Slurm refuses the jobs: sbatch: error: invalid partition specified: nowhere" in said
    assert "--engine-config" in said


def test_a_killed_worker_costs_its_own_jobs_and_the_same_command_does_them(
    local: Path, cache: Path, tmp_path: Path, capsys
) -> None:
    """Without srun: processes of this machine. The first that starts is killed at once."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nmkdir {tmp_path}/first 2>/dev/null && kill -9 $$\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    more = settings(tmp_path, f"python: {python}")
    results = tmp_path / "results"
    assert run(results, cache, *more) == 1
    out = " ".join(capsys.readouterr().out.split())  # the table wraps long lines
    assert "its process was killed" in out and "run the same command again" in out
    before = stamps(results)
    assert 0 < len(before) < 4
    assert run(results, cache, "--status") == 0
    said = capsys.readouterr().out
    assert f"done {len(before)} of 4 cells" in said and "failed:" in said and "its driver has ended" in said
    assert run(results, cache, *more) == 0
    assert before.items() <= stamps(results).items(), "what was done is not done again"
    assert_same(results, local)


SLEEPING = """
import os, pathlib, sys
from cells.engines import worker
def carry_out(file):
    pathlib.Path({folder!r}, str(os.getpid())).touch()
    import time
    time.sleep(600)
worker.carry_out = carry_out
sys.argv = sys.argv[1:]
from submitit.core.submission import submitit_main
submitit_main()
"""


@pytest.mark.parametrize("end", ["kill", "cancel"])
def test_processes_of_this_machine_are_few_and_end_with_the_driver(end: str, cache: Path, tmp_path: Path) -> None:
    """Their parcels never end by themselves; the driver is killed, or its run is cancelled."""
    begun = tmp_path / "begun"
    begun.mkdir()
    (tmp_path / "sleeping.py").write_text(SLEEPING.format(folder=str(begun)))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nexec {sys.executable} {tmp_path}/sleeping.py "${{@:3}}"\n')
    python.chmod(0o755)
    more = settings(tmp_path, f"python: {python}", minutes=0.00001)
    command = [sys.executable, "run_benchmark.py", *words(tmp_path / "results", cache, *more)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        wait_until(lambda: len(list(begun.iterdir())) >= device.cores() or driver.poll() is not None)
        numbers = [int(path.name) for path in begun.iterdir()]
        if end == "kill":
            driver.kill()
        else:
            assert run(tmp_path / "results", cache, "--cancel") == 0
        driver.wait(timeout=60)
    assert 0 < len(numbers) <= device.cores() and len(list(begun.iterdir())) == len(numbers)
    wait_until(lambda: not any(Path(f"/proc/{number}").exists() for number in numbers))


def wait_until(fulfilled: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)


class InThisProcess:
    """A scheduler that does a parcel when it starts it."""

    poll = 0.0

    def start(self, files: Sequence[Path]) -> list[str]:
        for path in files:
            worker.carry_out(str(path))
        return [str(path) for path in files]

    def ended(self, handle: str) -> str | None:
        return ""

    def stop(self, handles: Sequence[str]) -> None:
        pass


def test_split_extractions_give_what_whole_ones_give(local: Path, tmp_path: Path) -> None:
    """From an empty cache; cells follow in a second wave, and records say what all parts together did."""
    request, _, plan = planned(tmp_path)
    estimates = plan.costs.of(plan.jobs, plan.sizes)
    settings = Workers(minutes=0.0003)
    with runs.begun(request.setting.results, plan.run, plan.jobs, (), estimates, "slurm") as begun:
        outcomes = list(engines.run(Cluster(InThisProcess(), settings, begun, estimates), plan.jobs))
    extracted = [one.extracted for one in outcomes if one.extracted]
    assert len(extracted) > 2 and sum(one.counts["computed"] for one in extracted) == 2 * 48
    leaderboard.csv(request.results)
    assert_same(tmp_path / "results", local)
    record = leaderboard.find(request.results, "fbank", "demo", "probe")
    assert record and record.upstream.counts["computed"] == 48 and record.run.seconds["forward"] > 0


def test_a_parcel_that_is_started_again_does_what_is_left(local: Path, cache: Path, tmp_path: Path) -> None:
    request, _, plan = planned(tmp_path)
    estimates = plan.costs.of(plan.jobs, plan.sizes)
    (parcel,) = parcels.packed(plan.jobs, estimates, 1e9, gpu=False)
    with runs.begun(request.setting.results, plan.run, plan.jobs, (), estimates, "slurm") as begun:
        errand = Errand(str(parcels.write(parcel, begun.folder, {}, None)))
        begun.cancel()
        assert begun.driven
        errand()
        assert not begun.outcomes() and not begun.running()
        (begun.folder / "plan" / "cancel").unlink()
        assert errand.checkpoint().function.file == errand.file
        errand()
        assert len(begun.outcomes()) == len(plan.jobs) and not any(one.failure for one in begun.outcomes().values())
        assert (begun.logs / "measure%20fbank%20demo%20probe.log").is_file()
        before = stamps(tmp_path / "results")
        errand()
        assert stamps(tmp_path / "results") == before and len(before) == 4
    assert not begun.driven
    assert not begun.folder.exists(), "a run without failures leaves nothing"


def test_a_parcel_begins_in_the_folder_of_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of users' tables begin there."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    _, _, plan = planned(tmp_path)
    (parcel,) = parcels.packed(plan.jobs[:1], plan.costs.of(plan.jobs, plan.sizes), 1e9, gpu=False)
    path = parcels.write(replace(parcel, jobs=()), tmp_path / "run", {}, None)
    monkeypatch.chdir(tmp_path / "elsewhere")
    worker.carry_out(str(path))
    assert Path.cwd() == tmp_path


def test_what_slurm_starts_can_be_queued_again_and_no_array_is_longer_than_slurm_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """submitit looks for `checkpoint` on what is pickled."""
    arrays: list[tuple[int, list[Errand]]] = []

    class Executor:
        def __init__(self, settings: engine_settings.Slurm, folder: Path, there: bool) -> None:
            self.at_once = settings.at_once

        def submit_array(self, errands: list[Errand]) -> list[SimpleNamespace]:
            arrays.append((self.at_once, errands))
            return [SimpleNamespace(job_id=f"{len(arrays)}_{n}", done=lambda: True) for n in range(len(errands))]

    monkeypatch.setattr(slurm_engine, "_executor", Executor)
    monkeypatch.setattr(slurm_engine, "LONGEST", 2)
    monkeypatch.setattr(slurm_engine.shutil, "which", lambda name: name)
    engine = slurm_engine.Slurm(engine_settings.Slurm(at_once=10), runs.Run(tmp_path), print)
    assert len(engine.start([tmp_path / f"{n}.json" for n in range(5)])) == 5
    assert [(at_once, len(errands)) for at_once, errands in arrays] == [(3, 2), (3, 2), (3, 1)]
    for _, errands in arrays:
        for errand in pickle.loads(pickle.dumps(errands)):
            assert DelayedSubmission(errand)._checkpoint_function().function.file == errand.file
            assert callable(errand.checkpoint)


def test_a_job_that_slurm_ends_is_no_failure_of_its_cell() -> None:
    """submitit's handler raises where a job is not queued again, inside whatever runs."""

    def raises(number: int, frame: object) -> None:
        raise RuntimeError("Job not requeued because: timed-out too many times.")

    before = signal.signal(signal.SIGUSR2, raises)
    try:
        with pytest.raises(SystemExit, match="timed-out too many times"), slurm_engine._ended_by_slurm():
            try:
                os.kill(os.getpid(), signal.SIGUSR2)
                time.sleep(1)
            except Exception:
                pytest.fail("the cell would take it for its own")
        assert signal.getsignal(signal.SIGUSR2) is raises
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_worker_without_the_corpora_or_of_another_version_says_so(cache: Path, tmp_path: Path, monkeypatch) -> None:
    _, _, plan = planned(tmp_path)
    (parcel,) = parcels.packed(plan.jobs, plan.costs.of(plan.jobs, plan.sizes), 1e9, gpu=False)
    run_folder = tmp_path / "run"
    path = parcels.write(parcel, run_folder, {}, "$TMPDIR/nothing")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    worker.carry_out(str(path))
    assert f"there is no folder {tmp_path}/nothing" in path.with_suffix(".refused").read_text()
    content = json.loads(path.read_text())
    content["program"]["torch"] = "1.0"
    path.write_text(json.dumps(content))
    worker.carry_out(str(path))
    assert "another version of the program: torch" in path.with_suffix(".refused").read_text()
    assert not (run_folder / "outcomes").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("time: soon", "time: .* valid integer"),
        ("minutes: 0", "minutes: .*greater than 0"),
        ("array: 1-9", "array is set by emorep"),
        ("mail_user: [a, b]", "mail_user: an option of sbatch has one value"),
    ],
)
def test_settings_of_slurm_are_checked(lines: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "slurm.yaml").write_text(lines)
    with pytest.raises(Refused, match=message):
        engine_settings.chosen("slurm", tmp_path / "slurm.yaml", None)


def test_cancel_ends_the_jobs_of_a_run_whose_driver_is_gone(tmp_path: Path, slurm: Path, capsys) -> None:
    request, _, plan = planned(tmp_path)
    with runs.begun(
        request.setting.results, plan.run, plan.jobs, (), plan.costs.of(plan.jobs, plan.sizes), "slurm"
    ) as begun:
        (begun.folder / "plan" / "slurm.json").write_text('{"slurm": true, "jobs": ["77", "; rm -rf /"]}')
        assert run(tmp_path / "results", tmp_path / "cache", "--cancel") == 0
        assert begun.cancelled and (slurm / "cancelled").read_text() == "77\n"
