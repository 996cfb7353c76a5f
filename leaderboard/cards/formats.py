"""The forms of a card and where it lies; apart from what writes it, so that a command line loads nothing heavy."""

from __future__ import annotations

from pathlib import Path

from leaderboard.records.files import encode

FORMATS = ("html", "md", "pdf")
FOLDER = "cards"  # in the folder of results


def path_of(results: Path, upstream: str, form: str) -> Path:
    """Where the card of an upstream lies."""
    return results / FOLDER / f"{encode(upstream)}.{form}"
