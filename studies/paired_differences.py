"""One upstream against others, task by task: paired differences of the headline metric, and which are significant.

    python studies/paired_differences.py RESULTS -u emotion2vec -d probe probe_stats \\
        --against fbank mfcc opensmile@probe random:emotion2vec ...

Prints Markdown from the records. A difference is that of the metric (percent points) with its 95 % interval over
speakers. It is bold where it is significant (p <= 0.05) among all differences of the table, tested together by max-T.
The others are read by the same head, or by the one after @. random:NAME is the mean of all its draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leaderboard.comparison.answers import answers
from leaderboard.comparison.standings import SIGNIFICANT, compare
from leaderboard.records.display_names import names
from leaderboard.records.random_weights import is_of
from leaderboard.records.record_store import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("-u", "--upstream", required=True)
    parser.add_argument("-t", "--task", nargs="+", required=True)
    parser.add_argument("-d", "--downstream", nargs="+", default=["probe"])
    parser.add_argument("--against", nargs="+", required=True, metavar="NAME[@HEAD]")
    options = parser.parse_args()
    wanted = {options.upstream, *(name.partition("@")[0] for name in options.against)}
    records = [r for r in load(options.results)[0] if r.cell.task in options.task and is_of(r, wanted)]
    parts, called = answers(options.results, records)[0], names(records)
    own = {(a.upstream, a.record.cell.task, a.record.cell.downstream): a for part in parts for a in part}
    rows = [(t, h) for h in options.downstream for t in options.task if (options.upstream, t, h) in own]
    couples = {}
    for task, head in rows:
        for name in options.against:
            other, _, its_head = name.partition("@")
            if (other, task, its_head or head) in own:
                couples[task, head, name] = own[options.upstream, task, head], own[other, task, its_head or head]
    differences = dict(zip(couples, compare(list(couples.values())), strict=True)) if couples else {}

    others = (name.partition("@") for name in options.against)
    against = [f"minus {called.get(name, name)}{at}{head}" for name, at, head in others]
    print(f"| task, head | {called.get(options.upstream, options.upstream)} | {' | '.join(against)} |")
    print(f"|{'---|' * (2 + len(options.against))}")
    for task, head in rows:
        record = own[options.upstream, task, head].record
        score = record.scores.metrics[record.task.headline]
        cells = [f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"]
        for name in options.against:
            if (task, head, name) not in differences:
                cells.append("–")
                continue
            effect, _, p = differences[task, head, name]
            text = f"{effect.value:+.1f} [{effect.low:+.1f}, {effect.high:+.1f}]"
            cells.append(f"**{text}**" if p <= SIGNIFICANT else text)
        print(f"| {task}, `{head}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
