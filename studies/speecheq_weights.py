"""The weights of `speecheq`'s losses: a grid on a development corpus, each branch alone and all together.

    python studies/speecheq_weights.py results_dev -u emotion2vec fbank -t nemo --data SPEECH

Writes a file of settings for each point of the grid beside the results, runs the cells and prints Markdown: the state's
figure on the *dev* parts (mean over folds), by which weights are to be chosen, then the figures on test.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import leaderboard
from commons.corridors.record import Record
from downstreams import resolve
from leaderboard.records.further import headlines

GRID = (0.03, 0.1, 0.3, 1.0)
BRANCHES = ("intensity", "phonemes", "gender")


def points(branches: list[str], grid: list[float], together: bool) -> dict[str, dict[str, float]]:
    """Name -> weights: the state alone, every branch alone with each weight (not where they are only to be together),
    and all branches with each weight."""
    off = dict.fromkeys(BRANCHES, 0.0)
    made = {"state": off}
    for branch, weight in itertools.product([] if together else branches, grid):
        made[f"{branch}_{weight:g}"] = off | {branch: weight}
    for weight in grid:
        made[f"all_{weight:g}"] = off | dict.fromkeys(branches, weight)
    return made


def row(name: str, record: Record) -> str:
    """A line of Markdown with the figures of one cell."""
    dev = fmean(float(choice["dev"] or 0) for choice in record.chosen.folds)
    own = record.scores.metrics[record.task.headline]
    further = [f"{head} {score.value:.1f}" for head, (_, score) in headlines(record).items() if score.value is not None]
    return (
        f"| {record.cell.upstream}, {record.cell.task} | {name} | {dev:.1f} | {own.value:.1f} | {', '.join(further)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("-u", "--upstream", nargs="+", required=True)
    parser.add_argument("-t", "--task", nargs="+", default=["nemo"])
    parser.add_argument("--branches", nargs="+", default=["phonemes", "gender"], choices=BRANCHES)
    parser.add_argument("--grid", nargs="+", type=float, default=list(GRID))
    parser.add_argument("--together", action="store_true", help="no branch alone")
    parser.add_argument("--epochs", type=int, help="fewer, for a trial")
    options, rest = parser.parse_known_args()
    results = options.results.resolve()
    folder = results / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    heads = {}
    for name, weights in points(options.branches, options.grid, options.together).items():
        content = {**weights, "probes": "false"} | ({"epochs": options.epochs} if options.epochs else {})
        file = folder / f"{name}.yaml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in content.items()))
        heads[name] = f"speecheq@{file}"
    asked = ["-u", *options.upstream, "-t", *options.task, "-d", *heads.values()]
    command = [sys.executable, "run_benchmark.py", *asked, "--results", str(results), *rest]
    subprocess.run(command, check=True, cwd=Path(__file__).resolve().parents[1])
    results = results / "limited" if "--limit" in rest else results  # where smoke runs are
    print("| upstream, task | weights | dev | test | beside, on test |\n|---|---|---|---|---|")
    for upstream, task in itertools.product(options.upstream, options.task):
        for name, head in heads.items():
            record = leaderboard.find(results, upstream, task, resolve(head).name)
            print(row(name, record) if record else f"| {upstream}, {task} | {name} | not measured | | |")


if __name__ == "__main__":
    main()
