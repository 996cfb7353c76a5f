"""What goes wrong here, in words for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LeaderboardError(Exception):
    """A user's mistake or a broken file: what is wrong, what was expected, what to do."""


class UnknownName(LeaderboardError):
    """A name that no result has, with the nearest ones that some have."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(set(known))
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known) or 'none'}"
        first = "" if what == "fold" else "; if the name is right, measure it first with run_benchmark.py"
        super().__init__(f"no result has the {what} {name!r}; {hint}{first}")
