"""The errors that a user may cause: one base class, and one error for a name that nothing has."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

LIST = "python run_benchmark.py --list"  # what shows all names
MANY = 100  # known names are listed up to so many, beyond that the nearest NEAREST
NEAREST = 9
LONGEST = 200  # characters of a user's name that a message repeats


class EmorepError(Exception):
    """Something that the user can mend: the message says what is wrong, where, what was expected and what to do."""


class Refused(EmorepError):
    """The request itself is wrong, whatever the data: a command ends with status 2."""


class UnknownName(Refused):
    """A name that no registry has: offers the nearest, and says which there are or what to `see` for them."""

    def __init__(self, what: str, name: str, known: Iterable[str], see: str = "") -> None:
        known = sorted(set(known))
        asked = name[:LONGEST].casefold()
        near = difflib.get_close_matches(asked, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        shown = known if len(known) <= MANY else difflib.get_close_matches(asked, known, NEAREST, 0.3)
        more = f" and {len(known) - len(shown)} more" if len(shown) < len(known) else ""
        where = f"see {see}" if see else f"known: {', '.join(shown) or 'none'}{more}"
        super().__init__(f"unknown {what} {cut(name)!r}: {hint}{where}")


class NotThere(UnknownName):
    """A file or folder that is not there: offers those beside it of a similar name, and lists no others."""

    def __init__(self, what: str, path: Path) -> None:
        if not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        else:
            near = difflib.get_close_matches(path.name, [beside.name for beside in path.parent.glob("*")])
            why = f"did you mean {' or '.join(near)}?" if near else "there is no such file or folder"
        EmorepError.__init__(self, f"unknown {what} {cut(str(path))!r}: {why}")


def cut(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning and `...` where it is longer than a message should repeat."""
    return text if len(text) <= most else f"{text[:most]}..."


def where(error: BaseException, source: Path | None = None) -> str:
    """An exception in one line, with the file and line where it arose; `source`: the last line of that file."""
    calls = traceback.extract_tb(error.__traceback__)
    own = [call for call in calls if source is None or Path(call.filename) == source]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"
