"""The utterance table from the rows of a user's table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from commons.corridors.utterances import COLUMNS, VOTES
from tasks import spellings, utterances
from tasks.brought import table_audio
from tasks.brought.headings import KNOWN, Heading
from tasks.brought.table_audio import Folders, has_suffix
from tasks.definition import VALUES
from tasks.errors import TaskError
from tasks.sheets import Sheet

NUMBERS = ("start", "end", "valence", "arousal", "dominance", "sentiment")
WHOLE_NUMBERS = ("channel", "turn")
SPARE = (
    "speaker",
    "gender",
    "language",
    "partition",
    "fold",
    "dialogue",
    "session",
)  # `nan` is missing
NAMES = ("speaker", "dialogue", "session")  # NA may be initials
LONG = ("text", "phonemes", "sentence")  # columns whose values may have line breaks
NAMED = 10  # at most this many values are listed in one note


@dataclass
class _Seen:
    """Values that were read as something else, for notes.

    Attributes:
        empty: column -> words that were read as missing, with the number of rows.
        parts: word for a partition as written -> train, dev or test.
        ids: id -> name or path as written.
    """

    empty: dict[str, Counter[str]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


def table(sheet: Sheet, heading: Heading, folders: Folders) -> tuple[pd.DataFrame, list[str]]:
    """The utterance table, which also has the column that is asked for; and notes.

    Raises:
        TaskError: a path, a number or a partition is wrong, or two rows have one id; names file and row.
    """
    seen = _Seen()
    made = [_row(f"{sheet.file}, row {number}", heading.place, values, folders, seen) for number, values in sheet.rows]
    rows = utterances.table(made)
    for column in (name for name in heading.place if name not in KNOWN and not name.startswith(VOTES)):
        values = pd.Series({str(row["id"]): row[column] for row in made}, dtype=object)
        if values.notna().any():
            rows[column] = values
    notes = [
        f"{column}: read as no value: {', '.join(f'{word} ({count} rows)' for word, count in words.items())}"
        for column, words in seen.empty.items()
    ]
    notes += [f"partition {word} is read as {part}" for word, part in seen.parts.items()]
    return rows, notes + _genders(rows)


def without_words(sheet: Sheet, heading: Heading, asked: str) -> Heading:
    """The heading without columns of values that hold words, such as MELD's `sentiment`, unless they are asked for."""
    asked = asked or next((name for name in ("emotion", *VALUES) if name in heading.place), "")
    wordy = [
        name
        for name in VALUES
        if name in heading.place and name != asked and _words(values[heading.place[name]] for _, values in sheet.rows)
    ]
    if not wordy:
        return heading
    notes = tuple(f"column {heading.written[name]} holds words, no values, and is not used" for name in wordy)
    place = {name: where for name, where in heading.place.items() if name not in wordy}
    return replace(heading, place=place, notes=(*heading.notes, *notes))


def _words(cells: Iterable[str]) -> bool:
    """Whether all that is written is words and no numbers."""
    written = [cell.strip() for cell in cells if cell.strip() and cell.strip().casefold() not in spellings.NO_LABEL]
    return bool(written) and all(spellings.number(cell) is None for cell in written)


def _row(where: str, place: Mapping[str, int], values: list[str], folders: Folders, seen: _Seen) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in (name for name in place if name not in ("id", "path")):
        text = values[place[column]].strip()
        if "\n" in text and column not in LONG:
            raise TaskError(f'{where}: {column} holds a line break; is a quote (") left open?')
        if column.startswith(VOTES):
            row[column] = _votes(text, f"{where}: {column}")
        elif text and column in (*NUMBERS, *WHOLE_NUMBERS):
            row[column] = _number(int if column in WHOLE_NUMBERS else float, text, f"{where}: {column}")
        else:
            row[column] = _word(column, text, seen) or None
    if row.get("partition"):
        row["partition"] = _part(where, str(row["partition"]), seen)
    named = values[place["id"]].strip() if "id" in place else ""
    if "\0" in named:
        raise TaskError(f"{where}: id {named!r} holds a zero byte; is the table a text file?")
    if "path" not in place:  # a table of texts
        return row | {"id": _id(where, named or where.rpartition(", ")[2], seen), "labels": where}
    below, path = table_audio.find(values[place["path"]].strip(), folders, where)
    plain = below.with_suffix("") if has_suffix(below) else below
    return row | {"id": _id(where, named or str(plain), seen), "path": path, "labels": where}


