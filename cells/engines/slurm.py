"""Slurm, through submitit: one array of parcels; without Slurm, submitit's processes on this machine.

submitit pickles what it starts: here that is `Errand`, a class of this module, and the path of a JSON file.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from commons import device, files
from commons.errors import EmorepError, cut

if TYPE_CHECKING:
    import submitit

    from cells import engine_settings as config
    from cells.runs import Run

HOUSE = str(Path(__file__).resolve().parents[2])
NAME = "emorep"
WARNING = 120  # s from the signal of Slurm until it ends a job
ENDING = 5.0  # s to wait for processes of this machine that were asked to end
LONGEST = 1000  # jobs of an array; Slurm's MaxArraySize is 1001 unless a cluster sets another
IDS = "plan/slurm.json"  # in the run's folder: ids of its jobs, so that others can end them


class Errand:
    """One parcel, as submitit starts it: called in the job's process, and once more after it was queued again.

    Attributes:
        bound: the process ends with the run's driver, and as soon as the run is cancelled.
    """

    def __init__(self, file: str, bound: bool = False) -> None:
        self.file, self.bound = file, bound

    def __call__(self) -> None:
        from cells.engines.worker import carry_out, end_with_driver

        if self.bound:
            end_with_driver(self.file)
        with _ended_by_slurm():
            carry_out(self.file)

    def checkpoint(self) -> object:
        """What to start again after preemption or at the time limit: the same, which does what is left."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    __submitit_checkpoint__ = checkpoint  # as submitit calls it from 1.5 on


