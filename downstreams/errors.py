"""The errors of this room; their messages are for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from commons.device import out_of_memory
from commons.errors import EmorepError


class DownstreamError(EmorepError):
    """A head cannot do what was asked; the message says what was expected and what to do."""


class Diverged(DownstreamError):
    """A training went beyond what a float holds."""


@contextmanager
def within_memory() -> Iterator[None]:
    """Raises DownstreamError where a GPU's memory runs out in it."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise DownstreamError(
            "the GPU's memory ran out; free some of it, use --device cpu, or ask for less in a settings file: a "
            "smaller `batch`, and in fine-tuning `lora`, or the `top` blocks alone"
        ) from error
