"""From the command line to a Request, with all names resolved."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import downstreams
import tasks
import upstreams
from cells import engine_settings, late, shards
from cells.jobs import Setting
from commons import commands, device, places
from commons.errors import Refused, cut
from commons.places import Places
from leaderboard.records.files import LIMITED
from upstreams.facts import seen_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cells.engine_settings import Ray, Slurm
    from cells.late import LateFusion
    from cells.shards import Shard
    from downstreams import Reader
    from upstreams import Ablation, Named


@dataclass(frozen=True)
class Request:
    """The upstreams, tasks and heads to measure, and how.

    Attributes:
        readers: heads; empty: each task's own.
        jobs: worker processes.
        limit: for a smoke run, utterances of each task; None: all.
        dry_run: say what would be done, and stop.
        card: all that a card needs was asked for; the hours are said first.
        force: measure cells again that are done; rerun: measure them again and compare.
        ablation: its variants are upstreams as well, and its table is shown.
        speech: folders of speech on which the variants are trained.
        seen: corpora of the benchmark among that speech -> "audio"; None: not known.
        files: files of the user's that variants begin with or follow, by their names in the recipes.
        audio: folder to which paths in users' tables are relative; labels: file that maps their labels to classes.
        texts: corpora and files of transcripts that replace their own.
        keep_weights: leave the fitted heads and fine-tuned encoders beside the records.
        asked: heads that were named, without the further read-outs of their trainings; empty as `readers`.
        noise: folder of the speech that babble is made of.
        shard: the part of the request to do; None: all of it.
        engine: who runs the jobs, with the settings of the user's file.
        prefetch: resolve names, fetch weights, audit corpora, and stop.
    """

    upstreams: tuple[Named | LateFusion, ...]
    tasks: tuple[str, ...]
    readers: tuple[Reader, ...]
    places: Places
    seeds: int = 3
    device: str = "auto"
    precision: str = "fp32"
    jobs: int = 1
    limit: int | None = None
    force: bool = False
    rerun: bool = False
    skip_bad: bool = False
    by_arousal: bool = False
    dry_run: bool = False
    card: bool = False
    ablation: Ablation | None = None
    speech: tuple[Path, ...] = ()
    seen: dict[str, str] | None = None
    files: tuple[tuple[str, str], ...] = ()
    audio: Path | None = None
    labels: Path | None = None
    texts: tuple[tuple[str, Path], ...] = ()
    keep_weights: bool = False
    asked: tuple[str, ...] = ()
    noise: Path | None = None
    shard: Shard | None = None
    engine: Slurm | Ray | None = None
    prefetch: bool = False

    @property
    def looks(self) -> bool:
        """Whether the request only looks ahead: no job is done."""
        return self.dry_run or self.prefetch

    def keeps(self, reader: Reader) -> bool:
        """Whether weights of this head are kept: of a training only those of the read-outs that were named."""
        return self.keep_weights and (not self.asked or reader.name in self.asked)

    @property
    def results(self) -> Path:
        """Folder of the records; smoke runs have one of their own."""
        return self.places.results / (LIMITED if self.limit else "")

    @property
    def setting(self) -> Setting:
        """The values that all jobs share."""
        where = self.places
        reading = tasks.Options(
            where.data, where.cache, where.emobox, self.skip_bad, self.limit, self.jobs, self.audio, self.labels,
            self.texts, noise=self.noise, below=where.below, by_arousal=self.by_arousal,
        )  # fmt: skip
        return Setting(
            results=self.results.absolute(),
            reading=reading.absolute(),
            extraction=upstreams.Extraction(
                where.cache.absolute(), self.device, self.jobs, below=tuple(one.absolute() for one in where.below)
            ),
        )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed command line; argparse ends the program with status 2 where it is wrong."""
    here = _parser()
    options = here.parse_args(argv)
    alone = options.list or options.status or options.cancel
    if not alone and not ((options.upstream or options.ablation) and options.task):
        here.error("name at least one upstream (-u) and one task (-t); --list shows what there is")
    return options


