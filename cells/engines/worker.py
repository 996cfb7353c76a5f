"""What a process elsewhere does: the jobs of one parcel, one after another.

    python -m cells.engines.worker RESULTS/jobs/RUN/parcels/0001.json

A process without network: weights were fetched when the jobs were planned. It can be killed at any moment; started
again, it does what is left.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cells.jobs import with_setting
from commons import files
from commons.errors import EmorepError

if TYPE_CHECKING:
    from cells.jobs import Job
    from cells.workplace import Workplace

LOOK = 0.5  # s between two looks whether the driver is alive
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_places: dict[int, Workplace] = {}  # of this process: what it keeps between two parcels


def carry_out(file: str) -> None:
    """Do the jobs of a parcel. Their outcomes go to the folder of its run, as does the reason why none can be done."""
    os.environ.update(OFFLINE)
    from cells import engines, parcels
    from cells.engines.cluster import REFUSED
    from cells.engines.local import Local
    from cells.runs import Run
    from cells.workplace import Workplace

    path = Path(file)
    try:
        delivery = parcels.read(path)
        jobs = [_here(job, delivery.data) for job in delivery.jobs]
    except EmorepError as error:
        files.write(path.with_suffix(REFUSED), f"{error} (on {platform.node()})")
        return
    with suppress(OSError):  # a folder that is not there is missed only by who names a table in it
        os.chdir(delivery.here)
    run = Run(delivery.run, note=lambda job: f"(on {platform.node()}; output: {Run(delivery.run).log(job)})")
    done = {one: outcome for one, outcome in run.outcomes().items() if not outcome.failure}  # before it was killed
    before = {outcome.job: outcome for outcome in delivery.before} | done
    place = _places.setdefault(os.getpid(), Workplace())
    engine = Local(place, run, before, lambda job: _logged(run.log(job.id)))
    for _ in engines.run(engine, [job for job in jobs if job.id not in done]):
        pass


def end_with_driver(file: str) -> None:
    """From now on, end this process as soon as the run of a parcel has no driver or is cancelled.

    It also ends when the process that started it does. What is half done is done again by the next run.
    """
    from cells.runs import Run

    run, parent = Run(Path(file).parents[1]), os.getppid()

    def watch() -> None:
        while run.driven and not run.cancelled and os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _here(job: Job, data: str | None) -> Job:
    """The job with the corpora where they are on this machine. Raises EmorepError: they are not there."""
    if data is None:
        return job
    folder = Path(os.path.expandvars(data)).expanduser()
    if not folder.is_dir():
        raise EmorepError(
            f"{data}: there is no folder {folder}; copy the corpora there in `setup`, or leave out `data`"
        )
    return with_setting(job, lambda own: replace(own, reading=replace(own.reading, data=folder)))


@contextmanager
def _logged(log: Path) -> Iterator[None]:
    """In this context what the process and its children print goes to a file."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:  # the output stays where it was
        yield
        return
    streams = (1, 2)
    before = [os.dup(stream) for stream in streams]
    try:
        _flush()
        for stream in streams:
            os.dup2(target, stream)
        yield
    finally:
        _flush()
        for stream, kept in zip(streams, before, strict=True):
            os.dup2(kept, stream)
            os.close(kept)
        os.close(target)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


if __name__ == "__main__":
    carry_out(sys.argv[1])
