"""The variants of an ablation against each other, pre-training runs that differ in the seed alone taken together.

    python studies/ablation_differences.py RESULTS ems ems_place --against random:mockingjay_small fbank emotion2vec

Of several ablations all variants stand together, and runs that they share count once. Prints Markdown from the records:
of every task and head the mean over a variant's runs with its 95 % interval over speakers and the range of its runs;
then the paired difference of every pair, on each task and in the mean over corpora. A difference is bold where it is
significant (p <= 0.05) among all pairs of a head, those of the tasks and those of the mean each tested together by
max-T. The intervals tell of other speakers and nothing of other runs: a difference says something of the variants where
it is also beyond what the seed does, which the ranges show.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from commons.corridors.record import Record
from commons.errors import EmorepError
from commons.metrics import METRICS
from leaderboard.comparison.answers import Answer, answers, kinds
from leaderboard.comparison.corpora import across
from leaderboard.comparison.standings import SIGNIFICANT, compare
from leaderboard.comparison.statistics import Effect
from leaderboard.records.intervals import same_seeds
from leaderboard.records.random_weights import draws_of, is_of
from leaderboard.records.record_store import load
from leaderboard.records.scoring import pooled
from leaderboard.tables.runs import common_names, groups_of_runs


def of_ablations(records: Iterable[Record], ablations: Sequence[str]) -> list[Record]:
    """The records of variants of these ablations; of a run that several have, one for each task and head."""
    own = [record for record in records if record.upstream.ablation in ablations]
    return list({(one.upstream.fingerprint, one.cell.task, one.cell.downstream): one for one in own}.values())


def systems(part: Sequence[Answer], against: Sequence[str]) -> dict[str, list[Answer]]:
    """Name -> the answers of its runs: variants by what their names share, and the other upstreams."""
    own = {a.upstream: a for a in part if a.upstream not in against}
    groups = groups_of_runs([a.record for a in own.values()])
    grouped = {upstream for group in groups for upstream in group}
    groups += [[upstream] for upstream in own if upstream not in grouped]
    variants = [[own[u].record.upstream.variant or u for u in group] for group in groups]
    named = {name: [own[u] for u in group] for name, group in zip(common_names(variants), groups, strict=True)}
    return named | {a.upstream: [a] for a in part if a.upstream in against}


def together(name: str, runs: Sequence[Answer]) -> Answer:
    """One answer of that name whose seeds are those of all runs, each run counting alike."""
    record = runs[0].record
    named = record.model_copy(update={"cell": record.cell.model_copy(update={"upstream": name})})
    return Answer(named, np.concatenate(same_seeds([a.statistics for a in runs])), runs[0].groups)


def row(name: str, runs: Sequence[Answer]) -> str:
    """Mean over runs [interval], and the range of the runs."""
    metric = METRICS[runs[0].record.task.headline]
    score, figures = pooled(together(name, runs).statistics, metric), [pooled(a.statistics, metric).value for a in runs]
    interval = f" [{score.low:.1f}, {score.high:.1f}]" if score.low is not None else ""
    draws = draws_of(runs[0].record)
    spread = f"{min(figures):.1f} to {max(figures):.1f}" if len(runs) > 1 else f"{draws} draws" if draws else "one"
    return f"| {name} | {score.value:.1f}{interval} | {spread} |"


def differences(head: str, rows: Iterable[tuple[str, str, str, Effect, float]]) -> None:
    """Print (task, one, other, difference, adjusted p) as a table."""
    print(f"\n| `{head}` | | difference | adjusted p |\n|---|---|---|---|")
    for where, one, other, effect, p in rows:
        text = f"{effect.value:+.1f} [{effect.low:+.1f}, {effect.high:+.1f}]"
        print(f"| {where} | {one} - {other} | {f'**{text}**' if p <= SIGNIFICANT else text} | {p:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("ablations", nargs="+", metavar="ABLATION")
    parser.add_argument("--against", nargs="*", default=[], metavar="NAME", help="upstreams that are no variants")
    options = parser.parse_args()
    every = load(options.results)[0]
    variants = of_ablations(every, options.ablations)
    if not variants:
        raise SystemExit(f"{options.results}: holds no records of the ablation {' or '.join(options.ablations)}")
    records = [*variants, *(r for r in every if is_of(r, set(options.against)))]
    parts: dict[str, list[list[Answer]]] = {}  # of every head
    for part in answers(options.results, records)[0]:
        task, head = part[0].record.cell.task, part[0].record.cell.downstream
        made = systems(part, options.against)
        print(f"\n| {task}, `{head}` | {part[0].record.task.headline} | runs |\n|---|---|---|")
        print("\n".join(row(name, runs) for name, runs in made.items()))
        parts.setdefault(head, []).append([together(name, runs) for name, runs in made.items()])
    for head, own in parts.items():
        couples = [couple for part in own for couple in combinations(part, 2)]
        tested = zip(couples, compare(couples), strict=True)
        differences(
            head,
            ((a.record.task.name, a.upstream, b.upstream, effect, p) for (a, b), (effect, _, p) in tested),
        )
        for several in kinds(own)[0]:
            over = across(several)
            where = f"mean of {len(several)}"
            differences(head, ((where, pair.first, pair.second, pair.effect, pair.adjusted) for pair in over.pairs))


if __name__ == "__main__":
    try:
        main()
    except EmorepError as error:
        raise SystemExit(str(error)) from None
