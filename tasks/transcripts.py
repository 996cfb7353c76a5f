"""The texts of a corpus: its own, or those of a user's file (`--text CORPUS=FILE`), and which utterances have none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from commons import hashing
from commons.errors import FOLDER, Refused, UnknownName, cut, some
from tasks.errors import TaskError
from tasks.utterances import without_slashes

Kind = Literal["gold", "asr"]
HEADINGS: dict[str, Kind] = {"text": "asr", "text_gold": "gold"}  # of the column of texts in a user's file
NAMED = 5  # ids that a message names
EXPECTED = "columns id and text (of a recogniser) or id and text_gold (written by people)"


@dataclass(frozen=True)
class Texts:
    """Where the texts of a corpus come from.

    Attributes:
        kind: gold (written by people) or asr (a recogniser's).
        file: the stem of the user's file; empty for the corpus's own texts.
        sha256: of what the file says; empty for the corpus's own texts.
        notes: lines on ids that the file lacks, or that the corpus lacks.
    """

    kind: Kind
    file: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transcripts:
    """The content of a user's file: its kind, and text by id."""

    kind: Kind
    texts: Mapping[str, str]


def options(words: Sequence[str], known: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Corpus and file of each `CORPUS=FILE`, with the files read once to check them.

    Args:
        known: names of the corpora that may be asked for.

    Raises:
        Refused: a word has another form, or names a corpus twice.
        UnknownName: there is no such corpus.
        TaskError: a file cannot be read, or its columns or ids are wrong.
    """
    wanted: dict[str, Path] = {}
    for word in words:
        corpus, sign, file = word.rpartition("=") if word.count("=") == 1 else _parted(word, known)
        if not (sign and corpus and file):
            raise Refused(f"--text {cut(word)!r}: write CORPUS=FILE, a table with the {EXPECTED}")
        if corpus not in known:
            raise UnknownName("corpus", corpus, known)
        if corpus in wanted:
            raise Refused(f"--text names {corpus} twice: {wanted[corpus]} and {file}; give one file a corpus")
        wanted[corpus] = Path(file)
        read(Path(file).expanduser())
    return tuple(wanted.items())


def _parted(word: str, known: Sequence[str]) -> tuple[str, str, str]:
    """The corpus, `=` and the file of a word with several `=`, which names of tables and files may hold."""
    longest = max((name for name in known if word.startswith(f"{name}=")), key=len, default="")
    return (longest, "=", word[len(longest) + 1 :]) if longest else word.partition("=")


def read(file: Path) -> Transcripts:
    """The content of a user's file. Raises TaskError, which names the file and what was expected."""
    from tasks import sheets

    if not file.is_file():
        why = FOLDER if file.is_dir() else "there is no such file of texts"
        raise TaskError(f"{cut(str(file))}: {why}; it is a table with the {EXPECTED}")
    sheet = sheets.read(file, lambda cells: sum(cell.strip().lower() in ("id", *HEADINGS) for cell in cells))
    heading = [cell.strip().lower() for cell in sheet.heading]
    columns = [name for name in HEADINGS if heading.count(name) == 1]
    if heading.count("id") != 1 or len(columns) != 1:
        raise TaskError(
            f"{file}: has the columns {cut(', '.join(sheet.heading)) or 'of an empty file'}; expected {EXPECTED}"
        )
    id_at, text_at = heading.index("id"), heading.index(columns[0])
    texts: dict[str, str] = {}
    for number, values in sheet.rows:
        utterance = without_slashes(values[id_at].strip())
        if not utterance:
            raise TaskError(f"{file}, row {number}: has no id; every text needs the id of its utterance")
        if utterance in texts:
            raise TaskError(f"{file}, row {number}: the id {cut(utterance)!r} occurs twice; keep one text an utterance")
        texts[utterance] = values[text_at].strip()
    return Transcripts(HEADINGS[columns[0]], texts)


def placed(corpus: str, rows: pd.DataFrame, file: Path | None) -> tuple[pd.DataFrame, Texts | None]:
    """A copy's complete table with hashes of its own texts, and the texts of the user's file in their place.

    Returns:
        The table, with `text_sha256` where the copy has texts of its own or no audio; and where the texts come from,
        None where there are none.

    Raises:
        TaskError: as `read`.
    """
    own = "text" in rows
    if own or "path" not in rows:
        hashes = [_hash(text) for text in rows["text"].tolist()] if own else ""
        rows = rows.assign(text_sha256=hashes)
    if file is None:
        return rows, Texts("gold") if own else None
    given = read(file)
    missing = [utterance for utterance in rows.index if not given.texts.get(utterance)]
    surplus = sorted(set(given.texts) - set(rows.index))
    notes = [f"{corpus}: {file.name} has no text for {_listed(missing, 'utterance')}"] * bool(missing)
    notes += [f"{corpus}: {file.name} has {_listed(surplus, 'id')} that the corpus lacks"] * bool(surplus)
    if not any(given.texts.values()):
        raise TaskError(f"{file}: holds no text; expected {EXPECTED}, one row an utterance")
    if len(missing) == len(rows):
        raise TaskError(
            f"{file}: has {_listed(surplus, 'id')}, and none of them is an id of {corpus}, such as {rows.index[0]}"
        )
    words = pd.Series([given.texts.get(utterance) or None for utterance in rows.index], rows.index, dtype=object)
    rows = rows.assign(text=words)
    content = hashing.of_json([given.kind, dict(given.texts)])
    return rows, Texts(given.kind, file.stem, content, tuple(notes))


def _listed(ids: Sequence[str], what: str) -> str:
    """How many ids there are, and the first of them."""
    return f"{len(ids)} {what}{'s' * (len(ids) > 1)} ({some(ids, NAMED)})"


def _hash(text: object) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else ""


def blank(column: pd.Series) -> pd.Series:
    """(N,) bool: the utterances whose text is missing or holds blanks alone."""
    return column.isna() | (column.fillna("").astype(str).str.strip() == "")