@contextmanager
def _ended_by_slurm() -> Iterator[None]:
    """In this context a job that submitit does not queue again at Slurm's signal ends the process.

    submitit raises an error then, which a cell would take for its own.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}

    def end(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        assert callable(handler)
        try:
            handler(number, frame)
        except Exception as error:
            raise SystemExit(str(error)) from error

    heeded = [number for number, handler in before.items() if callable(handler)]
    for number in heeded:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


class Slurm:
    """Starts parcels as jobs of one array, of which `at_once` run at a time.

    Without Slurm they are processes of this machine, no more than it has cores for; they end with this process.
    """

    def __init__(self, settings: config.Slurm, run: Run, warn: Callable[[str], None]) -> None:
        """
        Raises:
            EmorepError: submitit is not installed.
        """
        _imported()
        self._settings, self._run = settings, run
        self._there = shutil.which("srun") is not None
        self.poll = 5.0 if self._there else 0.2
        if not self._there:
            warn(
                f"there is no srun here, so --engine slurm starts processes on this machine, {self._at_once} at a time "
                "(submitit's local executor); `setup` and options of sbatch have no effect"
            )
        self._jobs: dict[str, submitit.Job[None]] = {}
        self._waiting: list[tuple[str, Path]] = []  # without Slurm, which has a queue of its own

    def start(self, files: Sequence[Path]) -> list[str]:
        """Queue a job for each parcel; returns their handles. Raises EmorepError: Slurm refuses them."""
        handles = [path.stem for path in files]
        if self._there:
            self._submit(list(zip(handles, files, strict=True)))
        else:
            self._waiting += zip(handles, files, strict=True)
            self._fill()
        return handles

    def ended(self, handle: str) -> str | None:
        """None while a job runs or waits; then why it ended, "" where it came to its own end."""
        self._fill()
        job = self._jobs.get(handle)
        if job is None or not job.done():
            return None
        if job.paths.result_pickle.exists():  # written at the end of a job; it is not read
            return "" if self._there or job.state == "FINISHED" else self._why(job)
        return self._why(job)

    def stop(self, handles: Sequence[str]) -> None:
        """End these jobs."""
        self._waiting = []
        for handle in handles:
            if job := self._jobs.get(handle):
                with suppress(Exception):  # a job that has ended, or a Slurm that does not answer
                    job.cancel(check=False)
        until = time.monotonic() + ENDING
        while not self._there and self._running() and time.monotonic() < until:
            time.sleep(0.05)

    @property
    def _at_once(self) -> int:
        """How many processes run at a time without Slurm: one on a GPU, else as many as there are cores for."""
        own = self._settings
        return 1 if own.gpus else max(1, min(own.at_once, device.cores() // own.cpus))

    def _running(self) -> int:
        return sum(not job.done() for job in self._jobs.values())

    def _fill(self) -> None:
        """Without Slurm, start as many processes as may run."""
        while self._waiting and self._running() < self._at_once:
            self._submit([self._waiting.pop(0)])

    def _submit(self, parcels: Sequence[tuple[str, Path]]) -> None:
        own, paths = _of_each_array(self._settings, len(parcels)), [path for _, path in parcels]
        try:
            made = [
                job
                for first in range(0, len(paths), LONGEST)
                for job in self._array(own, paths[first : first + LONGEST])
            ]
        except (subprocess.CalledProcessError, EmorepError, OSError, RuntimeError) as error:
            raise EmorepError(
                f"Slurm refuses the jobs: {_said(error)}; correct --engine-config, and run again"
            ) from error
        self._jobs |= {handle: job for (handle, _), job in zip(parcels, made, strict=True)}
        ids = sorted({job.job_id.partition("_")[0] for job in self._jobs.values()})
        with suppress(OSError):
            files.write(self._run.folder / IDS, json.dumps({"slurm": self._there, "jobs": ids}))

    def _array(self, settings: config.Slurm, paths: Sequence[Path]) -> list[submitit.Job[None]]:
        """The jobs of an array."""
        executor = _executor(settings, self._run.folder / "slurm", self._there)
        # Errands themselves, not their method: submitit looks for `checkpoint` on what it starts.
        jobs: list[submitit.Job[None]] = executor.submit_array([Errand(str(path), not self._there) for path in paths])
        return jobs

    def _why(self, job: submitit.Job[None]) -> str:
        """Why a job ended before its work was done."""
        with suppress(OSError):
            said = [line for line in job.paths.stderr.read_text(errors="replace").splitlines() if line.strip()]
            last = f", and its last line is: {cut(said[-1])}" if said else ""
            ended = f"Slurm's job {job.job_id} ended as {job.state}" if self._there else "its process was killed"
            return f"{ended}{last} (all of it: {job.paths.stderr}); run the same command again"
        return f"job {job.job_id} ended as {job.state}, without output; run the same command again"


def _imported() -> None:
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise EmorepError(
            "--engine slurm needs submitit, which is not installed: pip install emorep[slurm] (or submitit)"
        ) from None


def _said(error: Exception) -> str:
    """What sbatch wrote, in one line."""
    text = getattr(error, "stderr", None) or str(error)
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "error" in line.casefold()]
    return cut((named or lines or [type(error).__name__])[-1], 300)


def _executor(settings: config.Slurm, folder: Path, there: bool) -> submitit.AutoExecutor:
    import submitit

    path = HOUSE if there else ":".join(dict.fromkeys([HOUSE, *(one for one in sys.path if one)]))
    python = f"env PYTHONPATH={shlex.quote(path)} {settings.python or shlex.quote(sys.executable)}"
    cluster = "slurm" if there else "local"
    own = {f"{cluster}_python": python, f"{cluster}_max_num_timeout": settings.requeue}
    executor = submitit.AutoExecutor(folder, cluster=cluster, **own)
    executor.update_parameters(**_parameters(settings, there))
    return executor


def _of_each_array(settings: config.Slurm, count: int) -> config.Slurm:
    """The settings of each array where so many jobs are several, which share what may run at a time."""
    return settings.model_copy(update={"at_once": max(1, settings.at_once // ceil(count / LONGEST))})


def _parameters(settings: config.Slurm, there: bool) -> Mapping[str, object]:
    own: dict[str, object] = {
        "name": NAME,
        "timeout_min": settings.time,
        "cpus_per_task": settings.cpus,
        "mem_gb": settings.memory,
    }
    if settings.gpus:
        own["gpus_per_node"] = settings.gpus
    if there:
        own |= {
            "slurm_array_parallelism": settings.at_once,
            "slurm_setup": list(settings.setup),
            # From 22.05 to 23.02 srun does not take over what sbatch was asked for, and a step has one core.
            "slurm_srun_args": [f"--cpus-per-task={settings.cpus}"],
            "slurm_signal_delay_s": min(WARNING, settings.time * 30),
            "slurm_additional_parameters": {"requeue": True}
            | {name: value for name, value in settings.others.items() if value is not False},
        }
    return {name: value for name, value in own.items() if value is not None}


def script(settings: config.Slurm, results: Path, count: int) -> str:
    """The script that sbatch would get for so many jobs: an array, unless it is one; the first of several arrays where
    there are more jobs than an array holds."""
    _imported()
    from submitit.slurm import slurm

    settings = _of_each_array(settings, count)
    own = dict(_parameters(settings, True))
    sbatch = {
        "job_name": own["name"], "time": own["timeout_min"], "cpus_per_task": own["cpus_per_task"],
        "gpus_per_node": own.get("gpus_per_node"), "mem": _memory(settings.memory),
        "array_parallelism": settings.at_once, "srun_args": own["slurm_srun_args"],
        "setup": list(settings.setup) or None,
        "signal_delay_s": own["slurm_signal_delay_s"], "additional_parameters": own["slurm_additional_parameters"],
    }  # fmt: skip
    folder = results.absolute() / "jobs" / "RUN" / "slurm"
    python = f"env PYTHONPATH={shlex.quote(HOUSE)} {settings.python or shlex.quote(sys.executable)}"
    command = f"{python} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    text: Callable[..., str] = slurm._make_sbatch_string
    given = {name: value for name, value in sbatch.items() if value is not None}
    return text(command, folder, map_count=min(count, LONGEST) if count > 1 else None, **given)


def _memory(size: float | None) -> str | None:
    """GB as submitit hands them to sbatch, which takes whole numbers."""
    if size is None:
        return None
    return f"{size:.0f}GB" if size == int(size) else f"{int(size * 1024)}MB"


def cancel(run: Run) -> str:
    """End the jobs of a run whose driver may be gone; returns what was done, "" where there are none."""
    try:
        about = json.loads((run.folder / IDS).read_text())
        ids = [str(one) for one in about["jobs"] if str(one).isdecimal()]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if not about.get("slurm") or not ids:
        return ""
    if shutil.which("scancel") is None:
        return f"there is no scancel here; on a machine of the cluster: scancel {' '.join(ids)}"
    done = subprocess.run(["scancel", *ids], capture_output=True, text=True, check=False)
    return f"scancel {' '.join(ids)}: {done.stderr.strip() or 'done'}"
