"""Records of changed test audio, sorted: what stands in one table or picture."""

from __future__ import annotations

from collections.abc import Sequence

from commons.corridors.record import REFERENCE, Record
from commons.perturbations import KINDS, SUITES, Perturbation, parse

Question = tuple[str, str, str | None, str, int | None]  # base, head, what was trained, metric, size of a smoke run


def change_of(record: Record) -> Perturbation | None:
    """The change of a record's test audio; None where there is none."""
    made = record.task.perturbation
    return Perturbation(made.kind, made.level) if made and record.scores.against_clean else None


def is_changed(record: Record) -> bool:
    """Whether the record is of changed audio."""
    return record.task.perturbation is not None


def aside(records: Sequence[Record], asked: Sequence[str] | None = None) -> list[Record]:
    """Records without those of changed audio, which have views of their own; where there is nothing else, all.

    Args:
        asked: tasks that somebody named: records of these stay.
    """
    named = set(asked or ())
    return [record for record in records if not is_changed(record) or record.cell.task in named] or list(records)


def place(change: Perturbation) -> tuple[int, float]:
    """A key that sorts changes: kinds in the order of their list, then levels."""
    kinds = list(KINDS)
    return kinds.index(change.kind) if change.kind in KINDS else len(kinds), change.level or 0.0


def by_question(records: Sequence[Record]) -> dict[Question, dict[str, dict[Perturbation, Record]]]:
    """For every base task and head, and every upstream: its records by their changes, sorted."""
    made: dict[Question, dict[str, dict[Perturbation, Record]]] = {}
    for record in records:
        change = change_of(record)
        if change is None or record.cell.downstream == REFERENCE:
            continue
        asked = (
            record.task.base or record.task.corpus,
            record.cell.downstream,
            record.downstream.trained,
            record.task.headline,
            record.cell.limit,
        )
        made.setdefault(asked, {}).setdefault(record.cell.upstream, {})[change] = record
    return {
        asked: {name: dict(sorted(own.items(), key=lambda item: place(item[0]))) for name, own in upstreams.items()}
        for asked, upstreams in made.items()
    }


def members(suite: str) -> list[Perturbation]:
    """The changes of a suite."""
    return [parse(name) for name in SUITES[suite]]
