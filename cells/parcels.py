"""Parcels: jobs that one process elsewhere does one after another, so that each has minutes of work.

A parcel is a JSON file: Slurm, Ray and any other scheduler need only start a process with its path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from cells import travel
from cells.components import components
from cells.costs import GPU
from cells.jobs import PART, Divided, Job, Measure, Outcome, Train
from cells.provenance import program
from commons import files
from commons.errors import EmorepError

if TYPE_CHECKING:
    from cells.costs import Estimate

SPLIT = 2.0  # work that is this many times too long for a parcel is split


@dataclass(frozen=True)
class Parcel:
    """Some jobs for one process.

    Attributes:
        number: from 1.
        wave: parcels of a wave start when those of earlier waves have ended.
        seconds: what they are estimated to take on one core, or on a GPU.
    """

    number: int
    jobs: tuple[Job, ...]
    wave: int
    seconds: float


def packed(
    jobs: Sequence[Job], estimates: Mapping[str, Estimate], seconds: float, gpu: bool, parts: int = 64
) -> list[Parcel]:
    """The jobs in parcels of about `seconds`.

    Jobs that depend on each other share a parcel and need no second wave, unless together they are too long: then
    extractions and trainings are split, and cells follow in later waves.

    Args:
        gpu: whether the processes have a GPU.
        parts: into which an extraction, or the trainings of a cell, are split at most.
    """
    times = {job.id: estimates[job.id].seconds / (GPU if gpu and estimates[job.id].gpu else 1.0) for job in jobs}
    whole: list[tuple[int, list[Job]]] = []  # (wave, jobs that stay together)
    for component in _components(jobs):
        if sum(times[job.id] for job in component) <= SPLIT * seconds:
            whole.append((0, component))
        else:
            whole += _apart(component, times, seconds, parts)
    made: list[Parcel] = []
    for wave in sorted({wave for wave, _ in whole}):
        for several in _filled([own for number, own in whole if number == wave], times, seconds):
            spent = sum(times[job.id] for job in several)
            made.append(Parcel(len(made) + 1, tuple(several), wave, spent))
    return made


def _components(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that depend on each other, directly or not; what a reference row stands beside does not count."""
    ids = {job.id for job in jobs}
    return components(jobs, lambda job: {job.id, *ids.intersection(job.after)})


def _apart(component: Sequence[Job], times: dict[str, float], seconds: float, most: int) -> list[tuple[int, list[Job]]]:
    """The jobs of a component one by one, each in the wave after those that it needs; long extractions and trainings in
    parts."""
    waves: dict[str, int] = {}
    split: dict[str, tuple[str, ...]] = {}
    made: list[tuple[int, list[Job]]] = []
    for job in component:
        waves[job.id] = 1 + max((waves[one] for one in job.after if one in waves), default=-1)
        count = min(most, ceil(times[job.id] / seconds))
        count = min(count, job.fits) if isinstance(job, Train) else count
        if isinstance(job, Divided) and count > 1:
            several = [
                replace(job, id=f"{job.id}{PART}{part + 1}/{count}", part=part, parts=count) for part in range(count)
            ]
            split[job.id] = tuple(one.id for one in several)
            times |= {one.id: times[job.id] / count for one in several}
            made += [(waves[job.id], [_after(one, split)]) for one in several]
        else:
            made.append((waves[job.id], [_after(job, split)]))
    return made


def _after(job: Job, split: Mapping[str, tuple[str, ...]]) -> Job:
    """The job, after the parts of the jobs that were split."""
    after = tuple(part for one in job.after for part in split.get(one, (one,)))
    if not isinstance(job, Measure):
        return replace(job, after=after)
    together = tuple(
        replace(own, after=tuple(part for one in own.after for part in split.get(one, (one,)))) for own in job.together
    )
    return replace(job, after=after, together=together)


def _filled(items: list[list[Job]], times: Mapping[str, float], seconds: float) -> list[list[Job]]:
    """Items one after another in lists of about `seconds`. A reference row loses the cells that it stands beside."""
    lists: list[list[Job]] = []
    left = 0.0
    for item in items:
        spent = sum(times[job.id] for job in item)
        if not lists or spent > left:
            lists.append([])
            left = seconds
        lists[-1] += item
        left -= spent
    for own in lists:
        ids = {job.id for job in own}
        own[:] = [
            replace(job, beside=job.beside if ids >= set(job.beside) else ()) if isinstance(job, Measure) else job
            for job in own
        ]
    return lists


@dataclass(frozen=True)
class Delivery:
    """What a parcel's file holds.

    Attributes:
        run: folder of the run.
        before: outcomes of jobs on which these rest.
        data: the folder of corpora where the jobs are done, if it is another one.
        here: the working folder of the driver, in which names of users' tables begin.
        program: the versions with which these jobs were planned.
    """

    run: Path
    jobs: tuple[Job, ...]
    before: tuple[Outcome, ...]
    data: str | None
    here: Path
    program: Mapping[str, str]


def write(parcel: Parcel, run: Path, before: Mapping[str, Outcome], data: str | None) -> Path:
    """Write a parcel's file into the folder of its run; returns its path. Raises EmorepError."""
    needed = dict.fromkeys(one for job in parcel.jobs for one in job.after if one in before)
    content = {
        "run": str(run), "jobs": [travel.write(job) for job in parcel.jobs],
        "before": [travel.write(before[one]) for one in needed], "data": data, "here": str(Path.cwd()),
        "program": program(),
    }  # fmt: skip
    path = run / "parcels" / f"{parcel.number:04d}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, json.dumps(content))
    except OSError as error:
        raise EmorepError(files.unwritten(path, error)) from error
    return path


def read(path: Path) -> Delivery:
    """What a parcel's file holds. Raises EmorepError: it cannot be read, or was written by another version."""
    try:
        content = json.loads(path.read_text())
        theirs = content["program"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmorepError(f"{path}: cannot be read ({error}); share the results folder with this machine") from error
    refuse_another(theirs)
    jobs, before = (tuple(travel.read(line) for line in content[name]) for name in ("jobs", "before"))
    return Delivery(Path(content["run"]), jobs, before, content["data"], Path(content["here"]), theirs)  # type: ignore[arg-type]


def refuse_another(theirs: Mapping[str, str]) -> None:
    """Raise EmorepError where this process has another version of the program, or of a package that figures depend on.

    The program is compared by a hash of its source files.
    """
    ours = program()
    differs = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    if differs:
        each = ", ".join(f"{name} {ours.get(name, 'absent')[:12]} here, {theirs.get(name, 'absent')[:12]} where the "
                         "jobs were planned" for name in differs)  # fmt: skip
        raise EmorepError(f"another version of the program: {each}; install the same one on every machine")
