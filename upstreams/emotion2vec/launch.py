"""A run from audio to weights, with what people see of it: progress, skipped files, a stop that loses nothing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from commons import device as devices
from commons.commands import SIGNALS
from commons.progress import Progress, bar
from upstreams.emotion2vec.meter import Line
from upstreams.emotion2vec.pack import Bounds, Pack, build
from upstreams.emotion2vec.pretrain import train
from upstreams.emotion2vec.processes import Processes
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.schedule import initial_share
from upstreams.emotion2vec.tracks import Tracks
from upstreams.emotion2vec.world import World

NAMED = 5  # skipped files that are printed
LAG = 0.05  # share of the initial weights in the last teacher, above which people are warned
ALONE = World()


def launch(
    recipe: Recipe,
    data: Sequence[Path],
    run: Path,
    cache: Path,
    device: str = "auto",
    jobs: int = 1,
    seen: dict[str, str] | None = None,
    world: World = ALONE,
) -> int:
    """Train a recipe on the speech under `data`; returns 0, or the signal that stopped it after a step was saved.

    Args:
        device: auto, cpu or cuda; of several processes each takes the GPU of its local rank.
        jobs: threads that decode.
        seen: corpora of the benchmark among the speech, corpus -> "audio"; None: not known.
        world: the processes that train together.

    Raises:
        UpstreamError: see pack.build and pretrain.train.
        EmorepError: there is no such device.
    """
    place = _device(device, world)
    processes = Processes.join(place, world)
    first = processes.rank == 0
    if first:  # the others load what it made
        _warn_of_lag(recipe)
        pack, tracks = _prepare(recipe, data, cache, jobs, shown=True)
        _introduce(pack)
    processes.wait()
    if not first:
        pack, tracks = _prepare(recipe, data, cache, jobs, shown=False)
    with _bar(f"{run}", "steps", first) as progress, _stop_signals() as stopped:

        def watch(step: int, line: Line | None) -> bool:
            if progress:
                progress(step, recipe.optimiser.steps, f"loss {line['loss']:.3f}" if line else "")
            return bool(stopped)

        at = train(recipe, pack, run, place, processes, watch, tracks, seen)
    processes.leave()
    if first:
        print(f"{run}: step {at.step} of {recipe.optimiser.steps}" + ("; the same command goes on" if stopped else ""))
    return stopped[0] if stopped else 0


def _prepare(recipe: Recipe, data: Sequence[Path], cache: Path, jobs: int, shown: bool) -> tuple[Pack, Tracks | None]:
    """The decoded speech, and its tracks where the recipe has side targets; loaded where they are in the cache."""
    bounds = Bounds(recipe.audio.min_seconds, recipe.audio.max_seconds)
    with _bar("decoding speech", "files", shown) as progress:
        pack = build(data, cache, bounds, jobs, progress)
    if not recipe.loss.side_targets:
        return pack, None
    with _bar("energy and pitch", "utterances", shown) as progress:
        return pack, Tracks(pack, jobs, progress)


def _device(asked: str, world: World) -> torch.device:
    chosen = devices.choose(asked)
    return torch.device("cuda", world.local_rank) if chosen == "cuda" else torch.device(chosen)


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
    """Print how much speech there is, and which files are skipped."""
    print(f"{len(pack)} utterances, {pack.hours:.2f} h")
    if pack.skipped:
        print(f"{len(pack.skipped)} files skipped:")
        for name, why in list(pack.skipped.items())[:NAMED]:
            print(f"  {name}: {why}")
        if len(pack.skipped) > NAMED:
            print(f"  and {len(pack.skipped) - NAMED} more, listed in the run's skipped.json")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A first SIGTERM, SIGHUP or Ctrl-C is noted, so that the run ends after its step, saved; a second ends it at
    once. One that was ignored before (nohup, &) stays so."""
    noted: list[int] = []

    def note(number: int, _: object) -> None:
        noted.append(number)
        signal.signal(number, before[number])

    heeded = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {int(number): signal.signal(number, note) for number in heeded}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(label: str, unit: str, shown: bool) -> AbstractContextManager[Progress | None]:
    """A progress bar of the first process; None in the others."""
    return bar(label, unit) if shown else nullcontext()
