"""Draws of random weights, put together: one draw says little of how good random weights are."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from commons.corridors.record import REFERENCE, Record, Score
from leaderboard.records.comparable import question

Member = TypeVar("Member")
Draws = tuple[object, ...]


def key_of(record: Record) -> Draws | None:
    """What draws that belong together share: question, head, architecture and precision; None: it is no draw."""
    if record.upstream.draw is None or record.cell.downstream == REFERENCE:
        return None
    return *question(record), record.cell.downstream, record.upstream.base, record.cell.precision


def together(members: Iterable[tuple[Record, Member]]) -> list[list[Member]]:
    """Members by what their records answer, in the order of the first of each: draws together, all others alone."""
    groups: dict[object, list[Member]] = {}
    for place, (record, member) in enumerate(members):
        groups.setdefault(key_of(record) or place, []).append(member)
    return list(groups.values())


def pooled(records: Sequence[Record]) -> list[Record]:
    """Records in which one stands for all draws of an architecture on a task, as the first draw is called.

    Its figures are means over the draws, `by_seed` holds the figure of every draw, so that the deviation over seeds is
    that over draws, and an interval is the mean of the draws' intervals. All else is that of the first draw.
    """
    return [_mean(own) if len(own) > 1 else own[0] for own in together((record, record) for record in records)]


def _mean(draws: Sequence[Record]) -> Record:
    first = min(draws, key=lambda record: record.upstream.draw or 0)
    scores = first.scores.model_copy(
        update={
            "metrics": {name: _score([d.scores.metrics.get(name) for d in draws]) for name in first.scores.metrics},
            "recall": {name: _score([d.scores.recall.get(name) for d in draws]) for name in first.scores.recall},
            "by_seed": {name: [_average(d.scores.by_seed[name]) for d in draws] for name in first.scores.by_seed},
            "last_layer": {
                name: _average([(d.scores.last_layer or {}).get(name) for d in draws])
                for name in first.scores.last_layer or {}
            }
            or None,
        }
    )
    name = called(first)
    return first.model_copy(
        update={
            "scores": scores,
            "cell": first.cell.model_copy(update={"upstream": name}),
            "upstream": first.upstream.model_copy(update={"name": name, "label": None}),
            "marks": sorted({mark for d in draws for mark in d.marks} | {f"draws:{len(draws)}"}),
        }
    )


def called(record: Record) -> str:
    """What the draws of an architecture are called together: the name without a seed."""
    return record.cell.upstream.partition("@")[0]


def is_of(record: Record, upstreams: Collection[str]) -> bool:
    """Whether a record is of one of these upstreams; random:NAME names all draws of NAME."""
    return record.cell.upstream in upstreams or (record.upstream.draw is not None and called(record) in upstreams)


def _score(scores: Sequence[Score | None]) -> Score:
    known = [score for score in scores if score is not None]
    return Score(
        value=_average([score.value for score in known]),
        low=_average([score.low for score in known]),
        high=_average([score.high for score in known]),
        undefined=max((score.undefined for score in known), default=0),
    )


def _average(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
