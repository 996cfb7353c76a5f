"""Cells that failed, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.text import plain

Failure = tuple[str, str, str, str]  # upstream, task, downstream, message


def lines_of(failures: Sequence[Failure]) -> list[list[str]]:
    """The lines of every failure: the cell with the first line of its message, then the others."""
    several = []
    for upstream, task, downstream, message in failures:
        first, *more = message.splitlines() or [""]
        cell = " · ".join(filter(None, (upstream, task, downstream)))  # a task that is absent has no head
        lines = [plain(f"{cell}: {first}"), *map(plain, more)]
        several.append([line for line in lines if line])
    return several
