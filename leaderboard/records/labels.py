"""What upstreams are called where people read: their label, if they have one, else their name.

Options, files, the CSV, and all that tells cells apart keep to the name.
"""

from __future__ import annotations

from collections.abc import Iterable

from commons.corridors.record import Record


def shown(record: Record) -> str:
    """What tables, pictures and the page call the upstream of a record."""
    return record.upstream.label or record.cell.upstream


def names(records: Iterable[Record]) -> dict[str, str]:
    """Every upstream's name, and what it is called; a cell measured before there was a label takes its others'."""
    called: dict[str, str] = {}
    for record in records:
        if record.upstream.label or record.cell.upstream not in called:
            called[record.cell.upstream] = shown(record)
    return called
