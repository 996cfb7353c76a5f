"""What tables, pictures and the page call an upstream: its label where it has one, else its name; and its input.

Options, files, the CSV and the identity of cells use the name alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from commons.corridors.record import REFERENCE, Record

SPEECH = "speech"


def shown(record: Record) -> str:
    """What tables, pictures and the page call the upstream of a record."""
    return record.upstream.label or record.cell.upstream


def given(record: Record) -> str:
    """What the upstream was given: speech, text (gold), text (ASR) ...; empty for references that read neither.

    Records from before there was text are of speech.
    """
    if record.upstream.input or record.cell.downstream == REFERENCE:
        return record.upstream.input or ""
    return SPEECH


def names(records: Iterable[Record]) -> dict[str, str]:
    """Every upstream's name and what it is called; where one of its records has a label, all of them take it."""
    called: dict[str, str] = {}
    for record in records:
        if record.upstream.label or record.cell.upstream not in called:
            called[record.cell.upstream] = shown(record)
    return called
