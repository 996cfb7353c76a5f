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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from itertools import product
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

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
UserError = (TaskError, UpstreamError, DownstreamError, LeaderboardError)
DATA = "data"  # where corpora are looked for unless a folder is named
REFERENCE = "reference"  # the downstream of rows that listen to nothing
LINE_EVERY = 60  # seconds, of what is under way, where there is no progress bar
# The fingerprint says what an upstream's weights are, wherever they came from and whatever tables call them.
UNKEYED = ("weights", "label", "licence")
REFERENCES = {
    "majority": "the most frequent class",
    "duration": "the length of the utterance alone",
    "persistence": "the speaker's last emotion, by its true label",
}


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
    ablation: Any  # whose variants are upstreams as well, and whose table is shown; or None
    speech: list[Path]  # that they are trained on


@dataclass(frozen=True)
class Cell:
    """One row of a table: an upstream read by a downstream on a task.

    `upstream` is the record's section on it; `key` is a hash of all that decides the figures and their marks.
    """

    upstream: dict[str, Any]
    task: str
    downstream: str
    settings: dict[str, Any]
    precision: str
    key: str
    seeds: list[int]

    @property
    def name(self) -> tuple[str, str, str]:
        """(upstream, task, downstream), as files and tables name it."""
        return self.upstream["name"], self.task, self.downstream


@dataclass(frozen=True)
class Outcome:
    """What became of a cell (upstream, task, downstream): its record, or why there is none."""

    cell: tuple[str, str, str]
    record: Any = None
    differs: Sequence[str] | None = None  # of a cell done again: how it differs from what stood there
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
    here.add_argument("--data", metavar="DIR", default=os.environ.get("EMOREP_DATA") or DATA,
                      help="one folder a corpus (default: $EMOREP_DATA, else ./data)")  # fmt: skip
    here.add_argument("--results", metavar="DIR", default="results", help="default: ./results")
    here.add_argument("--cache", metavar="DIR", default=os.environ.get("EMOREP_CACHE") or "~/.cache/emorep",
                      help="features (default: $EMOREP_CACHE, else ~/.cache/emorep)")  # fmt: skip
    here.add_argument("--seeds", type=int, default=3, metavar="N", help="for heads that draw anything (default: 3)")
    here.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    here.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the upstream (default: fp32)")
    here.add_argument("--jobs", type=int, default=CORES, metavar="N", help="worker processes (default: one a core)")
    here.add_argument("--limit", type=int, metavar="N", help="a smoke run on N utterances a task, in RESULTS/limited/")
    here.add_argument("--force", action="store_true", help="do cells again that are done")
    here.add_argument("--rerun", action="store_true", help="do done cells again, compare, keep what was there")
    here.add_argument("--skip-bad", action="store_true", help="leave out files that cannot be decoded, and say so")
    here.add_argument("--ablation", metavar="NAME", help="variants of emotion2vec's pre-training, as upstreams")
    here.add_argument("--speech", nargs="+", default=[], metavar="DIR", help="of --ablation: what it is trained on")
    here.add_argument("--runs", metavar="DIR", default=os.environ.get("EMOREP_RUNS") or "runs",
                      help="of --ablation: where it is trained (default: $EMOREP_RUNS, else ./runs)")  # fmt: skip
    here.add_argument(
        "--list", action="store_true", help="upstreams, tasks with the state of their corpora, downstreams"
    )
    options = here.parse_args(argv)
    if not options.list and not ((options.upstream or options.ablation) and options.task):
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
    os.environ["EMOREP_RUNS"] = str(Path(options.runs).expanduser().absolute())  # workers resolve names by it, too
    try:
        if options.data != DATA and not data.is_dir():
            raise TaskError(f"{data}: there is no such folder; name that of your corpora with --data or $EMOREP_DATA")
        request = Request(
            upstreams=list(
                dict.fromkeys(upstreams.resolve(name) for asked in options.upstream for name in upstreams.expand(asked))
            ),
            tasks=list(dict.fromkeys(tasks.resolve(options.task, data, warn))),
            downstreams=list(dict.fromkeys(downstreams.resolve(name) for name in options.downstream)),
            data=data,
            results=Path(options.results).expanduser() / ("limited" if options.limit else ""),
            cache=Path(options.cache).expanduser(),
            **{
                k: getattr(options, k)
                for k in ["seeds", "device", "precision", "jobs", "limit", "force", "rerun", "skip_bad"]
            },
            ablation=upstreams.ablation(options.ablation) if options.ablation else None,
            speech=[Path(folder).expanduser() for folder in options.speech],
        )
        suit(request.downstreams, [name for name in request.tasks if name in options.task])
        if request.device == "cuda":
            device(request)
    except UserError as error:
        print(f"run_benchmark.py: {error}", file=sys.stderr)
        return 2
    try:
        try:
            return run(request)
        except KeyboardInterrupt:
            print("\nStopped. What was done is kept; the same command goes on from there.", file=sys.stderr)
            if leaderboard.load(request.results)[0]:
                tabulate(request.results)
            return 130
    except UserError as error:
        print(f"run_benchmark.py: {error}", file=sys.stderr)
        return 1


