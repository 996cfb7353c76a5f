"""The files and texts to which kept heads are applied, as a table of utterances."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from commons.errors import EmorepError, NotThere, Refused
from tasks import sheets
from tasks.copies import audio_check

COLUMNS = ("id", "text")
SEPARATOR = re.compile("[,;\t|]")
SHOWN = 6


def audio(paths: Sequence[Path], cache: Path) -> pd.DataFrame:
    """The files, indexed by their names as given; each is decoded once, to check it.

    Raises:
        EmorepError: a file does not exist, is named twice or cannot be decoded.
    """
    names = [str(path) for path in paths]
    for path in paths:
        if not path.expanduser().is_file():
            raise NotThere("audio file", path.expanduser())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{twice[0]}: is named twice; name each file once")
    full = [str(path.expanduser().absolute()) for path in paths]
    table = pd.DataFrame({"path": full}, index=pd.Index(names, name="id", dtype=str))
    contents, bad = audio_check.examine(table, cache)
    if bad:
        raise EmorepError("\n".join(f"{name}: {why}" for name, why in bad.items()))
    return table.assign(sha256=contents["sha256"], duration=contents["duration"])


def texts(file: Path) -> pd.DataFrame:
    """The texts of a file, indexed by the column id, or by the number of their line.

    Raises:
        EmorepError: there is no such file, it holds no text, or an id twice.
    """
    if not file.expanduser().is_file():
        raise NotThere("file of texts", file.expanduser())
    lines = sheets.text(file.expanduser()).split("\n")
    if _known(SEPARATOR.split(lines[0])) == len(COLUMNS):
        sheet = sheets.read(file.expanduser(), _known)
        heading = [_plain(name) for name in sheet.heading]
        rows = [(row[heading.index("id")].strip(), row[heading.index("text")]) for _, row in sheet.rows]
    else:
        rows = [(str(number), line) for number, line in enumerate(lines, start=1) if line.strip()]
    names = [name for name, _ in rows]
    if not rows or not all(text.strip() for _, text in rows):
        raise Refused(f"{file}: {'a text is blank' if rows else 'holds no text'}; expected a text for each utterance")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{file}: the id {twice[0]!r} is there twice; give each text one of its own")
    return pd.DataFrame({"text": [text for _, text in rows]}, index=pd.Index(names, name="id", dtype=str))


def with_texts(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Audio files with their texts, whose ids are the files as given, their names, or these without the ending.

    Raises:
        EmorepError: as `texts`, or a file has none.
    """
    known = texts(file)["text"].to_dict()
    names = [str(name) for name in table.index]
    forms = {name: [own for own in (name, Path(name).name, Path(name).stem) if own in known] for name in names}
    if missing := [name for name in names if not forms[name]]:
        raise Refused(f"{file}: has no text of {', '.join(missing[:SHOWN])}; its ids are names of the audio files")
    return table.assign(text=[known[forms[name][0]] for name in names])


def _known(heading: Sequence[str]) -> int:
    """How many of the columns a heading has."""
    return len({_plain(name) for name in heading} & {*COLUMNS})


def _plain(name: str) -> str:
    return name.strip().strip('"').casefold()
