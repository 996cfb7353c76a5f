"""Errors of this room, with messages for the user."""

from __future__ import annotations

from commons.errors import EmorepError, where


class TaskError(EmorepError):
    """A task cannot be loaded; the message says what is wrong, where, what was expected and what to do."""


def foreign(doing: str, error: Exception) -> TaskError:
    """The error for an exception of a user's own corpus module; it names the line that raised."""
    return TaskError(f"{doing}: {where(error)}")
