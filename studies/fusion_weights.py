"""Early fusion with and without the weights of its parts: UA of a probe on each part, and on both side by side.

    python studies/fusion_weights.py -u emotion2vec+opensmile_compare -t korean_emotion_tts --data FOLDER

With weights, each standardised column is divided by the square root of its part's width; without, a part counts as much
as it has columns. Choose by the development corpora alone.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import downstreams
import tasks
import upstreams
from commons.corridors.features import Features
from commons.corridors.problem import Problem
from commons.metrics import METRICS, sums
from upstreams import Extraction


def ua(features: Features, problem: Problem, head: str) -> float:
    """The pooled UA of a deterministic head, in percent."""
    made = downstreams.evaluate(downstreams.resolve(head), features, problem, [0])
    number = {name: index for index, name in enumerate(problem.classes)}
    targets, predictions = (made.table[name].map(number).to_numpy() for name in ("target", "prediction"))
    return float(METRICS["UA"](sums(targets, predictions, n_classes=len(number)))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-u", "--upstream", nargs="+", required=True, metavar="A+B")
    parser.add_argument("-t", "--task", nargs="+", required=True, metavar="NAME")
    parser.add_argument("-d", "--head", default="probe", choices=["probe", "probe_stats"])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    print("| task | upstream | UA |\n|---|---|---|")
    for name in options.task:
        task = tasks.load(name, tasks.Options(options.data, options.cache, limit=options.limit))
        for fusion in options.upstream:
            whole = upstreams.resolve(fusion)
            for named in (*whole.parts, whole):
                identity = upstreams.identify(named)
                features = upstreams.extract(identity, task.utterances, {"pooled"}, Extraction(options.cache, "cpu"))
                ways = {"": features}
                if features.parts:
                    ways = {", with weights": features, ", without": replace(features, parts=())}
                for way, own in ways.items():
                    figure = ua(own, task.problem, options.head)
                    print(f"| {name} | `{named.record_name}`{way} | {figure:.1f} |", flush=True)


if __name__ == "__main__":
    main()
