"""Errors of this room; their messages are for the user."""

from __future__ import annotations

from collections.abc import Iterable

from commons.errors import EmorepError, UnknownName


class LeaderboardError(EmorepError):
    """A user's mistake or a broken file: what is wrong, what was expected, what to do."""


class NoResult(UnknownName):
    """A name that no result has, with the nearest ones that some have."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        super().__init__(what, name, known)
        if what != "fold":
            self.args = (f"{self.args[0]}; if the name is right, measure it first with run_benchmark.py",)
