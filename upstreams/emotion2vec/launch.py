"""A run from audio to weights, with what people see of it: progress, skipped files, a stop that loses nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from upstreams.emotion2vec.pack import Bounds, Pack, build
from upstreams.emotion2vec.pretrain import train
from upstreams.emotion2vec.processes import Processes
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.schedule import initial_share
from upstreams.emotion2vec.tracks import Tracks
from upstreams.errors import UpstreamError

NAMED = 5  # skipped files that are printed
LAG = 0.05  # share of the initial weights in the last teacher, above which people are warned


def launch(
    recipe: Recipe,
    data: Sequence[Path],
    run: Path,
    cache: Path,
    device: str = "auto",
    jobs: int = 1,
    seen: dict[str, str] | None = None,
) -> int:
    """Train a recipe on the speech under `data`; 0, or the signal that stopped it, after its step was saved.

    Raises UpstreamError: see pack.build and pretrain.train.
    """
    place = _device(device)
    processes = Processes.join(place)
    first = processes.rank == 0

    def prepare() -> tuple[Pack, Tracks | None]:
        bounds = Bounds(recipe.audio.min_seconds, recipe.audio.max_seconds)
        with _bar("decoding speech", first) as progress:
            pack = build(data, cache, bounds, jobs, progress)
        if not recipe.loss.side_targets:
            return pack, None
        with _bar("energy and pitch", first) as progress:
            return pack, Tracks(pack, jobs, progress)

    if first:  # the others find everything made
        _warn_of_lag(recipe)
        pack, tracks = prepare()
        _introduce(pack)
    processes.wait()
    if not first:
        pack, tracks = prepare()
    with _bar(f"{run}", first) as progress, _stop_signals() as stopped:

        def watch(step: int, line: dict[str, Any] | None) -> bool:
            if progress:
                progress(step, recipe.optimiser.steps, f"loss {line['loss']:.3f}" if line else "")
            return bool(stopped)

        at = train(recipe, pack, run, place, processes, watch, tracks, seen)
    processes.leave()
    if first:
        print(f"{run}: step {at.step} of {recipe.optimiser.steps}" + ("; the same command goes on" if stopped else ""))
    return stopped[0] if stopped else 0


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UpstreamError("--device cuda: torch sees no GPU here; use --device cpu, or a torch built for your GPU")
    if name == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _warn_of_lag(recipe: Recipe) -> None:
    """Where the teacher cannot keep up in so short a run."""
    teacher = recipe.teacher
    share = initial_share(recipe.optimiser.steps, teacher.decay, teacher.end_decay, teacher.anneal)
    if share > LAG:
        print(
            f"warning: after {recipe.optimiser.steps} steps {100 * share:.0f} % of the teacher's weights are still "
            f"those it began with; lower teacher.end_decay {teacher.end_decay:g} (it averages over some "
            f"{1 / max(1 - teacher.end_decay, 1e-12):.0f} steps), or train longer",
            file=sys.stderr,
        )


def _introduce(pack: Pack) -> None:
    """What will be heard, and what will not."""
    print(f"{len(pack)} utterances, {pack.hours:.2f} h")
    if pack.skipped:
        print(f"{len(pack.skipped)} files skipped:")
        for name, why in list(pack.skipped.items())[:NAMED]:
            print(f"  {name}: {why}")
        if len(pack.skipped) > NAMED:
            print(f"  and {len(pack.skipped) - NAMED} more, listed in the run's skipped.json")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A first SIGTERM or Ctrl-C is noted, so that the run ends after its step, saved; a second ends it at once."""
    noted: list[int] = []

    def note(number: int, _: object) -> None:
        noted.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(label: str, shown: bool) -> Iterator[Callable[..., None] | None]:
    """A progress bar with the time left; nothing where nobody looks."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}"), rich.TimeElapsedColumn(), rich.TimeRemainingColumn(),
    )  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, noted = progress.add_task(label, total=None, note=""), [""]

        def advance(done: float, total: float, note: str = "") -> None:
            noted[0] = note or noted[0]
            progress.update(task, completed=done, total=total, note=noted[0])

        yield advance
