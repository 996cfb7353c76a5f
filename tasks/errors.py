"""What goes wrong in this room, in words for the user."""

import difflib
import traceback
from collections.abc import Iterable

LIST = "python run_benchmark.py --list"  # what shows all names


class TaskError(Exception):
    """A task cannot be read or asked: says what is wrong, where, what was expected and what to do."""


class Refused(TaskError):
    """A name asks for what cannot be asked, whatever the data: the request is wrong."""


def foreign(doing: str, error: Exception) -> TaskError:
    """What a user's own corpus module raised, with the line that did."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    return TaskError(f"{doing}: {where}{type(error).__name__}: {error}")


class UnknownName(TaskError):
    """A name that no registry here holds: offers the nearest, and says which there are or what to `see` for them."""

    def __init__(self, what: str, name: str, known: Iterable[str], see: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        known_or_where = f"see {see}" if see else f"known: {', '.join(known)}"
        super().__init__(f"unknown {what} {name!r}: {hint}{known_or_where}")
