"""Time the command's start: --help, --list, and a second run of cells that are done.

    python studies/startup_speed.py [--data DIR] [--results DIR] [-u NAME ...] [-t NAME ...]

The second run is timed on the cells asked for, after a first run that makes those that RESULTS (default: a folder of
its own) lacks. Median of five, each a process of its own. Also says which heavy packages each of them imported (none
is the aim).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMES = 5  # that each is run
HEAVY = ("torch", "transformers", "s3prl", "sklearn", "umap", "pandas")
PROBE = """
import sys, run_benchmark
try:
    status = run_benchmark.main(sys.argv[1:])
except SystemExit as stop:
    status = stop.code
print("imported:", *[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


def run(arguments: list[str]) -> tuple[float, str]:
    """Wall seconds of one process, and the heavy packages it imported."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=HEAVY), *arguments], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return seconds, done.stderr.rsplit("imported:", 1)[1].strip() or "nothing"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", default="data")
    options.add_argument("-u", nargs="+", default=["fbank", "mfcc"])
    options.add_argument("-t", nargs="+", default=["demo"])
    options.add_argument("--results")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        results = options.results or fresh
        cells = ["-u", *options.u, "-t", *options.t, "--data", options.data, "--results", results]
        first, _ = run(cells)
        for label, arguments in (("--help", ["--help"]), ("--list", ["--list", "--data", options.data]),
                                 ("second run", cells)):  # fmt: skip
            timed = [run(arguments) for _ in range(TIMES)]
            print(f"{label:<12} {statistics.median(t for t, _ in timed):6.2f} s, imported {timed[-1][1]}")
        print(f"{'first run':<12} {first:6.2f} s for {len(options.u)} upstreams on {len(options.t)} tasks")


if __name__ == "__main__":
    main()
