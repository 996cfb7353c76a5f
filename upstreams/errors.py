"""What goes wrong in this room, in words for the user."""

import difflib
from collections.abc import Iterable
from pathlib import Path

LIST = "python run_benchmark.py --list"  # what shows all names


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
    """A name that no registry here holds: offers the nearest, and says which there are or what to `see` for them."""

    def __init__(self, what: str, name: str, known: Iterable[str], see: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        shown = known if len(known) <= MANY else difflib.get_close_matches(name.casefold(), known, NEAREST, 0.3)
        more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
        where = f"see {see}" if see else f"known: {', '.join(shown)}{more}"
        super().__init__(f"unknown {what} {name!r}: {hint}{where}")


class NotThere(UnknownName):
    """A file or folder that is not there; offers those beside it of a similar name, and lists no others."""

    def __init__(self, what: str, path: Path) -> None:
        if not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        else:
            near = difflib.get_close_matches(path.name, [beside.name for beside in path.parent.glob("*")])
            why = f"did you mean {' or '.join(near)}?" if near else "there is no such file or folder"
        UpstreamError.__init__(self, f"unknown {what} {str(path)!r}: {why}")
