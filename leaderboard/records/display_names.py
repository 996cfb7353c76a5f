"""What tables, pictures and the page call an upstream: its label where it has one, else its name; and its input.

Options, files, the CSV and the identity of cells use the name alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from commons.corridors.record import REFERENCE, Record
from commons.marks import IMPORTED


def shown(record: Record) -> str:
    """What tables, pictures and the page call the upstream of a record."""
    return record.upstream.label or record.cell.upstream


def given(record: Record) -> str:
    """What the upstream was given: speech, text (gold), text (ASR) ...; empty where that is not known.

    It is empty for references that read neither, and for imported predictions. Records from before there was text are
    of speech.
    """
    if record.upstream.input or record.cell.downstream == REFERENCE or IMPORTED in record.marks:
        return record.upstream.input or ""
    return "speech"


def inputs(records: Iterable[Record]) -> dict[str, str]:
    """What every upstream was given; empty where none of them read text."""
    of = {record.cell.upstream: given(record) for record in records}
    return of if any("text" in text for text in of.values()) else {}


def names(records: Iterable[Record]) -> dict[str, str]:
    """Every upstream's name and what it is called; where one of its records has a label, all of them take it."""
    called: dict[str, str] = {}
    for record in records:
        if record.upstream.label or record.cell.upstream not in called:
            called[record.cell.upstream] = shown(record)
    return called
