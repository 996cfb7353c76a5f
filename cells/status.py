"""`--status` and `--cancel`: the runs of a results folder, whoever began them."""

from __future__ import annotations

import time
from pathlib import Path

from cells import runs
from cells.engines import slurm
from cells.forecast import hours
from cells.runs import Run
from commons.errors import Refused
from leaderboard.records.files import LIMITED


def show(results: Path, cancel: bool) -> int:
    """Print what of every run is done, running, failed and left, or end the runs; returns 0.

    Raises:
        Refused: there is no such folder.
    """
    if not results.is_dir():
        raise Refused(f"{results}: no such folder; name the folder of results with --results")
    several = [run for folder in (results, results / LIMITED) for run in runs.known(folder)]
    if not several:
        print(f"{results}: no run is known here: none was begun, or all ended without failures")
    for run in several:
        print(*(_cancelled(run) if cancel else lines(run)), sep="\n")
    return 0


def _cancelled(run: Run) -> list[str]:
    """End a run: its driver and workers start no further job, and jobs of Slurm are cancelled."""
    run.cancel()
    said = [f"{run.name}: no further job starts; what is done is kept"]
    return [*said, *([also] if (also := slurm.cancel(run)) else [])]


def lines(run: Run) -> list[str]:
    """A run in words."""
    about, running = run.about, run.running()
    cells, failures = run.cells, run.failures()
    failed = [entry for entry in cells if entry[3] in failures]
    left = [entry for entry in run.left() if entry[3] not in failures]
    done = len(cells) - len(failed) - len(left)
    seconds, busy = sum(_number(one[4]) for one in left), max(1, len(running))
    state = "cancelled" if run.cancelled else "driven" if run.driven else "its driver has ended"
    what = "cells" if all(one[2] for one in cells) else "variants"  # of an ablation, which have a run of their own
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(_number(about.get("started"))))
    said = [
        f"{run.name}: {about.get('engine')} on {about.get('host')}, begun {began}, {state}",
        f"  done {done} of {len(cells)} {what}, running {len(running)}, failed {len(failed)}, left {len(left)}"
        f" (about {hours(seconds / busy)} with {busy} at work, extraction not counted)",
    ]
    for one in running:
        minutes = (time.time() - _number(one.get("since"))) / 60
        said.append(f"  running: {one.get('job')} on {one.get('host')}, process {one.get('pid')}, {minutes:.0f} min")
    said += [f"  failed: {job}: {why}" for job, why in failures.items()]
    said += [f"  not planned: {runs.named(map(str, one[:-1]))}: {one[-1]}" for one in _list(about.get("failed"))]
    return said


def _list(value: object) -> list[list[str]]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
