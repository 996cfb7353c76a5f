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
from collections.abc import Callable, Iterator, Sequence
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


@dataclass(frozen=True)
class Outcome:
    """What became of a cell (upstream, task, downstream): its record, or why there is none."""

    cell: tuple[str, str, str]
    record: Any = None
    differs: Sequence[str] = ()  # from what stood there, of a cell done again
    failure: str = ""


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
    outcomes: list[Outcome] = []
    for name in request.tasks:
        started = time.perf_counter()
        try:
            with bar(f"{name}: checking audio", "files") as progress:
                task = tasks.load(
                    name, request.data, request.cache, request.skip_bad, request.limit, request.jobs, progress
                )
        except Exception as error:
            heads = request.downstreams or ["-"]
            failed = explain(error, request.results)
            outcomes += [Outcome((u, name, head), failure=failed) for u in request.upstreams for head in heads]
            continue
        seconds = time.perf_counter() - started
        heads = request.downstreams or [task.definition.downstream]
        for upstream in request.upstreams:
            outcomes += measure(request, task, upstream, heads, seconds)
        for reference in REFERENCES:
            outcomes += measure(request, task, reference, [REFERENCE], seconds)

    records = [outcome.record for outcome in outcomes if outcome.record]
    failures = [(*outcome.cell, outcome.failure) for outcome in outcomes if outcome.failure]
    differences = [f"{' · '.join(outcome.cell)}: {line}" for outcome in outcomes for line in outcome.differs]
    if records:
        leaderboard.csv(request.results)
    leaderboard.show(records, failures=failures)
    for line in differences:
        print(f"differs: {line}", file=sys.stderr)
    if request.rerun and not differences:
        print(f"{len(records)} cells done again, all the same.")
    return 1 if failures or differences else 0


def measure(request: Request, task: Any, upstream: str, heads: list[str], seconds: float) -> list[Outcome]:
    """One upstream read by all heads: one extraction serves those that are not done. `seconds`: loading the task."""
    outcomes: list[Outcome] = []
    todo: list[tuple[Cell, Any]] = []
    features = None
    try:
        for cell in plan(request, task, upstream, heads):
            old = leaderboard.find(request.results, cell.upstream, cell.task, cell.downstream, warn=warn)
            done = old is not None and old.cell.key == cell.key and set(cell.seeds) <= set(old.cell.seeds)
            if done and not request.force and not request.rerun:
                outcomes.append(Outcome((cell.upstream, cell.task, cell.downstream), old))
            else:
                todo.append((cell, old if done and request.rerun else None))
        if todo and upstream not in REFERENCES:
            needs = frozenset().union(*(downstreams.needs(cell.downstream) for cell, _ in todo))
            with bar(f"{task.name}: {upstream}", "s of audio") as progress:
                features = upstreams.extract(
                    upstream,
                    task.utterances,
                    needs,
                    request.cache,
                    request.device,
                    request.precision,
                    request.jobs,
                    progress,
                )
    except Exception as error:
        failed = explain(error, request.results)
        done_heads = {outcome.cell[2] for outcome in outcomes}
        return outcomes + [Outcome((upstream, task.name, h), failure=failed) for h in heads if h not in done_heads]
    for cell, old in todo:
        name = (cell.upstream, cell.task, cell.downstream)
        try:
            with bar(f"{task.name}: {upstream}, {cell.downstream}") as progress:
                predictions = read(request, task, cell, features, progress)
            if old is None:
                record = write(request.results, request, task, cell, upstream, features, predictions, seconds)
                outcomes.append(Outcome(name, record))
            else:
                with tempfile.TemporaryDirectory() as elsewhere:
                    again = write(Path(elsewhere), request, task, cell, upstream, features, predictions, seconds)
                    outcomes.append(Outcome(name, old, differs=leaderboard.same(old, again)))
        except Exception as error:
            outcomes.append(Outcome(name, failure=explain(error, request.results)))
    return outcomes


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
        label = upstream if reference else upstreams.label(upstream)
        cells.append(Cell(label, task.name, head, settings, key, seeds))
    return cells


def read(request: Request, task: Any, cell: Cell, features: Any, progress: Any) -> Any:
    """The head's predictions; those of a reference listen to nothing."""
    if features is None:
        return downstreams.reference(cell.upstream, task.problem, task.utterances["duration"].to_numpy())
    return downstreams.evaluate(cell.downstream, features, task.problem, cell.seeds, device(request), progress)


def write(
    results: Path,
    request: Request,
    task: Any,
    cell: Cell,
    upstream: str,
    features: Any,
    predictions: Any,
    seconds: float,
) -> Any:
    """Scores predictions and writes the cell's record; returns it."""
    definition, corpus = task.definition, task.corpus
    pooled = None
    if features is not None and features.pooled is not None and predictions.layer is not None:
        ids = predictions.table.loc[predictions.table["seed"] == predictions.table["seed"].min(), "id"]
        rows = task.utterances.index.get_indexer(ids)
        pooled = features.pooled[rows, 0, predictions.layer].astype("float16")
    extraction = dict(features.seconds) if features is not None else {}
    if extraction:
        extraction["extract"] = extraction.pop("total")
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
        upstream=who(cell, upstream, features),
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
            "seconds": {"load": seconds, **extraction, "evaluate": predictions.seconds},
            "peak_memory_mb": peak_memory(),
            "device": "cpu" if features is None else device(request),
            "versions": versions(),
            "git_commit": git_commit(),
            "emorep": metadata.version("emorep"),
        },
    )


def who(cell: Cell, name: str, features: Any) -> dict[str, Any]:
    """The record's section on the upstream."""
    if features is None:
        return {"name": cell.upstream, "title": REFERENCES[cell.upstream]}
    upstream = upstreams.load(name)
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


def peak_memory() -> float:
    """Peak resident memory so far of the largest of this program's processes, MB."""
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) / (1e6 if sys.platform == "darwin" else 1024)


def explain(error: Exception, results: Path) -> str:
    """A failure for the table; of one that no room foresaw, the traceback goes to a file beside the results."""
    if isinstance(error, UserError):
        return str(error)
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
