"""What a card consists of; the same for every form in which it is written."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from commons.corridors.record import Record
from commons.marks import IMPORTED
from leaderboard.records.files import encode
from leaderboard.tables.model import Table


@dataclass(frozen=True)
class Given:
    """What sections are made of.

    Attributes:
        own: the upstream's records; everyone: those of all upstreams, for ranks and reference rows.
        tasks: the tasks that it was measured on which are made of no other task.
        problems: gets a line for everything that cannot be used.
    """

    results: Path
    upstream: str
    own: list[Record]
    everyone: list[Record]
    tasks: list[str]
    problems: list[str]

    @property
    def of_tasks(self) -> list[Record]:
        """The upstream's records of these tasks, of each draw of random weights."""
        return [record for record in self.own if record.cell.task in self.tasks]

    def command(self, *tasks: str, more: str = "") -> str:
        """The command that measures some tasks; of a system whose predictions were imported, why there is none."""
        if self.own and all(IMPORTED in record.marks for record in self.own):
            return "only its predictions are here"
        names = " ".join(map(shlex.quote, tasks))
        return f"python run_benchmark.py -u {shlex.quote(self.upstream)} -t {names}{f' {more}' if more else ''}"


@dataclass(frozen=True)
class Section:
    """A part of a card.

    Attributes:
        title: its heading.
        lines: sentences above its tables.
        tables: what was measured.
        records: the records that its figures come from.
        missing: what was not measured, each with the command that measures it.
    """

    title: str
    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """The file of every record, below the folder of results, with the beginning of its checksum."""
        seen: dict[str, None] = {}
        for record in self.records:
            cell = record.cell
            name = f"{encode(cell.upstream)}/{encode(cell.task)}/{encode(cell.downstream)}.json"
            seen[f"{name} {(record.checksum or '')[:12]}".strip()] = None
        return list(seen)


@dataclass(frozen=True)
class Card:
    """A card: of which upstream, as tables call it, when its newest record was written, and its sections."""

    upstream: str
    title: str
    newest: str
    sections: list[Section]
