"""One upstream against others, task by task: paired differences of the headline metric, and which are clear.

    python studies/paired_differences.py RESULTS -u emotion2vec -d probe probe_stats \\
        --against fbank mfcc opensmile@probe ...

Prints Markdown from the records. A difference is that of the metric (percent points) with its 95 % interval over
speakers; it is bold where the interval excludes 0. The others are read by the same head, or by the one after @.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from commons.metrics import METRICS
from leaderboard.comparison.answers import Answer, answer
from leaderboard.comparison.statistics import difference
from leaderboard.records.labels import names
from leaderboard.records.store import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("-u", "--upstream", required=True)
    parser.add_argument("-t", "--task", nargs="+", required=True)
    parser.add_argument("-d", "--downstream", nargs="+", default=["probe"])
    parser.add_argument("--against", nargs="+", required=True, metavar="NAME[@HEAD]")
    options = parser.parse_args()
    measured = load(options.results)[0]
    records, called = {(r.cell.upstream, r.cell.task, r.cell.downstream): r for r in measured}, names(measured)
    others = (name.partition("@") for name in options.against)
    against = [f"minus {called.get(name, name)}{at}{head}" for name, at, head in others]
    print(f"| task, head | {called.get(options.upstream, options.upstream)} | {' | '.join(against)} |")
    print(f"|{'---|' * (2 + len(options.against))}")
    for head in options.downstream:
        for task in options.task:
            if (options.upstream, task, head) not in records:
                continue
            record = records[options.upstream, task, head]
            own = answer(options.results, record)
            score = record.scores.metrics[record.task.headline]
            cells = [f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"]
            for name in options.against:
                other, _, its_head = name.partition("@")
                found = records.get((other, task, its_head or head))
                cells.append("–" if found is None else _difference(own, answer(options.results, found)))
            print(f"| {task}, `{head}` | {' | '.join(cells)} |", flush=True)


def _difference(own: Answer, other: Answer) -> str:
    effect = difference(own.statistics, other.statistics, METRICS[own.record.task.headline])
    text = f"{effect.value:+.1f} [{effect.low:+.1f}, {effect.high:+.1f}]"
    return f"**{text}**" if effect.low > 0 or effect.high < 0 else text


if __name__ == "__main__":
    main()
