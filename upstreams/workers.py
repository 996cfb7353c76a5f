"""Worker processes: each builds the upstream once, then does the jobs that come over its standard input.

A process of its own rather than multiprocessing: the caller's script is not run again, a worker that dies is noticed
with its signal, and one whose parent was killed ends by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

from commons.errors import EmorepError
from upstreams import process
from upstreams.audio import Segment
from upstreams.contract import Frozen
from upstreams.errors import Unsteady, UpstreamError
from upstreams.models import build
from upstreams.names import Named
from upstreams.store import Kept
from upstreams.work import Job, Report, run

HOUSE = str(Path(__file__).resolve().parents[1])
# One thread each: numerical libraries read these variables when they are imported.
START = """
import os, sys
for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
sys.path.insert(0, sys.argv[1])
from upstreams.workers import main
main()
"""
PATIENCE = 3.0  # s for a worker to remove what it has half written


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before its first job."""

    named: Named
    fingerprint: str
    precision: str
    cache: str


class Terminated(BaseException):
    """The parent's SIGTERM; no SystemExit, which is put in words where an upstream raises one."""


class Worker:
    """The parent's end of a worker process: call it with a job."""

    def __init__(self, setup: Setup) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, HOUSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._first: Setup | None = setup

    def __call__(self, job: Job) -> Report:
        """Raises UpstreamError: the job's own, or that the process died."""
        assert self._process.stdin and self._process.stdout
        lines = [asdict(part) for part in (self._first, job) if part is not None]
        self._first = None
        try:
            for line in lines:
                self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            answer = ""
        if not answer:
            audio = f"{job.segments[0].path} and {len(job.segments) - 1} more"
            raise UpstreamError(f"{self._death()} while it worked on {audio}")
        reply = json.loads(answer)
        if "error" in reply:
            raise UpstreamError(reply["error"])
        return Report(**reply)

    def _death(self) -> str:
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = "; if memory ran out, use fewer --jobs" if status == -signal.SIGKILL else ""
        return f"a worker process {how}{hint} (finished chunks are kept: run again)"

    def stop(self) -> None:
        """End the process, at once if it is in the middle of a job."""
        assert self._process.stdin and self._process.stdout
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            return


def in_parallel(jobs: Iterator[Job], setup: Setup, count: int) -> Iterator[Report]:
    """Reports as jobs finish. A failed job stops new ones; those that run are finished and kept before it raises."""
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
                worker.stop()
    if failure is not None:
        raise failure


def main() -> None:
    """The worker's end of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _serve()
    except Terminated:
        sys.exit(1)


def _terminate(*_: object) -> None:
    raise Terminated  # so that a file half written is removed


def _serve() -> None:
    """A setup line, then a job a line; answers a report or an error for each."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an upstream prints must not pass for an answer
    first = sys.stdin.readline()
    if not first:
        return
    process.keep_memory()
    setup, upstream = _setup(first), None
    for line in sys.stdin:
        try:
            upstream = upstream or _build(setup)
            reply = asdict(run(_job(line), upstream, Path(setup.cache)))
        except EmorepError as error:
            reply = {"error": str(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


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
    return Setup(Named(**{**named, "arguments": tuple(named["arguments"])}), **plain)


def _job(line: str) -> Job:
    plain = json.loads(line)
    segments = tuple(Segment(**segment) for segment in plain["segments"])
    return Job(segments, tuple(Kept(**kept) for kept in plain["kept"]))
