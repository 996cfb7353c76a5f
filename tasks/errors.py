"""What goes wrong in this room, in words for the user."""

from __future__ import annotations

from commons.errors import EmorepError, where


class TaskError(EmorepError):
    """A task cannot be read or asked: says what is wrong, where, what was expected and what to do."""


def foreign(doing: str, error: Exception) -> TaskError:
    """What a user's own corpus module raised, with the line that did."""
    return TaskError(f"{doing}: {where(error)}")
