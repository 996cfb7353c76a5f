"""Records of changed test audio, sorted: what stands in one table or picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from commons.corridors.record import REFERENCE, Record
from commons.perturbations import KINDS, SUITES, Perturbation, parse
from leaderboard.records.random_weights import averaged, draws_of, name_of_all

Changes = Mapping[Perturbation, Record]


class Question(NamedTuple):
    """What stands in one table or picture.

    Attributes:
        base: the task whose audio is changed.
        limit: size of a smoke run.
        copy: 0; of upstreams that were given other audio than those before, 1, 2 ...
    """

    base: str
    head: str
    trained: str | None
    metric: str
    limit: int | None
    copy: int

    @property
    def apart(self) -> str:
        """What tells it from the one before; empty where it is the first."""
        return f"other recordings or babble, {self.copy + 1}" if self.copy else ""


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


def by_question(records: Sequence[Record]) -> dict[Question, dict[str, Changes]]:
    """For every base task and head, and every upstream: its records by their changes, sorted.

    All draws of random weights are one upstream. Upstreams that were given other recordings, or other babble, for the
    same change are apart.
    """
    asked: dict[tuple[str, str, str | None, str, int | None], dict[str, dict[Perturbation, Record]]] = {}
    for record in averaged(records):
        change = change_of(record)
        if change is None or record.cell.downstream == REFERENCE:
            continue
        question = (
            record.task.base or record.task.corpus,
            record.cell.downstream,
            record.downstream.trained,
            record.task.headline,
            record.cell.limit,
        )
        asked.setdefault(question, {}).setdefault(record.cell.upstream, {})[change] = record
    return {
        Question(*question, copy): {
            name: dict(sorted(own.items(), key=lambda item: place(item[0]))) for name, own in upstreams.items()
        }
        for question, everyone in asked.items()
        for copy, upstreams in enumerate(_alike(everyone))
    }


def _alike(everyone: Mapping[str, Changes]) -> list[dict[str, Changes]]:
    """The upstreams in sets; in each, all that were asked for the same change were given the same audio."""
    sets: list[dict[str, Changes]] = []
    audits: list[dict[Perturbation, str]] = []  # of the changes of each set
    for name, own in everyone.items():
        mine = {change: record.task.audit for change, record in own.items()}
        fits = (at for at, known in enumerate(audits) if all(known.get(c, audit) == audit for c, audit in mine.items()))
        at = next(fits, len(sets))
        if at == len(sets):
            sets.append({})
            audits.append({})
        sets[at][name] = own
        audits[at] |= mine
    return sets


def draws(records: Sequence[Record], record: Record) -> dict[str, list[Record]]:
    """The records of changed audio that `record` of `by_question` stands for in all its changes, by their upstream."""
    made: dict[str, list[Record]] = {}
    for one in records:
        same = one.task.base == record.task.base and one.cell.downstream == record.cell.downstream
        alike = (
            name_of_all(one) == name_of_all(record) if draws_of(record) else one.cell.upstream == record.cell.upstream
        )
        if same and alike and is_changed(one):
            made.setdefault(one.cell.upstream, []).append(one)
    return made


def members(suite: str) -> list[Perturbation]:
    """The changes of a suite."""
    return [parse(name) for name in SUITES[suite]]
