"""A user's table as rows of text; its encoding and its separator are detected."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks import textfile
from tasks.errors import TaskError

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")  # of a table that is named without `csv:`
SEPARATORS = (",", ";", "\t", "|")
_SPREADSHEETS = {b"PK\x03\x04": "xlsx", b"\xd0\xcf\x11\xe0": "xls"}


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Attributes:
        heading: the names of its columns, as written.
        rows: the other rows that are not empty: the number, counted from 1 as in a spreadsheet, and the values.
    """

    file: Path
    heading: list[str]
    rows: list[tuple[int, list[str]]]


def read(file: Path, understood: Callable[[list[str]], int]) -> Sheet:
    """A table of UTF-8 or UTF-16, with or without a byte order mark, separated by comma, semicolon, tab or bar.

    Args:
        understood: returns the number of known columns in a heading; the separator with the largest number is taken.

    Raises:
        TaskError: the file is no text, or is in a spreadsheet's own format, or a row has more or fewer values than the
            heading; names the file and the line.
    """
    content = text(file)
    first, below = 1, content
    if content[:4].lower() == "sep=":  # a line that spreadsheets write above the heading
        first, below = 2, content.partition("\n")[2]
    headings = {mark: next((cells for _, cells in _records(file, below, mark)), []) for mark in SEPARATORS}
    mark = max(SEPARATORS, key=lambda one: understood(headings[one]))  # the first of equals
    heading = headings[mark]
    rows = []
    for number, (line, values) in enumerate(_records(file, below, mark), start=first):
        if number == first or not any(value.strip() for value in values):
            continue
        if len(values) != len(heading) and (len(values) < len(heading) or any(values[len(heading) :])):
            raise TaskError(
                f"{file}, line {line + first - 1}: has {len(values)} values for {len(heading)} columns; put a value "
                "that holds the separator into quotes"
            )
        rows.append((number, values[: len(heading)]))
    return Sheet(file, heading, rows)


def _records(file: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the last line of each record, and its values."""
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = str(error)
            if "field limit" in why:
                why = f'a value is longer than {csv.field_size_limit():,} characters; is a quote (") left open?'
            raise TaskError(f"{file}, line {reader.line_num}: {why}") from error
        yield reader.line_num, values


def text(file: Path) -> str:
    """The file's text, lines ended by a line feed. Raises TaskError."""
    try:
        with file.open("rb") as opened:
            start = opened.read(4)
        kind = next((kind for magic, kind in _SPREADSHEETS.items() if start.startswith(magic)), "")
        if kind:
            raise TaskError(f"{file}: is a spreadsheet ({kind}); save it as CSV, and name that file")
        return textfile.read(file)
    except OSError as error:
        raise TaskError(f"{file}: cannot be read ({error.strerror})") from error
