"""What goes wrong in this room, in words for the user."""

from __future__ import annotations

from commons.errors import EmorepError


class UpstreamError(EmorepError):
    """Features cannot be made or kept: says what is wrong, where, what was expected and what to do."""


class Unsteady(UpstreamError):
    """An upstream that is no longer the one whose fingerprint was taken."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is another model each time it is built, or its file changed in the meantime (then run again); "
            "load its weights from a file, or seed them (torch.manual_seed) where it builds them"
        )
