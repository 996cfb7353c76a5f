"""What the page says: a board for every question and head, means over corpora, and the details of every cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from commons.corridors.record import REFERENCE, Record
from commons.marks import explain
from commons.metrics import METRICS, Metric
from leaderboard import published
from leaderboard.comparison.answers import answers, kinds
from leaderboard.comparison.corpora import Across, across
from leaderboard.comparison.standings import Standing, significant_pairs, standing
from leaderboard.records.comparable import Question, groups, question, unit
from leaderboard.records.display_names import inputs, names
from leaderboard.records.openings import openings
from leaderboard.records.random_weights import averaged
from leaderboard.tables.views import Kind, guessed, kind_of, real_time_factor

# What no view of the page shows of a record's task and upstream.
UNSHOWN_OF_TASK = {"derived", "aspect", "base", "sources", "source_corpora", "shots", "also"}
UNSHOWN_OF_UPSTREAM = {"layer_norms", "modality", "base", "ablation", "variant", "run", "step", "group_of_runs"}


def collect(results: Path, records: Sequence[Record]) -> tuple[dict[str, object], list[object], list[str]]:
    """What the page shows at once, what it shows on demand (an entry a board), and a line for what it could not use."""
    parts, problems = answers(results, records)
    places = {_board(part[0].record): standing(part) for part in parts}
    means = {}
    several_kinds, left = kinds(parts)
    problems += left
    for several in several_kinds:
        over = across(several)
        if len(several) > 1 and len(over.upstreams) > 1:
            means[kind_of(several[0][0].record)] = over
    summary, details = assemble(records, places, means, openings(results), partial(_layer_intervals, results))
    return summary | {"unranked": len(problems)}, details, problems


def assemble(
    records: Sequence[Record],
    places: dict[Question, Standing],
    means: dict[Kind, Across],
    opened: dict[str, int],
    layer_intervals: Callable[[Record], object] = lambda record: None,
) -> tuple[dict[str, object], list[object]]:
    """The summary and the details from ranks that are known.

    Args:
        places: ranks by question and head.
        means: ranks over corpora by kind.
        opened: how often each task's test set was opened.
        layer_intervals: a record's intervals of the figures of its layers, [low, high] a layer; None where unknown.
    """
    records = averaged(records)
    several = list(groups(records))
    marks = sorted({mark for r in records for mark in r.marks if mark != REFERENCE})
    versions: dict[str, set[Question]] = {}
    for measured, _ in several:
        versions.setdefault(measured[0].task.name, set()).add(question(measured[0]))
    boards, details = [], []
    for measured, floors in several:
        boards.append(_summary(measured, floors, places.get(_board(measured[0])), marks, opened, versions))
        details.append(
            {
                "task": measured[0].task.model_dump(mode="json", exclude=UNSHOWN_OF_TASK)
                | {"published": published.plain_rows(measured[0].task)}
                | ({"chance": guessed(measured[0].task)} if measured[0].task.classes else {}),
                "cells": [_details(record, layer_intervals(record)) for record in (*measured, *floors)],
            }
        )
    tables: dict[Kind, list[int]] = {}
    for index, (measured, _) in enumerate(several):
        if measured[0].cell.downstream != REFERENCE:
            tables.setdefault(kind_of(measured[0]), []).append(index)
    several_kinds = [
        {
            "head": kind[0],
            "metric": kind[1],
            "about": kind[2],
            "trained": kind[3],
            "boards": own,
            "mean": _mean(means.get(kind)),
        }
        for kind, own in sorted(tables.items(), key=lambda item: -sum(len(several[i][0]) for i in item[1]))
    ]
    summary: dict[str, object] = {
        "newest": max(r.created for r in records),
        "counts": _counts(records),
        "marks": [[mark, explain(mark)] for mark in marks],
        **_of_upstreams(records),
        "metrics": {name: {"decimals": m.decimals, "top": _top(m)} for name, m in METRICS.items()},
        "boards": boards,
        "tables": several_kinds,
    }
    return {key: rounded(value) for key, value in summary.items()}, [rounded(one) for one in details]


def _of_upstreams(records: Sequence[Record]) -> dict[str, object]:
    """Pairs of an upstream and its label, or what it was given; and of which upstreams it is made, and how."""
    made = {r.cell.upstream: r.upstream for r in records if r.upstream.parts}
    return {
        "names": [[name, label] for name, label in names(records).items() if label != name],
        "inputs": [[name, text] for name, text in inputs(records).items()],
        "parts": [[name, up.fusion or "layer", up.parts] for name, up in made.items()],
    }


def _summary(
    measured: list[Record],
    floors: list[Record],
    place: Standing | None,
    marks: list[str],
    opened: dict[str, int],
    versions: dict[str, set[Question]],
) -> dict[str, object]:
    first = measured[0]
    task, counts, metric = first.task, first.scores.counts, first.task.headline
    name = task.name
    if len(versions[name]) > 1:
        name += f" (version {task.version}, audit {task.audit[:6]})"
    if first.cell.limit is not None:
        name += f" (smoke run of {first.cell.limit})"
    rank: dict[str, tuple[int, int]] = {}
    significant = significant_pairs(place.pairs) if place else 0
    if (
        place and significant
    ):  # where nothing differs significantly, nobody has a rank: rank 1 for all would look like one
        rank = {a.upstream: (r, last) for a, r, last in zip(place.answers, place.ranks, place.last, strict=True)}
    cells = []
    for record in (*measured, *floors):
        score, up = record.scores.metrics[metric], record.cell.upstream
        reference = record.cell.downstream == REFERENCE
        ranks = (None, None) if reference else rank.get(up, (None, None))
        cells.append(
            [up, score.value, score.low, score.high, *ranks, [marks.index(m) for m in record.marks if m != REFERENCE],
             int(reference), record.contributor]
        )  # fmt: skip
    return {
        "name": name, "task": task.name, "head": first.cell.downstream, "trained": first.downstream.trained or "",
        "title": " · ".join(filter(None, (task.title, first.downstream.interpretation))), "metric": metric,
        "unit": METRICS[metric].reads, "higher": METRICS[metric].higher_is_better,
        "language": task.language, "family": task.family or task.corpus, "corpus": task.corpus,
        "licence": task.licence, "version": task.version, "audit": task.audit, "limit": first.cell.limit,
        "n": counts.n, "speakers": counts.speakers, "folds": counts.folds, "groups": counts.groups,
        "group_by": unit(first), "classes": len(task.classes), "opened": opened.get(task.name, 0),
        "ranked": len(place.answers) if place and place.pairs else 0,
        "pairs": len(place.pairs) if place else 0, "significant": significant,
        "needed": place.needed if place else None,
        "smallest_p": place.smallest_p if place else None, "detectable": place.detectable if place else None,
        "cells": cells,
    }  # fmt: skip


def _mean(over: Across | None) -> dict[str, object] | None:
    """Means over corpora of the upstreams that have every task: [upstream, mean, low, high, rank, last rank, mean over
    the tasks on which none of them is contaminated]; those tasks are `clean`, None where they are all of them. Ranks
    are None where no two upstreams differ significantly."""
    if over is None:
        return None
    clean: Sequence[float | None] = over.clean or [None] * len(over.upstreams)
    nobody: list[int | None] = [None] * len(over.upstreams)
    ranks, last = (over.ranks, over.last) if significant_pairs(over.pairs) else (nobody, nobody)
    rows = zip(over.upstreams, over.means, ranks, last, clean, strict=True)
    return {
        "families": over.families,
        "clean": over.clean_tasks if len(over.clean_tasks) < sum(map(len, over.families.values())) else None,
        "rows": [[up, mean.value, mean.low, mean.high, rank, last, c] for up, mean, rank, last, c in rows],
    }


def _counts(records: Sequence[Record]) -> dict[str, int]:
    """How much was measured. References are no upstreams; tasks are those that some upstream was measured on."""
    measured = [record for record in records if record.cell.downstream != REFERENCE]
    return {
        "upstreams": len({record.cell.upstream for record in measured}),
        "tasks": len({record.task.name for record in measured}),
        "corpora": len({record.task.corpus for record in measured}),
        "cells": len(measured),
        "references": len(records) - len(measured),
    }


def _layer_intervals(results: Path, record: Record) -> list[list[float]] | None:
    """[low, high] of the figure of every layer, as the plots show them; None where there are no layers to compare."""
    from leaderboard.plots.layers import by_layer

    if len(record.scores.by_layer or ()) < 2:
        return None
    return by_layer(results, record)[1:].T.tolist()


def _details(record: Record, layer_intervals: object) -> dict[str, object]:
    """A record without what the page does not show; learned weights of layers as the plots show them."""
    from leaderboard.plots.layers import weights

    shown = record.model_dump(
        mode="json",
        exclude={"task": True, "chosen": {"layer_weights"}, "upstream": UNSHOWN_OF_UPSTREAM, "checksum": True},
    )
    shown["real_time_factor"] = real_time_factor(record)
    shown["layer_intervals"] = layer_intervals
    if record.chosen.layer_weights:
        heights, normed = weights(record)
        shown["weights"] = {"values": heights.tolist(), "normed": normed}
    return shown


def _board(record: Record) -> Question:
    return *question(record), record.cell.downstream, record.downstream.trained


def _top(metric: Metric) -> float:
    """The top of an axis of a metric's values: its upper limit, or 1 where it has none."""
    return metric.limits[1] if math.isfinite(metric.limits[1]) else 1.0


def rounded(value: object) -> object:
    """Numbers to five digits, which is more than the page shows; what is not finite becomes None."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value
