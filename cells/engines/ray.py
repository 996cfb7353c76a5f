"""Ray: parcels as tasks of a cluster, which may lose and gain machines meanwhile.

Ray's authentication by token, its parts of GPUs and its retries are used as they are; the results folder must be one
that all machines share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from commons.errors import EmorepError, cut

if TYPE_CHECKING:
    from cells import engine_settings as config
    from cells.runs import Run

HOUSE = str(Path(__file__).resolve().parents[2])


class Ray:
    """Starts parcels as tasks; a task whose process or machine is lost is tried again."""

    poll = 0.3

    def __init__(self, settings: config.Ray, run: Run) -> None:
        """
        Raises:
            EmorepError: Ray is not installed, the cluster does not answer, or no machine is large enough.
        """
        try:
            import ray
        except ImportError:
            raise EmorepError("--engine ray needs Ray, which is not installed: pip install emorep[ray]") from None
        self._ray, self._settings, self._run = ray, settings, run
        self._tasks: dict[str, ray.ObjectRef[None]] = {}
        where = settings.address or "this machine"
        environment = {"PYTHONPATH": HOUSE, **settings.environment}
        try:
            alone = {} if settings.address else {"include_dashboard": False}  # of a cluster that it starts
            start: Callable[..., object] = ray.init
            start(
                address=settings.address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR",
                runtime_env={"env_vars": environment}, **alone,
            )  # fmt: skip
        except Exception as error:
            raise EmorepError(
                f"Ray at {where}: {_line(error)}; start the cluster (ray start --head), name it with --address, and "
                "give its token (RAY_AUTH_TOKEN or ray get-auth-token) to this machine"
            ) from error
        self._refuse_small()

    def _refuse_small(self) -> None:
        """Raise EmorepError where no machine has what one job asks for: it would wait for ever."""
        own = self._settings
        wanted = {"CPU": float(own.cpus), "GPU": own.gpus, "memory": (own.memory or 0.0) * 1e9, **own.resources}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(own.get(what, 0.0) >= count for what, count in wanted.items()) for own in machines):
            return
        asked = ", ".join(_amount(what, count) for what, count in wanted.items() if count)
        there = ", ".join(
            _amount(what, max((own.get(what, 0.0) for own in machines), default=0.0))
            for what, count in wanted.items()
            if count or what in ("CPU", "GPU")
        )
        raise EmorepError(
            f"no machine of the Ray cluster has what one job asks for ({asked}; the largest have {there}); ask for "
            "less in --engine-config (cpus, gpus, memory, resources)"
        )

    def start(self, files: Sequence[Path]) -> list[str]:
        """Queue a task for each parcel; returns their handles. Raises EmorepError."""
        from cells.engines.worker import carry_out

        own = self._settings
        memory = None if own.memory is None else int(own.memory * 1e9)
        task = self._ray.remote(carry_out).options(
            num_cpus=own.cpus, num_gpus=own.gpus, memory=memory, resources=dict(own.resources), max_retries=own.retries,
            name="emorep",
        )  # fmt: skip
        try:
            self._tasks |= {path.stem: task.remote(str(path)) for path in files}
        except Exception as error:
            raise _gone(error) from error
        return [path.stem for path in files]

    def ended(self, handle: str) -> str | None:
        """None while a task runs or waits; then why it ended, "" where it came to its own end. Raises EmorepError."""
        ray, task = self._ray, self._tasks[handle]
        try:
            if not ray.wait([task], timeout=0)[0]:
                if not ray.is_initialized():
                    raise _gone("it was shut down")
                return None
            ray.get(task)
            return ""
        except EmorepError:
            raise
        except (ray.exceptions.RayTaskError, ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError,
                ray.exceptions.OutOfMemoryError, ray.exceptions.TaskCancelledError) as error:  # fmt: skip
            return f"Ray's task {handle} failed after {self._settings.retries} retries: {_line(error)}; run again"
        except Exception as error:
            raise _gone(error) from error

    def stop(self, handles: Sequence[str]) -> None:
        """End these tasks."""
        for handle in handles:
            with suppress(Exception):  # a task that has ended, or a cluster that is gone
                self._ray.cancel(self._tasks[handle], force=True)


def _amount(what: str, count: float) -> str:
    return f"{count / 1e9:.3g} GB of memory" if what == "memory" else f"{count:g} {what}"


def _gone(error: object) -> EmorepError:
    return EmorepError(
        f"the Ray cluster does not answer any more ({_line(error)}); cells that are done are kept: start the cluster, "
        "and run the same command again"
    )


def _line(error: object) -> str:
    """An error of Ray in one line: the last that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return cut(lines[-1] if lines else type(error).__name__, 300)
