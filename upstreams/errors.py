"""The errors of this room, in words for the user."""

from __future__ import annotations

import re
from pathlib import Path

from commons.errors import EmorepError, where

REFUSED_PICKLE = "is refused: it is a pickle of more than plain weights, and loading it could run code"
TRUST = "Weights only load failed"  # how torch begins its advice to load a file without restrictions
LINE = re.compile(r" \([^()]*, line \d+\)$")  # of a file, at the end of a message


class UpstreamError(EmorepError):
    """Features cannot be made or kept: says what is wrong, where, what was expected and what to do."""


class Unsteady(UpstreamError):
    """An upstream whose fingerprint has changed since it was identified."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is another model each time it is built, or its file changed in the meantime. If it changed, run "
            "again; else load its weights from a file, or seed them where they are drawn (torch.manual_seed)"
        )


class SeenUnknown(UpstreamError):
    """Labels taught what a run follows or begins with, and nobody said which corpora are among its speech."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}, and checkpoints have to say so; name all corpora of the benchmark among the speech with --seen "
            "(or none)"
        )


def described(error: BaseException, source: Path | None = None) -> str:
    """An exception in words; `source`: with the last line of that file.

    torch, when it refuses a file, advises to load it without restrictions. That advice is left out.
    """
    text = where(error, source) if source else f"{type(error).__name__}: {error}"
    if TRUST not in text:
        return text
    line = LINE.search(text) if source else None
    return (
        f"{type(error).__name__}: torch refuses the file: it is damaged, or it holds more than weights and could run "
        "code when it is loaded; get it from where it was published, or save its state_dict alone"
    ) + (line[0] if line else "")