def suit(heads: list[str], named: list[str]) -> None:
    """Refuses a head that cannot treat a task asked for by its name; of a suite, such a task fails by itself."""
    for head, name in product(heads, named):
        if (kind := tasks.kind(name)) not in (None, *downstreams.kinds(head)):
            able = " and ".join(downstreams.kinds(head))
            raise DownstreamError(f"{head} treats {able}, and {name} is {kind}; use -d probe")


def run(request: Request) -> int:
    """Every cell of the request, task by task; a failure stops its own cells only."""
    outcomes: list[Outcome] = []
    absent: dict[str, str] = {}
    if request.ablation:
        request, absent = train(request)
    for name in request.tasks:
        started = time.perf_counter()
        try:
            with bar(f"{name}: checking audio", "files") as progress:
                task = tasks.load(
                    name, request.data, request.cache, request.skip_bad, request.limit, request.jobs, progress
                )
        except Exception as error:
            heads = request.downstreams or [""]
            failed = explain(error, request.results)
            log((name,), "failed")
            outcomes += [Outcome((u, name, head), failure=failed) for u in request.upstreams for head in heads]
            continue
        seconds = time.perf_counter() - started
        heads = request.downstreams or list(task.definition.heads)
        for upstream in request.upstreams:
            outcomes += measure(request, task, upstream, heads, seconds)
        if not any(outcome.record and outcome.cell[1] == name for outcome in outcomes):
            continue  # references have nothing to stand beside
        for reference in REFERENCES:
            if reference == "persistence" and task.problem.kind != "conversation":
                continue  # nobody spoke before
            outcomes += measure(request, task, reference, [REFERENCE], seconds)

    records = [outcome.record for outcome in outcomes if outcome.record]
    failures = [(*outcome.cell, outcome.failure) for outcome in outcomes if outcome.failure]
    leaderboard.show(records, failures=failures, matrix=True)
    again = [(outcome.cell, outcome.differs) for outcome in outcomes if outcome.differs is not None]
    differing = [(cell, differs) for cell, differs in again if differs]
    for cell, differs in differing:
        print("\n  ".join([f"differs: {' · '.join(cell)}", *differs]), file=sys.stderr)
    if request.rerun:
        print(f"{len(again)} cells done again: {len(again) - len(differing)} the same, {len(differing)} differ.")
    if request.ablation:
        show_ablation(request, records, absent)
    if records:
        tabulate(request.results)
    return 1 if failures or differing else 0


def tabulate(results: Path) -> None:
    """Writes the CSV of all records, and says where it lies."""
    print(f"results: {leaderboard.csv(results)}", file=sys.stderr)


