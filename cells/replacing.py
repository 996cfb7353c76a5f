"""What is said of a record that a cell replaces, because something else is asked for under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import leaderboard
from commons.errors import EmorepError
from commons.marks import IMPORTED

if TYPE_CHECKING:
    from cells.jobs import Measure
    from commons.corridors.record import Record


def told(record: Record, job: Measure) -> str:
    """A line where a user may not expect that a record goes; "" where it is merely out of date.

    Raises:
        EmorepError: its predictions were imported, so they cannot be made again here.
    """
    if IMPORTED in record.marks:
        raise EmorepError(
            "predictions of another system were imported under this name; import them with another --name, or "
            "replace them with --force"
        )
    own, why = job.upstream, list[str]()
    if own is not None and record.cell.precision != own.precision:
        why.append(f"its precision is {record.cell.precision}")
    if own is not None and record.upstream.fingerprint != own.fingerprint:
        why.append("its upstream has other weights or other code")
    if leaderboard.kept(job.setting.results, record):
        why.append("its kept weights go, too")
    return f"{' · '.join(job.cell)}: replaces the record that is there: {'; '.join(why)}" if why else ""
