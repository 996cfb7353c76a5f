"""What a cell costs beside its work, engine by engine; and many processes on one store and one results folder.

    python studies/engine_overhead.py [--cells 500] [--engines local shards slurm ray] [--processes 64]

Cells are tiny: upstreams of a few values, tables of 24 short files. The work itself is what the local engine takes; the
overhead of another engine is its processor time above that, of all processes, for a cell.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import leaderboard
import run_benchmark
from cells import engines
from cells.engines.local import Local
from cells.plan import planned
from cells.request import parse, understood
from cells.workplace import Workplace
from commons import journals

sys.path.insert(0, str(Path(__file__).parent))
from plan_speed import tables

UTTERANCES = 24
HEADS = ("probe", "probe_stats")


def spent() -> float:
    """Processor seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def words(folder: Path, results: str, tasks: list[str]) -> list[str]:
    """The command line of all cells."""
    return ["-u", "loudness", "mfcc", "-t", *tasks, "-d", *HEADS, "--jobs", "1", "--seeds", "1",
            "--results", str(folder / results), "--cache", str(folder / "cache")]  # fmt: skip


def through(engine: str, folder: Path, tasks: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of all cells through an engine."""
    own = words(folder, engine, tasks)
    (folder / "settings.yaml").write_text("cpus: 1\nminutes: 1\n")
    more: list[list[str]] = {
        "local": [[]],
        "shards": [["--shard", f"{number}/4"] for number in range(1, 5)],
    }.get(engine, [["--engine", engine, "--engine-config", str(folder / "settings.yaml")]])
    started, before = time.perf_counter(), spent()
    for one in more:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            assert run_benchmark.main([*own, *one]) == 0, said.getvalue()[-2000:]
    if engine == "ray":
        import ray

        ray.shutdown()
    return time.perf_counter() - started, spent() - before


def together(count: int, folder: Path, tasks: list[str]) -> None:
    """Fork `count` processes that do one request on one store and one results folder; check what came out."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert run_benchmark.main(words(folder, "before", tasks)) == 0  # imports what every process needs
    own = [*words(folder, "together", tasks), "--cache", str(folder / "another cache")]
    request = understood(parse(own), print)
    place = Workplace()
    plan = planned(request, place, print)
    started, children = time.perf_counter(), []
    for _ in range(count):
        if not (child := os.fork()):
            status = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                outcomes = list(engines.run(Local(place), plan.jobs))
                status = int(any(one.failure for one in outcomes))
                leaderboard.csv(request.results)
            finally:
                os._exit(status)
        children.append(child)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    records, problems = leaderboard.load(request.results)
    scored = journals.lines(request.results / "scored", ".jsonl")
    print(
        f"{count} processes, {len(plan.jobs)} jobs: {time.perf_counter() - started:.1f} s; {failed} processes failed; "
        f"{len(records)} records, {len(scored)} scorings, {len(problems)} damaged, verify: "
        f"{len(leaderboard.verify(request.results))} differences"
    )
    assert not failed and not problems and len(records) == len(scored) == len(plan.cells), "done once each, and whole"
    assert leaderboard.verify(request.results) == []


def main() -> None:
    """Makes the tables, runs every engine from the same stored features, prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=500, help="without reference rows")
    parser.add_argument("--engines", nargs="*", default=["local", "shards", "slurm", "ray"])
    parser.add_argument("--processes", type=int, default=0, help="processes on one results folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tasks = tables(folder, max(1, options.cells // (2 * len(HEADS))), UTTERANCES)
        if options.processes:
            together(options.processes, folder, tasks)
        base = None
        for engine in options.engines:
            wall, computed = through(engine, folder, tasks)
            count = len(leaderboard.load(folder / engine)[0])
            base = computed / count if base is None else base
            if engine == "ray":
                print(f"ray: {count} cells: {wall:.1f} s; the processor time of its processes is not known", flush=True)
                continue
            beside = f"{1000 * (computed / count - base):+.0f} ms a cell beside {1000 * base:.0f} ms"
            print(
                f"{engine}: {count} cells (with reference rows): {wall:.1f} s, {computed:.1f} s of one core, {beside}",
                flush=True,
            )


if __name__ == "__main__":
    main()