def train(request: Request) -> tuple[Request, dict[str, str]]:
    """The request with its ablation's variants as upstreams, trained where they were not; those absent, and why."""
    ablation, runs = request.ablation, Path(os.environ["EMOREP_RUNS"])
    absent = upstreams.train(ablation, request.speech, runs, request.cache, request.device, request.jobs)
    variants = [ablation.upstream(variant) for variant in ablation.variants if variant not in absent]
    return replace(request, upstreams=list(dict.fromkeys([*request.upstreams, *variants]))), absent


def show_ablation(request: Request, records: list[Any], absent: dict[str, str]) -> None:
    """The table of an ablation, the paper's figures beside it; its files' names."""
    ablation = request.ablation
    upstream = {variant: ablation.upstream(variant) for variant in ablation.variants}
    facts = (ablation.name, ablation.title, upstream, ablation.published, ablation.measure, ablation.source)
    print(*leaderboard.ablation(request.results, *facts, records, absent), sep="\n")


def measure(request: Request, task: Any, upstream: str, heads: list[str], seconds: float) -> list[Outcome]:
    """One upstream read by all heads: one extraction serves those that are not done. `seconds`: loading the task."""
    outcomes: list[Outcome] = []
    todo: list[tuple[Cell, Any]] = []
    features = None
    try:
        for cell in plan(request, task, upstream, heads):
            old = leaderboard.find(request.results, *cell.name, warn=warn)
            missing = sorted(set(cell.seeds) - set(old.cell.seeds)) if old else []
            if missing:  # before they are trained: to a changed byte nothing can be added
                old = leaderboard.find(request.results, *cell.name, verify=True, warn=warn)
            if old is None or old.cell.key != cell.key or request.force:
                todo.append((cell, None))
            elif missing:
                todo.append((replace(cell, seeds=missing), old))
            elif request.rerun:
                todo.append((replace(cell, seeds=old.cell.seeds), old))
            else:
                outcomes.append(Outcome(cell.name, old))
        if todo and upstream not in REFERENCES:
            features = extract(request, task, upstream, [cell for cell, _ in todo])
    except Exception as error:
        failed = explain(error, request.results)
        done_heads = {outcome.cell[2] for outcome in outcomes}
        log((upstream, task.name), "failed")
        return outcomes + [Outcome((upstream, task.name, h), failure=failed) for h in heads if h not in done_heads]
    for cell, old in todo:
        try:
            if old is None or cell.seeds != old.cell.seeds:
                outcomes.append(Outcome(cell.name, fill(request, task, cell, features, seconds, old)))
                log(cell.name, "done")
            else:
                predictions = read(request, task, cell, features)
                with tempfile.TemporaryDirectory() as elsewhere:
                    again = write(Path(elsewhere), request, task, cell, features, predictions, seconds)
                    leaderboard.log_scoring(request.results, again)
                    outcomes.append(Outcome(cell.name, old, leaderboard.same(old, again)))
                log(cell.name, "done again")
        except Exception as error:
            outcomes.append(Outcome(cell.name, failure=explain(error, request.results)))
            log(cell.name, "failed")
    return outcomes


def plan(request: Request, task: Any, upstream: str, heads: list[str]) -> list[Cell]:
    """The cells of one upstream on one task: one a head."""
    heard, precision = who(upstream, request.precision)
    cells = []
    for head in heads:
        settings = downstreams.settings("probe" if head == REFERENCE else head)
        decides = {
            "upstream": {fact: value for fact, value in heard.items() if fact not in UNKEYED},
            # Published figures and titles only stand beside what was measured.
            "task": task.definition.model_dump(mode="json", exclude={"published", "title", "counts"}),
            "audit": task.audit.hash,
            "marks": task.marks,
            "downstream": settings,
            "precision": precision,
            "skip_bad": request.skip_bad,
        }
        key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        seeds = [0] if head == REFERENCE else downstreams.seeds(head, request.seeds, len(task.problem.draws))
        cells.append(Cell(heard, task.name, head, settings, precision, key, seeds))
    return cells


