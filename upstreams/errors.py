"""What goes wrong in this room, in words for the user."""

from __future__ import annotations

import re
from pathlib import Path

from commons.errors import EmorepError, where

TRUST = "Weights only load failed"  # how torch begins its advice to load a file without restrictions
PLACE = re.compile(r" \([^()]*, line \d+\)$")


class UpstreamError(EmorepError):
    """Features cannot be made or kept: says what is wrong, where, what was expected and what to do."""


class Unsteady(UpstreamError):
    """An upstream that is no longer the one whose fingerprint was taken."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is another model each time it is built, or its file changed in the meantime (then run again); "
            "load its weights from a file, or seed them (torch.manual_seed) where it builds them"
        )


def described(error: BaseException, source: Path | None = None) -> str:
    """An exception in words; `source`: with the last line of that file.

    Where torch refuses a file, its advice to trust it is left out.
    """
    text = where(error, source) if source else f"{type(error).__name__}: {error}"
    if TRUST not in text:
        return text
    place = PLACE.search(text) if source else None
    return (
        f"{type(error).__name__}: torch refuses the file, which is damaged or holds more than weights, and loading it "
        f"could run code; take it from where it was published, or save its state_dict alone{place[0] if place else ''}"
    )