def _parser() -> argparse.ArgumentParser:
    here = commands.Parser(
        prog=commands.called("run_benchmark.py"),
        description="Measure how much emotion speech representations hold.",
        epilog="example: python run_benchmark.py -u fbank opensmile -t emodb ravdess --data ~/corpora",
    )
    add = here.add_argument
    add("-u", "--upstream", nargs="+", metavar="NAME", default=[], help="what turns audio or text into features")
    add("-t", "--task", nargs="+", metavar="NAME", default=[], help="tasks, suites such as `here`, a table: csv:FILE")
    add("-d", "--downstream", nargs="+", metavar="NAME", default=[],
        help="heads (default: the task's own); NAME@FILE.yaml: with settings of your own")  # fmt: skip
    places.add_to(here, "data", "results", "cache")
    tasks.add_to(here)
    seeds, jobs = commands.whole(1, commands.MOST_SEEDS), commands.whole(1, commands.MOST_JOBS)
    add("--seeds", type=seeds, default=3, metavar="N", help="for heads that draw anything (default: 3)")
    add("--device", choices=device.DEVICES, default="auto")
    add("--precision", choices=["fp32", "bf16"], default="fp32", help="of the upstream (default: fp32)")
    add("--jobs", type=jobs, default=device.cores(), metavar="N", help="worker processes (default: one a core)")
    add("--limit", type=commands.whole(1), metavar="N", help="a smoke run on N utterances a task, in RESULTS/limited/")
    add("--dry-run", action="store_true", help="say what would be done, of trainings with the hours, and stop")
    again = here.add_mutually_exclusive_group()
    again.add_argument("--force", action="store_true", help="measure cells again that are done")
    again.add_argument("--rerun", action="store_true", help="measure done cells again, compare, keep what was there")
    add("--keep-weights", action="store_true", help="keep what is trained, for emorep apply; makes what is missing")
    add("--skip-bad", action="store_true", help="leave out undecodable files and utterances without text, and say so")
    add("--text", nargs="+", metavar="CORPUS=FILE", default=[],
        help="transcripts for a corpus: a table of id and text (of a recogniser) or text_gold")  # fmt: skip
    add("--by-arousal", action="store_true",
        help="heads that learn intensity: levels of IEMOCAP and MSP-Podcast from their rated arousal")  # fmt: skip
    add("--ablation", metavar="NAME", help="variants of a pre-training, as upstreams")
    add("--speech", nargs="+", default=[], metavar="DIR", help="of --ablation: what it is trained on")
    add("--seen", nargs="+", metavar="CORPUS", help="corpora of the benchmark among --speech, or none")
    places.add_to(here, "runs")
    add("--shard", nargs="?", const="", metavar="K/N",
        help="do part K of N of the request; without K/N, of an array job of Slurm")  # fmt: skip
    add(
        "--engine",
        choices=engine_settings.NAMES,
        default="local",
        help="who runs the jobs (default: this machine)",
    )
    add("--engine-config", metavar="FILE", type=Path, help="settings of the engine (YAML): docs/scale.md")
    add("--address", help="of --engine ray: the cluster (default: ray starts one on this machine)")
    add("--prefetch", action="store_true", help="fetch weights and audit corpora, for workers without network")
    add("--status", action="store_true", help="what of the runs in --results is done, running, failed, left")
    add("--cancel", action="store_true", help="end the runs in --results; what they did is kept")
    add("--list", action="store_true", help="upstreams, tasks with the state of their corpora, downstreams")
    return here


