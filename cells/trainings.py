"""Long trainings of heads as jobs: their folds and seeds can be done side by side, by processes anywhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import downstreams
from cells import keeping, runs
from cells.jobs import Measure, Train
from cells.workplace import AGAIN, TRAININGS
from commons import device
from commons.progress import bar, of_task

if TYPE_CHECKING:
    from pathlib import Path

    from cells.workplace import Workplace
    from commons.corridors.features import Features
    from commons.corridors.problem import Problem
    from downstreams.forecast import Forecast


def planned(cell: Measure, seeds: Sequence[int], problem: Problem) -> Train:
    """The trainings of a cell's head with these seeds."""
    fits = sum(len(problem.draws[seed] if problem.draws else problem.folds) for seed in seeds)
    return Train(f"train {' '.join(cell.cell)}", cell, tuple(seeds), fits, cell.after)


def forget(results: Path, run: str) -> None:
    """Remove the trainings of cells that a run measured again, and those of runs that are no more."""
    for folder in (results / TRAININGS).glob(f"*{AGAIN}*"):
        name = folder.name.rpartition(AGAIN)[2]
        if name == run or not (results / runs.FOLDER / name).is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def drop_folds(cell: Measure, place: Workplace) -> None:
    """Remove what the folds of a cell that is done gave; the results of long trainings stay for other cells."""
    folder = place.folder(cell)
    if folder is not None and not cell.reader.resumes:
        shutil.rmtree(folder, ignore_errors=True)


def train(job: Train, place: Workplace) -> None:
    """Do the trainings, those that are not done already. Raises EmorepError."""
    own, cell = _opened(job, place), job.of
    expected = str(own.expected(job)) if job.parts == 1 else f"part {job.part + 1} of {job.parts} of its trainings"
    print(f"{' · '.join(cell.cell)}: {expected}", file=sys.stderr)
    for seeds, problem in _of_part(job, own.problem):
        with bar(of_task(cell.recorded_task, f"{cell.cell[0]}, {cell.reader.name}"), "fits") as progress:
            downstreams.evaluate(cell.reader, own.features, problem, seeds, own.device, progress, own.work, own.keep)


def forecast(job: Train, place: Workplace) -> Forecast:
    """What the trainings of a job will take; one step is done for it. Raises EmorepError."""
    return _opened(job, place).expected(job)


@dataclass(frozen=True)
class _Opened:
    """What trainings need, see `downstreams.evaluate`."""

    features: Features
    problem: Problem
    device: str
    work: Path | None
    keep: list[str]

    def expected(self, job: Train) -> Forecast:
        return downstreams.expected(
            job.of.reader, self.features, self.problem, job.seeds, self.device, self.work, self.keep
        )


def _opened(job: Train, place: Workplace) -> _Opened:
    cell = job.of
    assert cell.upstream is not None
    return _Opened(
        features=place.features(cell.task, cell.upstream, cell.needs | cell.reader.needs, cell.setting),
        problem=place.read_by(cell.modality, cell.cell[0], cell.task, cell.setting).problem_of(cell.reader.further),
        device=device.choose(cell.setting.extraction.device),
        work=place.folder(cell),
        keep=keeping.readouts(cell),
    )


def _of_part(job: Train, problem: Problem) -> Iterator[tuple[list[int], Problem]]:
    """The trainings of a part: seeds, and the problem with the folds of these seeds that are its own."""
    if job.parts == 1:
        yield list(job.seeds), problem
        return
    first = 0  # number of the first training of a seed
    for seed in job.seeds:
        folds = problem.draws[seed] if problem.draws else problem.folds
        own = tuple(fold for number, fold in enumerate(folds, first) if number % job.parts == job.part)
        first += len(folds)
        if own and problem.draws:
            draws = tuple(own if draw == seed else each for draw, each in enumerate(problem.draws))
            yield [seed], replace(problem, draws=draws)
        elif own:
            yield [seed], replace(problem, folds=own)
