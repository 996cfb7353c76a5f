"""Errors that a user may cause: the base class, and the error for an unknown name; and warnings."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

LIST = "python run_benchmark.py --list"  # the command that shows all names
MANY = 100  # up to this number, all known names are listed; else the NEAREST most similar ones
NEAREST = 9
FOLDER = "is a folder; name a file"
LONGEST = 200  # characters of a user's input that a message repeats


class EmorepError(Exception):
    """An error that the user can correct; the message says what is wrong, where, what was expected and what to do."""


class Refused(EmorepError):
    """The request itself is wrong; a command ends with status 2."""


class Notice(UserWarning):
    """A warning for the user, who should know but need not act; commands print it as one line."""


class UnknownName(Refused):
    """An unknown name; the message offers similar names, and lists the known ones or names the command that does."""

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
    """A file or folder that does not exist, or a folder where a file is wanted; the message offers similar names."""

    def __init__(self, what: str, path: Path) -> None:
        if path.is_dir():
            EmorepError.__init__(self, f"{what} {cut(str(path))!r} {FOLDER}")
            return
        if not path.parent.is_dir():
            why = f"there is no folder {path.parent}"
        else:
            near = difflib.get_close_matches(path.name, [beside.name for beside in path.parent.glob("*")])
            why = f"did you mean {' or '.join(near)}?" if near else "there is no such file or folder"
        EmorepError.__init__(self, f"unknown {what} {cut(str(path))!r}: {why}")


def cut(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning and `...` where it is longer than a message should repeat."""
    return text if len(text) <= most else f"{text[:most]}..."


def some(names: Sequence[str], most: int = 8) -> str:
    """The first names, each cut where it is long, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(cut(name) for name in names[:most]) + more


def where(error: BaseException, source: Path | None = None) -> str:
    """An exception in one line, with the file and line that raised it; `source`: only lines of that file count."""
    calls = traceback.extract_tb(error.__traceback__)
    own = [call for call in calls if source is None or Path(call.filename) == source]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{place}"