def understood(options: argparse.Namespace, tell: Callable[[str], None]) -> Request:
    """The request of a parsed command line; `tell` is called with a line on the tasks that suites leave out.

    Raises:
        EmorepError: a name is unknown, a folder does not exist, a head cannot read a task, or there is no GPU.
    """
    where = places.chosen(options)
    if where.data != Path(places.DATA) and not os.path.isdir(where.data) and not tasks.unread(where.data):
        raise Refused(f"{where.data}: {places.NO_DATA}")
    for option, folder in (("--results", where.results), ("--cache", where.cache)):
        if said := places.unwritable(folder):
            raise Refused(f"{said}; name another with {option}")
    if options.keep_weights and options.rerun:
        raise Refused("--rerun keeps what was there, and writes no weights; leave it or --keep-weights out")
    asked = dict.fromkeys(one for name in options.upstream for one in late.expand(name, where))
    if options.audio and not options.audio.expanduser().is_dir():
        raise Refused(f"{options.audio}: there is no such folder; name the folder of your table's audio with --audio")
    if options.labels and not options.labels.expanduser().is_file():
        raise Refused(f"{options.labels}: there is no such file; --labels names one that maps labels to classes")
    if options.noise and not options.noise.expanduser().is_dir():
        raise Refused(f"{options.noise}: there is no such folder; name a folder of speech with --noise")
    ablation = upstreams.ablation(options.ablation) if options.ablation else None
    if not ablation and (options.seen or options.speech):
        raise Refused("--seen and --speech are of pre-training; name the variants to train with --ablation")
    own = (options.audio, options.labels, options.noise)
    names = tuple(tasks.resolve(options.task, where.data, tell, where.emobox, *own))
    tables = tasks.Options(where.data, where.cache, where.emobox, audio=options.audio, labels=options.labels)
    request = Request(
        upstreams=tuple(dict.fromkeys(late.resolve(name, where) for name in asked)),
        tasks=names,
        readers=_readers(options.downstream),
        card=any(tasks.is_card(name) for name in options.task),
        asked=tuple(downstreams.resolve(name).name for name in options.downstream),
        places=where,
        **{k: getattr(options, k)
           for k in ["seeds", "device", "precision", "jobs", "limit", "force", "rerun", "skip_bad", "dry_run", "audio",
                     "labels", "keep_weights", "noise", "prefetch", "by_arousal"]},
        shard=None if options.shard is None else shards.which(options.shard, os.environ),
        engine=engine_settings.chosen(options.engine, options.engine_config, options.address),
        texts=tasks.texts(options.text, names, tables),
        ablation=ablation,
        speech=tuple(_speech(folder) for folder in options.speech),
        seen=seen_of(options.seen),
        files=tuple((name, os.environ[name]) for name in (ablation.files if ablation else ()) if os.environ.get(name)),
    )  # fmt: skip
    if request.by_arousal and not any(reader.further for reader in request.readers):
        raise Refused("--by-arousal is for heads that learn intensity; name speecheq or finetune_speecheq with -d")
    _suit(request.readers, [name for name in request.tasks if name in options.task])
    if request.device == "cuda" and request.engine is None:  # elsewhere the worker looks for its GPU
        device.choose(request.device)
    return request


def _readers(names: Sequence[str]) -> tuple[Reader, ...]:
    """The heads of these names, each once, with all read-outs of their trainings."""
    readers = [downstreams.resolve(one) for name in names for one in downstreams.expand(name)]
    return tuple({reader.name: reader for reader in readers}.values())


def _suit(readers: Sequence[Reader], named: Sequence[str]) -> None:
    """Raise Refused where a head cannot read a task that is named; a task of a suite fails later, by itself."""
    for reader, name in product(readers, named):
        kind = tasks.kind(name)
        if kind is not None and kind not in reader.kinds:
            able = " and ".join(reader.kinds)
            raise Refused(f"{reader.name} treats {able}, and {name} is {kind}; use -d probe")


def _speech(name: str) -> Path:
    """A folder of --speech. Raises Refused: there is none."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise Refused(f"--speech {cut(name)}: there is no such folder; name folders of speech to train variants on")
    return folder