@cache
def who(upstream: str, precision: str) -> tuple[dict[str, Any], str]:
    """The record's section on an upstream, and the precision it can run in; its weights are hashed once a run."""
    if upstream in REFERENCES:
        return {"name": upstream, "title": REFERENCES[upstream]}, "fp32"
    frozen = upstreams.load(upstream, precision=precision)
    facts = {
        "name": upstreams.label(upstream),
        "title": frozen.title,
        "fingerprint": frozen.fingerprint(),
        "depth": frozen.depth,
        "width": frozen.width,
        "seen": frozen.seen,
    }
    return facts | {fact: said for fact in UNKEYED if (said := getattr(frozen, fact))}, frozen.precision


def extract(request: Request, task: Any, upstream: str, cells: list[Cell]) -> Any:
    """Features for all the cells of one upstream on one task."""
    needs = frozenset().union(*(downstreams.needs(cell.downstream) for cell in cells))
    with bar(f"{task.name}: {upstream}", "s of audio") as progress:
        return upstreams.extract(
            upstream,
            task.utterances,
            needs,
            request.cache,
            device=request.device,
            precision=request.precision,
            jobs=request.jobs,
            progress=progress,
            fingerprint=cells[0].upstream["fingerprint"],
        )


def fill(request: Request, task: Any, cell: Cell, features: Any, seconds: float, record: Any) -> Any:
    """The cell's record with its seeds added to `record` one by one: what is done when a run is killed stays done."""
    # With --force all at once: until all are done, those that stand must stand.
    parts = [cell.seeds] if request.force else [[seed] for seed in cell.seeds]
    before = record
    try:
        for seeds in parts:
            part = replace(cell, seeds=seeds)
            predictions = read(request, task, part, features)
            record = write(request.results, request, task, part, features, predictions, seconds, record)
    finally:
        if record is not before:  # one scoring, of however many seeds
            leaderboard.log_scoring(request.results, record)
    return record


def read(request: Request, task: Any, cell: Cell, features: Any) -> Any:
    """The head's predictions; those of a reference listen to nothing."""
    if features is None:
        return downstreams.reference(cell.upstream["name"], task.problem, task.utterances["duration"].to_numpy())
    with bar(f"{task.name}: {cell.upstream['name']}, {cell.downstream}", "fits") as progress:
        return downstreams.evaluate(cell.downstream, features, task.problem, cell.seeds, device(request), progress)


def write(
    results: Path,
    request: Request,
    task: Any,
    cell: Cell,
    features: Any,
    predictions: Any,
    seconds: float,
    extends: Any = None,
) -> Any:
    """Scores predictions and writes the cell's record, to which `extends` adds its seeds; returns it."""
    definition, corpus = task.definition, task.corpus
    pooled = None
    if features is not None and features.pooled is not None and predictions.layer is not None:
        ids = predictions.table.loc[predictions.table["seed"] == predictions.table["seed"].min(), "id"]
        rows = task.utterances.index.get_indexer(ids)
        pooled = standardised(features.pooled[rows, 0, predictions.layer])
    if predictions.outputs is not None:
        predictions = replace(predictions, outputs=standardised(predictions.outputs))
    before = extends.run.seconds.get("evaluate", 0.0) if extends else 0.0
    heard, phases = {}, {"load": seconds, "evaluate": before + predictions.seconds}
    if features is not None:
        heard = {"counts": features.counts, "audio_seconds": features.audio_seconds}
        if features.pooled is not None and cell.upstream["depth"] > 1:
            heard["layer_norms"] = layer_norms(features.pooled)
        heard["parameters"] = features.parameters or (extends.upstream.parameters if extends else None)
        phases |= {"extract" if phase == "total" else phase: spent for phase, spent in features.seconds.items()}
    return leaderboard.record(
        results,
        cell={
            **dict(zip(("upstream", "task", "downstream"), cell.name, strict=True)),
            "key": cell.key,
            "precision": cell.precision,
            "seeds": cell.seeds,
            "limit": request.limit,
        },
        task={
            "name": task.name,
            "title": definition.title,
            "version": definition.version,
            "corpus": corpus.name,
            "family": corpus.family,
            "corpora_of_family": tasks.family(corpus.name),
            "language": corpus.language,
            "licence": corpus.licence,
            "kind": task.problem.kind,
            "classes": list(task.problem.classes),
            "metrics": definition.metrics,
            "headline": definition.headline,
            "pooled_only": definition.pooled_only,
            "group_by": definition.group_by,
            "audit": task.audit.hash,
            "folds": [fold.name for fold in task.problem.folds],
            "published": [figure.model_dump() for figure in definition.published],
            "counts": task.counts,
            "notes": list(task.notes),
            "marks": list(task.marks),
        },
        upstream=cell.upstream | heard,
        downstream={
            "name": cell.downstream,
            "settings": cell.settings,
            "deterministic": cell.downstream == REFERENCE
            or (downstreams.deterministic(cell.downstream) and not task.problem.draws),
        },
        predictions=predictions,
        utterances=task.utterances,
        groups=task.problem.groups,
        pooled=pooled,
        run={
            "seconds": phases,
            "peak_memory_mb": peak_memory(),
            "device": "cpu" if features is None else features.device,
            "versions": versions(),
            "git_commit": git_commit(),
            "emorep": metadata.version("emorep"),
        },
        extends=extends,
    )


