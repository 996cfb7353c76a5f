"""python -m upstreams pretrain, average, release: pre-training at the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from commons import places
from commons.commands import MOST_JOBS, whole
from commons.device import DEVICES
from commons.errors import EmorepError, Refused
from upstreams.facts import seen_of


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this package to the others."""
    pretrain = commands.add_parser("pretrain", help="train a representation on speech without labels")
    pretrain.add_argument(
        "config",
        metavar="CONFIG",
        help="base (emotion2vec, the paper's), small, mockingjay_small, npc_small ..., or a YAML file",
    )
    pretrain.add_argument(
        "--data", dest="speech", nargs="+", type=Path, required=True, metavar="DIR", help="folders of speech"
    )
    pretrain.add_argument(
        "--run", dest="folder", type=Path, metavar="DIR", help="default: CONFIG in $EMOREP_RUNS, else in ./runs"
    )
    pretrain.add_argument(
        "--seen",
        nargs="+",
        metavar="CORPUS",
        help="corpora of the benchmark among the speech and in the weights it begins with, or none; stored in the "
        "checkpoints",
    )
    pretrain.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="such as loss.alpha=0.1")
    pretrain.add_argument("--device", choices=DEVICES, default="auto")
    pretrain.add_argument("--precision", choices=["fp32", "bf16"], help="default: the recipe's")
    places.add_to(pretrain, "cache")
    jobs = whole(1, MOST_JOBS)
    pretrain.add_argument("--jobs", type=jobs, default=os.cpu_count() or 1, metavar="N", help="threads that decode")
    pretrain.set_defaults(run=_pretrain)
    average = commands.add_parser("average", help="the mean of a run's last checkpoints, as a checkpoint")
    average.add_argument("folder", type=Path, metavar="RUN")
    average.add_argument("--last", type=whole(1), default=5, metavar="K", help="default: 5")
    average.set_defaults(run=_average)
    release = commands.add_parser(
        "release", help="a checkpoint to be passed on: half precision, without what only training uses"
    )
    release.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    release.add_argument("file", type=Path, metavar="FILE", help="the file to write, such as mine.safetensors")
    release.set_defaults(run=_release)


def _pretrain(arguments: argparse.Namespace) -> int:
    from upstreams.pretraining import recipe as recipes

    changes = arguments.set + ([f"precision={arguments.precision}"] if arguments.precision else [])
    try:
        recipe = recipes.load(arguments.config, changes)
    except EmorepError as error:
        raise Refused(str(error)) from error

    from upstreams.pretraining.launch import launch
    from upstreams.pretraining.processes import of_environment

    world = of_environment(os.environ)
    chosen = places.chosen(arguments)
    run = arguments.folder or chosen.runs / Path(arguments.config).stem
    ended = launch(
        recipe, arguments.speech, run, chosen.cache, arguments.device, arguments.jobs, seen_of(arguments.seen), world
    )
    status = 128 + ended if ended else 0
    if world.size > 1:
        # Everything is on disk. Threads of torch.distributed may still run while Python shuts down, and then abort the
        # process ("terminate called without an active exception"), which torchrun takes for a failed run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _average(arguments: argparse.Namespace) -> int:
    from upstreams.pretraining.checkpoints import average

    print(average(arguments.folder, arguments.last))
    return 0


def _release(arguments: argparse.Namespace) -> int:
    from upstreams.pretraining.checkpoints import release
    from upstreams.pretraining.method import released

    release(arguments.checkpoint, arguments.file, released)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.1f} MB")
    return 0
