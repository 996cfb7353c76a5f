"""Worker processes: each builds the upstream once, then does the jobs that come through its own pipe.

Why not multiprocessing: the caller's script is not run again, the signal that ended a worker is known, and a worker
whose parent was killed ends by itself. Standard input of a worker is empty, so that an upstream that reads it cannot
take a job away.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from commons import commands
from commons.errors import EmorepError
from upstreams.build import build
from upstreams.errors import Unsteady, UpstreamError
from upstreams.extraction.chunk_jobs import Job, Report, run
from upstreams.extraction.memory import keep_memory
from upstreams.extraction.store import Kept
from upstreams.frozen import Frozen
from upstreams.inputs import INPUTS
from upstreams.named import Named

HOUSE = str(Path(__file__).resolve().parents[2])
# One thread each: numerical libraries read these variables when they are imported.
START = """
import os, sys
for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, sys.argv[1])
from upstreams.extraction.workers import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""
PATIENCE = 3.0  # s for a worker to remove its half-written file
LOOK = 500  # ms between two checks that a worker is alive: its pipe may stay open in a process that it forked


@dataclass(frozen=True)
class Setup:
    """What a worker is told before its first job."""

    named: Named
    fingerprint: str
    precision: str
    cache: str
    modality: str


class Worker:
    """A worker process, seen from its parent. Call it with a job."""

    def __init__(self, setup: Setup) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, HOUSE, str(theirs_in), str(theirs_out)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs_in, theirs_out),
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._jobs, self._replies, self._held = os.fdopen(ours_out, "w"), ours_in, b""
        self._first: Setup | None = setup
        self._asked_to_end = False

    def __call__(self, job: Job) -> Report:
        """The report of a job. Raises UpstreamError: the job failed, or the process died."""
        lines = [asdict(part) for part in (self._first, job) if part is not None]
        self._first = None
        try:
            for line in lines:
                self._jobs.write(json.dumps(line) + "\n")
            self._jobs.flush()
            answer = self._answer()
        except (BrokenPipeError, ValueError):
            answer = ""
        if not answer:
            these = f"{job.inputs[0].name} and {len(job.inputs) - 1} more"
            raise UpstreamError(f"{self._death()}; it worked on {these}")
        reply = json.loads(answer)
        if "error" in reply:
            raise UpstreamError(reply["error"])
        return Report(**reply)

    def _answer(self) -> str:
        """The next line that the worker writes; "" where it ended."""
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        while b"\n" not in self._held:
            ended = self._process.poll() is not None
            if poll.poll(0 if ended else LOOK):
                some = os.read(self._replies, 1 << 16)
                self._held += some
                ended = not some
            if ended:
                return ""
        line, _, self._held = self._held.partition(b"\n")
        return line.decode()

    def _death(self) -> str:
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = ", which happens when memory runs out: use fewer --jobs" if status == -signal.SIGKILL else ""
        return f"a worker process {how}{hint}. Finished features are kept: run again"

    def terminate(self) -> None:
        """Ask the process to end, even in the middle of a job. Further calls do nothing."""
        if not self._asked_to_end:
            self._asked_to_end = True
            self._process.terminate()

    def stop(self) -> None:
        """End the process."""
        self.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            self._jobs.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._replies)


def in_parallel(jobs: Iterator[Job], setup: Setup, count: int) -> Iterator[Report]:
    """Reports as jobs finish. After a failed job no new one starts; those that run are finished first."""
    workers = [Worker(setup) for _ in range(count)]
    idle, running, failure = list(workers), dict[Future[Report], Worker](), None
    with ThreadPoolExecutor(count) as pool:
        try:
            while True:
                while idle and failure is None and (job := next(jobs, None)):
                    worker = idle.pop()
                    running[pool.submit(worker, job)] = worker
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    worker = running.pop(future)
                    try:
                        report = future.result()
                    except EmorepError as error:
                        failure = failure or error
                        continue
                    idle.append(worker)
                    yield report
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.stop()
    if failure is not None:
        raise failure


def main(jobs: int, replies: int) -> None:
    """The whole run of a worker, by the descriptors of its pipes; ends the process."""
    for number in (signal.SIGINT, signal.SIGHUP):  # the parent gets them too, and ends its workers
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's own, also where it was started with it ignored
    status = 0
    with commands.stoppable([signal.SIGTERM], second=lambda _: None):  # must not interrupt the end
        try:
            for descriptor in (jobs, replies):
                os.set_inheritable(descriptor, False)
            os.dup2(2, 1)  # an upstream may print
            with os.fdopen(replies, "w") as answers:
                _serve(_Lines(jobs), answers)
        except commands.Stopped:  # it came through the code that removes a file half written
            status = 1
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        commands.finish(status)


class _Lines:
    """The lines that the parent sends. When the parent is gone this process ends, even in the middle of a job."""

    def __init__(self, descriptor: int) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True, name="jobs").start()

    def __iter__(self) -> Iterator[str]:
        while line := self._lines.get():
            yield line

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as pipe:
            for line in pipe:
                self._lines.put(line)
        self._lines.put("")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)


def _serve(jobs: _Lines, answers: TextIO) -> None:
    """Read a line with the setup, then one line for each job; write a report or an error for each."""
    setup: Setup | None = None
    upstream: Frozen | None = None
    for line in jobs:
        if setup is None:
            keep_memory()
            setup = _setup(line)
            continue
        try:
            upstream = upstream or _build(setup)
            reply = asdict(run(_job(line, setup.modality), upstream, Path(setup.cache)))
        except EmorepError as error:
            reply = {"error": str(error)}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


def _build(setup: Setup) -> Frozen:
    upstream = build(setup.named, precision=setup.precision)
    if upstream.fingerprint() != setup.fingerprint:
        raise Unsteady(setup.named.name)
    import torch

    torch.set_num_threads(1)
    return upstream


def _setup(line: str) -> Setup:
    plain = json.loads(line)
    named = plain.pop("named")
    lists = {name: tuple(value) for name, value in named.items() if isinstance(value, list)}
    return Setup(Named(**{**named, **lists}), **plain)


def _job(line: str, modality: str) -> Job:
    plain = json.loads(line)
    inputs = tuple(INPUTS[modality](**one) for one in plain["inputs"])
    return Job(inputs, tuple(Kept(**kept) for kept in plain["kept"]))
