"""How long `--dry-run` takes for many upstreams, tasks and heads: 30 x 60 x 5 by default, on tables of tiny files.

    python studies/plan_speed.py [--upstreams 30] [--tasks 60] [--utterances 40] [--profile]

The upstreams are draws of random weights, whose networks are not built, and s3prl-like stand-ins are not needed: what a
plan costs does not depend on the size of a network, and grows with cells and utterances.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

import run_benchmark

HEADS = ("probe", "probe_stats", "last_four", "superb", "attentive")


def tables(folder: Path, tasks: int, utterances: int) -> list[str]:
    """Tables of a user's own, each with its own short files: four speakers, two classes."""
    draws = np.random.default_rng(0)
    names = []
    for task in range(tasks):
        own = folder / f"task{task}"
        own.mkdir()
        lines = ["path,speaker,emotion"]
        for number in range(utterances):
            soundfile.write(own / f"{number}.wav", 0.1 * draws.normal(size=1600), 16000)
            lines.append(f"{number}.wav,s{number % 4},{'ab'[number // 4 % 2]}")
        (own / "table.csv").write_text("\n".join(lines))
        names.append(f"csv:{own / 'table.csv'}=task{task}")
    return names


def main() -> None:
    """Makes the tables, plans once to know the audio, then measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstreams", type=int, default=30)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = tables(folder, options.tasks, options.utterances)
        upstreams = [f"random:emotion2vec@{draw}" for draw in range(options.upstreams)]
        words = ["-u", *upstreams, "-t", *names, "-d", *HEADS, "--dry-run", "--jobs", "1", "--seeds", "1",
                 "--results", str(folder / "results"), "--cache", str(folder / "cache")]  # fmt: skip
        for run in ("first (reads the audio)", "second"):
            out, profile = io.StringIO(), cProfile.Profile()
            started, computed = time.perf_counter(), time.process_time()
            with contextlib.redirect_stdout(out):
                status = profile.runcall(run_benchmark.main, words) if options.profile else run_benchmark.main(words)
            assert status == 0, out.getvalue()
            jobs = next(line for line in out.getvalue().splitlines() if " jobs: " in line)
            spent = f"{time.perf_counter() - started:.1f} s, {time.process_time() - computed:.1f} s of one core"
            print(f"--dry-run, {run}: {jobs}: {spent}", flush=True)
        if options.profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
