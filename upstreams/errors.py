"""What goes wrong in this room, in words for the user."""

import difflib
from collections.abc import Iterable


class UpstreamError(Exception):
    """Features cannot be made or kept: says what is wrong, where, what was expected and what to do."""


class Unsteady(UpstreamError):
    """An upstream that is no longer the one whose fingerprint was taken."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is another model each time it is built, or its file changed in the meantime (then run again); "
            "load its weights from a file, or seed them (torch.manual_seed) where it builds them"
        )


MANY = 100  # known names are listed up to so many, beyond that the nearest NEAREST
NEAREST = 9


class UnknownName(UpstreamError):
    """A name that the registry does not hold, or a file that is not there; offers the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        shown = known if len(known) <= MANY else difflib.get_close_matches(name.casefold(), known, NEAREST, 0.3)
        more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
        super().__init__(f"unknown {what} {name!r}: {hint}known: {', '.join(shown)}{more}")
