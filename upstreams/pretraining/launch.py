"""A run from audio to weights, and what people see of it: progress, skipped files, and a stop that loses nothing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

from commons import device as devices
from commons import places
from commons.commands import SIGNALS
from commons.progress import Progress, bar
from upstreams.errors import UpstreamError
from upstreams.pretraining.given_frames import GivenFrames, teacher_of
from upstreams.pretraining.meter import Line
from upstreams.pretraining.method import Speech
from upstreams.pretraining.pack import Bounds, Pack, build
from upstreams.pretraining.processes import World, joined
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.scores import Scores
from upstreams.pretraining.tracks import Tracks
from upstreams.pretraining.train import train

NAMED = 5  # skipped files that are printed
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
        UpstreamError: see pack.build and train.train.
        EmorepError: there is no such device.
    """
    place = device_of(device, world)
    with joined(place, world) as processes:
        first = processes.rank == 0
        if first:  # the others load what it made
            if said := places.unwritable(run):
                raise UpstreamError(said)
            for warning in recipe.warnings():
                print(f"warning: {warning}", file=sys.stderr)
            speech = prepare(recipe, data, cache, jobs, shown=True, device=str(place))
            _introduce(speech.pack)
        processes.wait()
        if not first:
            speech = prepare(recipe, data, cache, jobs, shown=False, device=str(place))
        with _bar(f"{run}", "steps", first) as progress, _stop_signals() as stopped:

            def watch(step: int, line: Line | None) -> bool:
                if progress:
                    progress(step, recipe.optimiser.steps, f"loss {line['loss']:.3f}" if line else "")
                return bool(stopped)

            at = train(recipe, speech, run, place, processes, watch, seen)
        processes.wait()
    if first:
        print(f"{run}: step {at.step} of {recipe.optimiser.steps}" + ("; the same command goes on" if stopped else ""))
    return stopped[0] if stopped else 0


def prepare(
    recipe: Recipe, data: Sequence[Path], cache: Path, jobs: int = 1, shown: bool = False, device: str = "cpu"
) -> Speech:
    """The decoded speech, and its tracks, scores and frames where the recipe needs them; the cache keeps them.

    Raises UpstreamError: nothing can be decoded, the file of scores is none or of other audio, or the upstream whose
    frames are needed fails.
    """
    if recipe.teacher_frames:
        teacher_of(recipe.teacher_frames)  # before hours of decoding, whether there is such an upstream
    bounds = Bounds(recipe.audio.min_seconds, recipe.audio.max_seconds)
    with _bar("decoding speech", "files", shown) as progress:
        pack = build(data, cache, bounds, jobs, progress)
    scores = None if recipe.score_file is None else Scores(Path(recipe.score_file).expanduser(), pack)
    tracks = frames = None
    if recipe.needs_tracks:
        with _bar("energy and pitch", "utterances", shown) as progress:
            tracks = Tracks(pack, jobs, progress)
    if recipe.teacher_frames:
        with _bar("frames of the teacher", "utterances", shown) as progress:
            frames = GivenFrames(pack, recipe.teacher_frames, device, progress)
    return Speech(pack, tracks, scores, frames)


def device_of(asked: str, world: World) -> torch.device:
    """The device that is asked for; of several GPUs, the one of this process."""
    chosen = devices.choose(asked)
    return torch.device("cuda", world.local_rank) if chosen == "cuda" else torch.device(chosen)


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
    """Signals that came: after a first SIGTERM, SIGHUP or Ctrl-C the run ends after its step, saved; a second ends it
    at once. Signals that were ignored before (nohup, &) stay ignored."""
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