def _id(where: str, written: str, seen: _Seen) -> str:
    """The id from a name or a path. Raises TaskError where another one differs in slashes alone."""
    utterance = utterances.without_slashes(written)
    other = seen.ids.setdefault(utterance, written)
    if other != written:
        raise TaskError(f"{where}: {written!r} and {other!r} would both have the id {utterance!r}; rename one of them")
    return utterance


def _word(column: str, text: str, seen: _Seen) -> str:
    """The text; empty where it is a word for a missing value."""
    words = spellings.NO_VALUE if column in NAMES else spellings.NO_LABEL
    if text.casefold() in words and (column in SPARE or column == "emotion" or column not in COLUMNS):
        seen.empty.setdefault(column, Counter())[text] += 1
        return ""
    return text


def _part(where: str, written: str, seen: _Seen) -> str:
    """train, dev or test, from the word in the row."""
    part = spellings.meaning(written, spellings.PARTITIONS)
    if part is None:
        raise TaskError(f"{where}: partition {written!r} is none of {', '.join(spellings.PARTITIONS)}")
    if written != part:
        seen.parts[written] = part
    return part


def _votes(text: str, where: str) -> float:
    """A number of annotators, 0 where the field is empty. Raises TaskError where it is no such number."""
    number = _number(float, text, where) if text else 0.0
    if number < 0:
        raise TaskError(f"{where} must be a number of annotators, 0 or more, and is {text!r}")
    return number


def _number(kind: type[int] | type[float], text: str, where: str) -> float:
    try:
        value: float = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TaskError(f"{where} must be a {'whole ' if kind is int else ''}number, and is {text!r}")
    return value


def _genders(rows: pd.DataFrame) -> list[str]:
    """Notes on genders that are written in several ways, which are replaced by one word in the table."""
    if "gender" not in rows:
        return []
    written: dict[str, list[str]] = {}
    for word in sorted(rows["gender"].dropna().unique()):
        if gender := spellings.meaning(word, spellings.GENDERS):
            written.setdefault(gender, []).append(word)
    if all(len(words) == 1 for words in written.values()):
        return []
    rows["gender"] = rows["gender"].replace({word: gender for gender, words in written.items() for word in words})
    return [f"gender {gender} is written as {', '.join(words)}" for gender, words in written.items() if len(words) > 1]


def oddities(rows: pd.DataFrame) -> list[str]:
    """Notes on likely mistakes: speakers that differ in case only, and speakers of two genders."""
    if "speaker" not in rows:
        return []
    alike = [" and ".join(words) for words in spellings.differing(rows["speaker"].dropna())]
    notes = [f"speakers that differ in case or blanks only are counted as different: {', '.join(alike[:NAMED])}"]
    notes *= bool(alike)
    if "gender" in rows:
        known = rows.dropna(subset=["speaker", "gender"])
        sizes = Counter(zip(known["speaker"].tolist(), known["gender"].tolist(), strict=True))
        listed: dict[str, list[str]] = {}
        for (who, gender), count in sorted(sizes.items()):
            listed.setdefault(who, []).append(f"{count} {gender}")
        two = [f"{who} ({', '.join(genders)})" for who, genders in listed.items() if len(genders) > 1]
        notes += [f"speakers of two genders: {', '.join(two[:NAMED])}"] * bool(two)
    return notes
