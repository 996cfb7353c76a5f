"""A card is written to a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commons.corridors.record import Record
from leaderboard.cards import content, html, markdown, pdf
from leaderboard.cards.formats import path_of
from leaderboard.records.files import put


def write(
    results: Path, records: Sequence[Record], upstream: str, form: str, out: Path | None = None
) -> tuple[Path, list[str]]:
    """Write the card of an upstream from all records of a folder.

    Args:
        form: one of FORMATS; a PDF is printed by a browser.

    Returns:
        the file, and a line for everything that could not be used.

    Raises:
        NoResult: the upstream has no record.
        LeaderboardError: all of its records are of smoke runs, the file cannot be written, or there is no browser to
            print with.
    """
    card, problems = content.collect(results, records, upstream)
    path = out or path_of(results, upstream, form)
    if form == "pdf":
        put(path, pdf.printed(html.document(card)))
    else:
        put(path, html.document(card) if form == "html" else markdown.document(card))
    return path, problems