def standardised(vectors: Any) -> Any:
    """Columns with mean 0 and deviation 1: functionals come in units of 1e-3 to 1e7, which float16 holds, and pictures
    compare, only so."""
    spread = vectors.std(0)
    return ((vectors - vectors.mean(0)) / (spread + (spread == 0))).astype("float16")


def device(request: Request) -> str:
    """The torch device of the heads; `auto` is the GPU where there is one."""
    if request.device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if request.device == "cuda":
        raise UpstreamError("--device cuda: torch sees no GPU here; use --device cpu, or a torch built for your GPU")
    return "cpu"


def layer_norms(pooled: Any) -> list[float]:
    """L2 norm of each layer's time-mean, mean over utterances, of pooled features (N, 2, L, D)."""
    layers = (pooled[:, 0, layer].astype("float64") for layer in range(pooled.shape[2]))
    return [float(((layer**2).sum(1) ** 0.5).mean()) for layer in layers]


def versions() -> dict[str, str]:
    """What the figures were made with."""
    found = {"python": platform.python_version()}
    packages = "torch torchaudio transformers s3prl opensmile pyworld numpy scipy soundfile soxr"
    for name in packages.split():
        with suppress(metadata.PackageNotFoundError):  # an extra that is not installed
            found[name] = metadata.version(name)
    return found


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


def log(what: Sequence[str], became: str) -> None:
    """A line on what was done, where there is no progress bar."""
    if not sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {' · '.join(what)}: {became}", file=sys.stderr, flush=True)


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
def bar(label: str, unit: str) -> Iterator[Callable[[float, float], None] | None]:
    """A progress bar with rate and time left; without a terminal, a line a minute of what takes so long."""
    if not sys.stderr.isatty():
        told = time.perf_counter()

        def tell(done: float, total: float) -> None:
            nonlocal told
            if time.perf_counter() - told >= LINE_EVERY:
                told = time.perf_counter()
                log((label,), f"{done:.0f} of {total:.0f} {unit}")

        yield tell
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
        print(f"  {entry.name:<26} {entry.about}")
    print(f"\ntasks (-t); corpora under {data}{'' if data.is_dir() else ', which is not there'}")
    for row in tasks.describe(data):
        counts = f"{row.files}  [{row.downstream}]"
        print(f"  {row.task:<24} {row.language:<3} {row.state:<9} {row.problem or counts}")
    print("\nsuites (-t)")
    for suite, members in tasks.suites().items():
        print(f"  {suite:<24} {members}")
    print("\nderived tasks (-t), of tasks of classes; a suite may stand for TASK, and for SOURCE,TARGET or SUITE,TASK")
    for form, about in tasks.derived().items():
        print(f"  {form:<36} {about}")
    print("\ndownstreams (-d)")
    for name, about in downstreams.describe():
        print(f"  {name:<24} {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
