"""Do heads put upstreams in the same order? UA of every head, upstream and task, and Kendall's tau between heads.

    python studies/heads_agree.py RESULTS [--upstreams NAME ...] [--metric UA]

Prints Markdown from RESULTS/leaderboard.csv. Tau (tau-b, ties allowed for) is taken over the upstreams that both heads
read on a task; with n upstreams it rests on n (n - 1) / 2 pairs, so few upstreams make it coarse. A star is the mark
`edge`: most folds chose an end of the head's grid.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import pandas as pd
from scipy.stats import kendalltau


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--upstreams", nargs="+", help="these alone (default: all)")
    parser.add_argument("--metric", default="UA")
    options = parser.parse_args()
    rows = pd.read_csv(options.results / "leaderboard.csv")
    rows = rows[rows["downstream"] != "reference"]
    if options.upstreams:
        rows = rows[rows["upstream"].isin(options.upstreams)]
    if "label" in rows:  # what tables call an upstream, unless two are called so
        alone = rows.groupby("label")["upstream"].transform("nunique") == 1
        rows = rows.assign(upstream=rows["label"].where(alone, rows["upstream"]))
    table = rows.pivot(index=["task", "upstream"], columns="downstream", values=options.metric)
    heads = list(table)
    edge = rows.assign(edge=rows["marks"].fillna("").str.contains("edge")).pivot(
        index=["task", "upstream"], columns="downstream", values="edge"
    )

    print(f"| {' | '.join(['task', 'upstream', *heads])} |\n|{'---|' * (2 + len(heads))}")
    for (task, upstream), line in table.iterrows():
        stars = ["*" if star is True else "" for star in edge.loc[(task, upstream)]]
        cells = ["–" if pd.isna(v) else f"{v:.1f}{star}" for v, star in zip(line, stars, strict=True)]
        print(f"| {task} | {upstream} | {' | '.join(cells)} |")

    pairs = list(combinations(heads, 2))
    print(f"\n| {' | '.join(['tau', *(f'{one}, {other}' for one, other in pairs)])} |\n|{'---|' * (1 + len(pairs))}")
    for task, part in table.groupby(level="task"):
        cells = []
        for one, other in pairs:
            both = part[[one, other]].dropna()
            tau = kendalltau(both[one], both[other]).statistic if len(both) > 1 else float("nan")
            cells.append("–" if pd.isna(tau) else f"{tau:.2f} ({len(both)} upstreams)")
        print(f"| {task} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
