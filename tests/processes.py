"""Processes of a test's own that import nothing anew: a server that has imported what takes seconds forks them."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# torch._dynamo is imported by the first optimiser that is built; pytest, by whatever a runner of tests has started.
HEAVY = ("torch", "torch._dynamo", "torch.distributed", "pandas", "pyarrow.parquet", "scipy.signal", "scipy.stats",
         "sklearn.linear_model", "soundfile", "transformers", "safetensors.torch", "pydantic", "pytest")  # fmt: skip
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(list(HEAVY))


class Forked:
    """Python source that runs as by `python -c`, with what it prints in pipes: as subprocess.Popen shows it.

    Args:
        arguments: of the source, in sys.argv.
        folder: where it runs.
        variables: of the environment, beside those of this process.
    """

    def __init__(
        self, source: str, *arguments: object, folder: Path = ROOT, variables: Mapping[str, str] | None = None
    ) -> None:
        (self._out, out), (self._errors, errors) = SERVER.Pipe(duplex=False), SERVER.Pipe(duplex=False)
        words, environment = [str(argument) for argument in arguments], {**os.environ, **(variables or {})}
        self._process = SERVER.Process(target=_run, args=(source, words, str(folder), environment, out, errors),
                                       daemon=True)  # fmt: skip
        self._process.start()
        out.close()
        errors.close()
        self._readers = ThreadPoolExecutor(2)
        self._printed = [self._readers.submit(_all, pipe) for pipe in (self._out, self._errors)]

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What was printed, and the errors, when the process and all that hold its pipes have ended."""
        out, errors = (printed.result(timeout) for printed in self._printed)
        self.wait(timeout)
        self._readers.shutdown()
        return out, errors


def _all(pipe: Connection) -> str:
    with open(os.dup(pipe.fileno()), encoding="utf-8") as text:
        pipe.close()
        return text.read()


def run(source: str, *arguments: object, folder: Path = ROOT, variables: Mapping[str, str] | None = None,
        timeout: float = 300) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """The source's status and what it printed, as of subprocess.run."""
    process = Forked(source, *arguments, folder=folder, variables=variables)
    out, errors = process.communicate(timeout)
    return subprocess.CompletedProcess(["python", "-c", source], process.wait(timeout), out, errors)


def _run(source: str, words: list[str], folder: str, environment: dict[str, str], out: Connection,
         errors: Connection) -> None:  # fmt: skip
    for number, pipe in ((1, out), (2, errors)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *words]
    try:
        exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
