"""Draws of random weights, put together: one draw says little of how good random weights are."""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import numpy as np

from commons.corridors.record import REFERENCE, AgainstClean, FoldScore, Further, Record, Score
from commons.marks import DRAWS, IMPORTED
from leaderboard.records.comparable import question

SEED = re.compile(r"(random:[^@+,#]+)@\d+")
Member = TypeVar("Member")
Draws = tuple[object, ...]


def key_of(record: Record) -> Draws | None:
    """What draws that belong together share: question, head, architecture and precision; None: it is no draw."""
    if record.upstream.draw is None or record.cell.downstream == REFERENCE or IMPORTED in record.marks:
        return None
    settings = tuple(sorted((name, repr(value)) for name, value in record.downstream.settings.items()))
    return *question(record), record.cell.downstream, settings, name_of_all(record), record.cell.precision


def together(members: Iterable[tuple[Record, Member]]) -> list[list[Member]]:
    """Members in groups, in the order of their first: draws with one `key_of` share a group, others are alone."""
    groups: dict[object, list[Member]] = {}
    for place, (record, member) in enumerate(members):
        groups.setdefault(key_of(record) or place, []).append(member)
    return list(groups.values())


def averaged(records: Sequence[Record]) -> list[Record]:
    """Records in which one stands for all draws of an architecture on a task; it has name and files of the first draw.

    Its figures, and those of its folds and layers, are means over the draws; confusions are sums. `by_seed` holds the
    figure of every draw, so that the deviation over seeds is that over draws, and an interval is the mean of the
    draws' intervals. What was chosen, and what it cost, is that of the first draw.
    """
    return [_mean(own) if len(own) > 1 else own[0] for own in together((record, record) for record in records)]


def _mean(draws: Sequence[Record]) -> Record:
    draws = sorted(draws, key=lambda record: record.upstream.draw or 0)
    first, several = draws[0], [draw.scores for draw in draws]
    scores = first.scores.model_copy(
        update={
            "counts": first.scores.counts.model_copy(update={"seeds": len(draws)}),
            "metrics": {name: _score([s.metrics.get(name) for s in several]) for name in first.scores.metrics},
            "recall": {name: _score([s.recall.get(name) for s in several]) for name in first.scores.recall},
            "corpora": {
                corpus: {name: _score([s.corpora.get(corpus, {}).get(name) for s in several]) for name in own}
                for corpus, own in first.scores.corpora.items()
            },
            "pairs": {name: _score([s.pairs.get(name) for s in several]) for name in first.scores.pairs},
            "by_seed": {name: [_average(s.by_seed.get(name, [])) for s in several] for name in first.scores.by_seed},
            "folds": [_fold(own) for own in zip(*(s.folds for s in several), strict=True)],
            "WA_folds": _average([s.WA_folds for s in several]),
            "confusion": _sum([s.confusion for s in several]),
            "last_layer": _averages([s.last_layer for s in several]),
            "by_layer": _by_place([s.by_layer for s in several]),
            "against_clean": _against_clean([s.against_clean for s in several]),
        }
    )
    marks = sorted({mark for draw in draws for mark in draw.marks} | {f"{DRAWS}:{len(draws)}"})
    return first.model_copy(update={"scores": scores, "marks": marks, "further": _further(draws)})


def _further(draws: Sequence[Record]) -> dict[str, Further]:
    """Figures of further targets, means over the draws; a target that a draw lacks is left out."""
    made = {}
    for name, first in draws[0].further.items():
        several = [draw.further[name] for draw in draws if name in draw.further]
        if len(several) == len(draws):
            metrics = {m: _score([own.metrics.get(m) for own in several]) for m in first.metrics}
            by_seed = {m: [_average(own.by_seed.get(m, [])) for own in several] for m in first.by_seed}
            made[name] = first.model_copy(update={"metrics": metrics, "by_seed": by_seed})
    return made


def _against_clean(several: Sequence[AgainstClean | None]) -> AgainstClean | None:
    """What a change of the audio does, means over draws; None where nothing was changed."""
    known = [one for one in several if one is not None]
    if len(known) < len(several):
        return None
    return AgainstClean(
        unchanged=_score([one.unchanged for one in known]),
        clean=_average([one.clean for one in known]),
        change=_score([one.change for one in known]),
    )


def _fold(several: Sequence[FoldScore]) -> FoldScore:
    """The same fold of several draws."""
    return several[0].model_copy(update={"metrics": _averages([fold.metrics for fold in several])})


def _averages(several: Sequence[dict[str, float | None] | None]) -> dict[str, float | None] | None:
    """Means by name; None where one of them has none."""
    known = [own for own in several if own is not None]
    if len(known) < len(several):
        return None
    return {name: _average([own.get(name) for own in known]) for name in known[0]}


def _sum(several: Sequence[list[list[int]] | None]) -> list[list[int]] | None:
    """The sum of confusion matrices; None where one has none."""
    known = [own for own in several if own is not None]
    return np.sum(known, axis=0).tolist() if len(known) == len(several) else None


def _by_place(several: Sequence[list[float | None] | None]) -> list[float | None] | None:
    """Means place by place; None where one of them has none."""
    known = [own for own in several if own is not None]
    return [_average(own) for own in zip(*known, strict=True)] if len(known) == len(several) else None


def draws_of(record: Record) -> int:
    """The number of draws that a record is the mean of; 0 where it is no mean."""
    return next((int(mark.partition(":")[2]) for mark in record.marks if mark.startswith(f"{DRAWS}:")), 0)


def name_of_all(record: Record) -> str:
    """What the draws of an architecture are called together: the name without seeds, in a fusion of every part."""
    return SEED.sub(r"\1", record.cell.upstream)


def names_of(record: Record) -> set[str]:
    """The names by which a user may call a record's upstream: of a draw also that of all draws, and NAME@0."""
    own = {record.cell.upstream}
    if record.upstream.draw is not None:
        own |= {name_of_all(record), f"{name_of_all(record)}@{record.upstream.draw}"}
    return own


def is_of(record: Record, upstreams: Collection[str]) -> bool:
    """Whether a record is of one of these upstreams; random:NAME names all draws of NAME, random:NAME@0 the first."""
    return not names_of(record).isdisjoint(upstreams)


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
