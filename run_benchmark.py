#!/usr/bin/env python
"""emorep: how much emotion do speech representations hold?

Reads the request, walks through the rooms (tasks -> upstreams -> downstreams -> leaderboard), prints the table.
Nothing heavy is imported before there is work for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import downstreams
import leaderboard
import tasks
import upstreams
from downstreams.errors import DownstreamError
from leaderboard.errors import LeaderboardError
from tasks.errors import TaskError
from upstreams.errors import UpstreamError

UserError = (TaskError, UpstreamError, DownstreamError, LeaderboardError)
REFERENCE = "reference"  # the downstream of rows that listen to nothing
REFERENCES = {"majority": "the most frequent class", "duration": "the length of the utterance alone"}


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    upstreams: list[str]
    tasks: list[str]
    downstreams: list[str]  # empty: each task's own
    data: Path
    results: Path
    cache: Path
    seeds: int
    device: str
    precision: str
    jobs: int
    limit: int | None
    force: bool
    rerun: bool
    skip_bad: bool


@dataclass(frozen=True)
class Cell:
    """One figure of the table: an upstream read by a downstream on a task; `key` is all that decides it."""

    upstream: str
    task: str
    downstream: str
    settings: dict[str, Any]
    key: str
    seeds: list[int]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; argparse ends the program with status 2 where it is wrong."""
    here = argparse.ArgumentParser(
        prog="run_benchmark.py",
        description="Measure how much emotion speech representations hold.",
        epilog="example: python run_benchmark.py -u fbank opensmile -t emodb ravdess --data ~/corpora",
    )
    here.add_argument("-u", "--upstream", nargs="+", metavar="NAME", default=[], help="what turns audio into features")
    here.add_argument("-t", "--task", nargs="+", metavar="NAME", default=[], help="tasks, or suites such as `here`")
    here.add_argument(
        "-d", "--downstream", nargs="+", metavar="NAME", default=[], help="heads (default: the task's own)"
    )
    here.add_argument("--data", metavar="DIR", default=os.environ.get("EMOREP_DATA", "data"),
                      help="one folder a corpus (default: $EMOREP_DATA, else ./data)")  # fmt: skip
    here.add_argument("--results", metavar="DIR", default="results", help="default: ./results")
    here.add_argument("--cache", metavar="DIR", default=os.environ.get("EMOREP_CACHE", "~/.cache/emorep"),
                      help="features (default: $EMOREP_CACHE, else ~/.cache/emorep)")  # fmt: skip
    here.add_argument("--seeds", type=int, default=3, metavar="N", help="for heads that draw anything (default: 3)")
    here.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    here.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the upstream (default: fp32)")
    here.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="worker processes")
    here.add_argument("--limit", type=int, metavar="N", help="a smoke run on N utterances a task, in RESULTS/limited/")
    here.add_argument("--force", action="store_true", help="do cells again that are done")
    here.add_argument("--rerun", action="store_true", help="do done cells again, compare, keep what was there")
    here.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be decoded, and say so")
    here.add_argument(
        "--list", action="store_true", help="upstreams, tasks with the state of their corpora, downstreams"
    )
    options = here.parse_args(argv)
    if not options.list and not (options.upstream and options.task):
        here.error("name at least one upstream (-u) and one task (-t); --list shows what there is")
    for name in ("seeds", "jobs", "limit"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            here.error(f"--{name} must be at least 1, and is {getattr(options, name)}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status (0 all done, 1 some cell failed or was absent, 2 a wrong request)."""
    options = parse(argv)
    data = Path(options.data).expanduser()
    if options.list:
        return show_list(data)
    try:
        request = Request(
            upstreams=list(dict.fromkeys(upstreams.resolve(name) for name in options.upstream)),
            tasks=list(dict.fromkeys(tasks.resolve(options.task, data))),
            downstreams=list(dict.fromkeys(downstreams.resolve(name) for name in options.downstream)),
            data=data,
            results=Path(options.results).expanduser() / ("limited" if options.limit else ""),
            cache=Path(options.cache).expanduser(),
            **{
                k: getattr(options, k)
                for k in ["seeds", "device", "precision", "jobs", "limit", "force", "rerun", "skip_bad"]
            },
        )
    except UserError as error:
        print(f"run_benchmark.py: {error}", file=sys.stderr)
        return 2
    try:
        return run(request)
    except KeyboardInterrupt:
        print("\nStopped. What was done is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    except UserError as error:
        print(f"run_benchmark.py: {error}", file=sys.stderr)
        return 1


def run(request: Request) -> int:
    """Every cell of the request, task by task; a failure stops its own cells only."""
    shown, failures, differences = [], [], []
    for name in request.tasks:
        try:
            with bar(f"{name}: checking audio") as progress:
                task = tasks.load(
                    name, request.data, request.cache, request.skip_bad, request.limit, request.jobs, progress
                )
        except TaskError as error:
            wanted = request.downstreams or ["-"]
            failures += [(upstream, name, head, str(error)) for upstream in request.upstreams for head in wanted]
            continue
        heads = request.downstreams or [task.definition.downstream]
        for upstream, wanted in [*((u, heads) for u in request.upstreams), *((r, [REFERENCE]) for r in REFERENCES)]:
            missing = set(wanted)
            try:
                for record, differs in measure(request, task, plan(request, task, upstream, wanted)):
                    shown.append(record)
                    differences += differs
                    missing.discard(record.cell.downstream)
            except Exception as error:
                message = str(error) if isinstance(error, UserError) else unexpected(error, request.results)
                failures += [(upstream, name, head, message) for head in wanted if head in missing]
    if shown:
        leaderboard.csv(request.results)
    leaderboard.show(shown, failures=failures)
    for line in differences:
        print(f"differs: {line}", file=sys.stderr)
    if request.rerun and not differences:
        print(f"{len(shown)} cells done again, all the same.")
    return 1 if failures or differences else 0


def plan(request: Request, task: Any, upstream: str, heads: list[str]) -> list[Cell]:
    """The cells of one upstream on one task: one a head."""
    reference = upstream in REFERENCES
    fingerprint = upstream if reference else upstreams.load(upstream).fingerprint()
    cells = []
    for head in heads:
        settings = downstreams.settings("probe" if reference else head)
        decides = {
            "upstream": fingerprint,
            "task": task.definition.version,
            "audit": task.audit.hash,
            "downstream": settings,
            "precision": request.precision,
            "skip_bad": request.skip_bad,
        }
        key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        seeds = [0] if reference else downstreams.seeds(head, request.seeds)
        cells.append(Cell(upstream, task.name, head, settings, key, seeds))
    return cells


def measure(request: Request, task: Any, cells: list[Cell]) -> Iterator[tuple[Any, list[str]]]:
    """Records of the cells, and how cells done again differ; one extraction serves all that are not done."""
    todo = []
    for cell in cells:
        old = leaderboard.find(request.results, cell.upstream, cell.task, cell.downstream, warn=warn)
        done = old is not None and old.cell.key == cell.key and set(cell.seeds) <= set(old.cell.seeds)
        if done and not request.force and not request.rerun:
            yield old, []
        else:
            todo.append((cell, old if done else None))
    if not todo:
        return
    name = cells[0].upstream
    features = None
    if name not in REFERENCES:
        needs = frozenset().union(*(downstreams.needs(cell.downstream) for cell, _ in todo))
        with bar(f"{task.name}: {name}", "s of audio") as progress:
            features = upstreams.extract(
                name, task.utterances, needs, request.cache, request.device, request.precision, request.jobs, progress
            )
    for cell, old in todo:
        if features is None:
            predictions = downstreams.references(task.problem, task.utterances["duration"].to_numpy())[name]
        else:
            with bar(f"{task.name}: {name}, {cell.downstream}") as progress:
                predictions = downstreams.evaluate(
                    cell.downstream, features, task.problem, cell.seeds, device(request), progress
                )
        if old is None or request.force:
            yield write(request.results, request, task, cell, features, predictions), []
        else:
            with tempfile.TemporaryDirectory() as elsewhere:
                again = write(Path(elsewhere), request, task, cell, features, predictions)
                where = f"{cell.upstream} on {cell.task} by {cell.downstream}"
                yield old, [f"{where}: {difference}" for difference in leaderboard.same(old, again)]


def write(results: Path, request: Request, task: Any, cell: Cell, features: Any, predictions: Any) -> Any:
    """Scores predictions and writes the cell's record; returns it."""
    definition, corpus = task.definition, task.corpus
    pooled = None
    if features is not None and features.pooled is not None and predictions.layer is not None:
        ids = predictions.table.loc[predictions.table["seed"] == predictions.table["seed"].min(), "id"]
        rows = task.utterances.index.get_indexer(ids)
        pooled = features.pooled[rows, 0, predictions.layer].astype("float16")
    return leaderboard.record(
        results,
        cell={
            "upstream": cell.upstream,
            "task": cell.task,
            "downstream": cell.downstream,
            "key": cell.key,
            "precision": request.precision,
            "seeds": cell.seeds,
            "limit": request.limit,
        },
        task={
            "name": task.name,
            "title": definition.title,
            "version": definition.version,
            "corpus": corpus.name,
            "family": corpus.family,
            "language": corpus.language,
            "licence": corpus.licence,
            "kind": task.problem.kind,
            "classes": list(task.problem.classes),
            "metrics": definition.metrics,
            "headline": definition.headline,
            "pooled_only": definition.pooled_only,
            "group_by": "speaker",
            "audit": task.audit.hash,
            "folds": [fold.name for fold in task.problem.folds],
            "published": [figure.model_dump() for figure in definition.published],
            "counts": task.counts,
            "notes": list(task.notes),
            "marks": list(task.marks),
        },
        upstream=who(cell, features),
        downstream={
            "name": cell.downstream,
            "settings": cell.settings,
            "deterministic": cell.downstream == REFERENCE or downstreams.deterministic(cell.downstream),
        },
        predictions=predictions,
        utterances=task.utterances,
        groups=task.problem.groups,
        pooled=pooled,
        run={
            "seconds": {**(features.seconds if features is not None else {}), "evaluate": predictions.seconds},
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "device": "cpu" if features is None else device(request),
            "versions": versions(),
            "git_commit": git_commit(),
            "emorep": metadata.version("emorep"),
        },
    )


def who(cell: Cell, features: Any) -> dict[str, Any]:
    """The record's section on the upstream."""
    if features is None:
        return {"name": cell.upstream, "title": REFERENCES[cell.upstream]}
    upstream = upstreams.load(cell.upstream)
    return {
        "name": cell.upstream,
        "title": upstream.title,
        "fingerprint": features.fingerprint,
        "depth": features.depth,
        "width": features.width,
        "seen": upstream.seen,
        "counts": features.counts,
        "audio_seconds": features.audio_seconds,
    }


def device(request: Request) -> str:
    """The torch device asked for; `auto` is the GPU where there is one."""
    if request.device != "auto":
        return request.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def versions() -> dict[str, str]:
    """What the figures were made with."""
    packages = ("torch", "transformers", "numpy", "scipy", "soundfile", "soxr")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


@cache
def git_commit() -> str | None:
    """The commit of this program, with `+` where files differ from it; None outside a clone."""
    here = Path(__file__).parent
    if not (here / ".git").exists() or not shutil.which("git"):
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}{'+' if git('status', '--porcelain', '-uno') else ''}" if commit else None


def warn(message: str) -> None:
    """A warning that changes nothing in what is done."""
    print(f"run_benchmark.py: {message}", file=sys.stderr)


def unexpected(error: Exception, results: Path) -> str:
    """A failure that no room foresaw: one line for the table, the traceback in a file beside the results."""
    log = results / "failures.log"
    try:
        results.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}\n")
        where = f"the traceback is in {log}"
    except OSError:
        where = "".join(traceback.format_exception(error))
    return f"{type(error).__name__}: {error} (not foreseen by this program; {where})"


@contextmanager
def bar(label: str, unit: str = "") -> Iterator[Callable[[float, float], None] | None]:
    """A progress bar with rate and time left; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
               TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task, started = progress.add_task(label, total=None, rate=""), time.perf_counter()

        def advance(done: float, total: float) -> None:
            rate = done / max(time.perf_counter() - started, 1e-9)
            progress.update(task, completed=done, total=total, rate=f"{rate:.0f} {unit}/s")

        yield advance


def show_list(data: Path) -> int:
    """Upstreams, tasks with the state of their corpora, downstreams; reads no audio and imports nothing heavy."""
    print("upstreams (-u)")
    for entry in upstreams.describe():
        print(f"  {entry.name:<24} {entry.about}")
    print(f"\ntasks (-t); corpora under {data}")
    for row in tasks.describe(data):
        print(f"  {row.task:<24} {row.language:<3} {row.state:<9} {row.found}/{row.expected} files  [{row.downstream}]")
    print("\nsuites (-t)")
    for suite, members in tasks.suites().items():
        print(f"  {suite:<24} {members}")
    print("\ndownstreams (-d)")
    for name, about in downstreams.describe():
        print(f"  {name:<24} {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
