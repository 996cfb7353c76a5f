"""python -m upstreams pretrain, average: emotion2vec's own training at the command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import torch

    from upstreams.emotion2vec.pack import Pack

TERMINATED = 143  # exit status of what SIGTERM ended
NAMED = 5  # skipped files that are printed


def add_to(commands: Any) -> None:
    """Put the commands of this package beside the others."""
    pretrain = commands.add_parser("pretrain", help="train emotion2vec on speech without labels")
    pretrain.add_argument("config", metavar="CONFIG", help="base (the paper's), small, or a YAML file")
    pretrain.add_argument("--data", nargs="+", type=Path, required=True, metavar="DIR", help="folders of speech")
    pretrain.add_argument("--run", dest="folder", type=Path, metavar="DIR", help="default: ./runs/CONFIG")
    pretrain.add_argument(
        "--seen",
        nargs="+",
        metavar="CORPUS",
        help="corpora of the benchmark among the speech, or none; the weights say so",
    )
    pretrain.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="such as loss.alpha=0.1")
    pretrain.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    pretrain.add_argument("--precision", choices=["fp32", "bf16"], help="default: the recipe's")
    default = os.environ.get("EMOREP_CACHE") or "~/.cache/emorep"
    pretrain.add_argument("--cache", type=Path, default=Path(default), help=f"for decoded speech; default {default}")
    pretrain.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="threads that decode")
    pretrain.set_defaults(run=_pretrain)
    average = commands.add_parser("average", help="the mean of a run's last checkpoints, as a checkpoint")
    average.add_argument("folder", type=Path, metavar="RUN")
    average.add_argument("--last", type=int, default=5, metavar="K", help="default: 5")
    average.set_defaults(run=_average)


def _pretrain(arguments: argparse.Namespace) -> int:
    from upstreams.emotion2vec import recipe as recipes

    changes = arguments.set + ([f"precision={arguments.precision}"] if arguments.precision else [])
    recipe = recipes.load(arguments.config, changes)

    from upstreams.emotion2vec.pack import Bounds, build
    from upstreams.emotion2vec.pretrain import train
    from upstreams.emotion2vec.processes import Processes
    from upstreams.emotion2vec.tracks import Tracks

    device, seen = _device(arguments.device), _seen(arguments.seen)
    processes = Processes.join(device)
    first = processes.rank == 0
    run = arguments.folder or Path("runs") / Path(arguments.config).stem
    bounds = Bounds(recipe.audio.min_seconds, recipe.audio.max_seconds)

    def prepare() -> tuple[Pack, Tracks | None]:
        with _bar("decoding speech", first) as progress:
            pack = build(arguments.data, arguments.cache.expanduser(), bounds, arguments.jobs, progress)
        if not recipe.loss.side_targets:
            return pack, None
        with _bar("energy and pitch", first) as progress:
            return pack, Tracks(pack, arguments.jobs, progress)

    if first:
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

        at = train(recipe, pack, run, device, processes, watch, tracks, seen)
    processes.leave()
    if first:
        print(f"{run}: step {at.step} of {recipe.optimiser.steps}" + ("; the same command goes on" if stopped else ""))
    return 128 + stopped[0] if stopped else 0


def _average(arguments: argparse.Namespace) -> int:
    from upstreams.emotion2vec.average import average

    print(average(arguments.folder, arguments.last))
    return 0


def _seen(corpora: list[str] | None) -> dict[str, str] | None:
    """None where nobody said it: then cells are marked `seen:unknown`."""
    if corpora is None:
        return None
    return {name.casefold(): "audio" for name in corpora if name.casefold() != "none"}


def _device(name: str) -> torch.device:
    import torch

    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UpstreamError("--device cuda: torch sees no GPU here; use --device cpu, or a torch built for your GPU")
    if name == "cpu" or not there:
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


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
