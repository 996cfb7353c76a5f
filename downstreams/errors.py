"""The errors of this room; their messages are for the user."""

from __future__ import annotations

from commons.errors import EmorepError


class DownstreamError(EmorepError):
    """A head cannot do what was asked; the message says what was expected and what to do."""


class Diverged(DownstreamError):
    """A training went beyond what a float holds."""
