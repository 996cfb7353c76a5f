"""`csv:FILE`: a corpus and its task from one table, one row an utterance, without any Python.

Columns, in any case (the first needed, and `emotion` or a value; others are optional and kept if `utterances.COLUMNS`
has them; `headings.OTHERS`: what else people call them):

    path       the audio file, below the table's folder or that of --audio
    emotion    the class; empty: no label. Or `arousal`, `valence`, `dominance`, `sentiment`: a value
    speaker    who speaks; without it nothing keeps speakers apart, and the task is marked so
    partition  train, dev, test: the split; without dev, speakers of train (of three or more), else a fifth of train.
               Or `fold`: each of its values is tested once
    id         the utterance's name; without it, the path without suffix, `/` as `-`

Without `partition` and `fold`, speakers are left out one at a time, more than ten of them in five groups alike in size.
`csv:FILE#COLUMN` asks for another column than `emotion`. In results the task is called as `csv:FILE=NAME` says, else by
the file's place below the working folder, or by its name and a hash of its path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from commons import hashing
from commons.errors import Refused, cut
from commons.metrics import CLASSIFICATION, REGRESSION
from commons.progress import Progress
from tasks import catalogue, corpora, definition, reading, spellings
from tasks.brought import headings, same_recordings, sheets, table_labels, table_rows
from tasks.brought.headings import Heading
from tasks.brought.table_audio import Folders
from tasks.brought.table_labels import Labels
from tasks.brought.table_rows import NUMBERS, WHOLE_NUMBERS
from tasks.corpora import Corpus
from tasks.definition import VALUES, Definition, FoldRule
from tasks.errors import TaskError
from tasks.options import Options, absolute
from tasks.splits import problems
from tasks.task import Task, finish

MOST_SINGLE_SPEAKERS, GROUPS = 10, 5
LONGEST_NAME = 60


@dataclass(frozen=True)
class Asked:
    """What a name asks for: a table's file, the name that the user gives it (empty: none), and a column (likewise)."""

    file: Path
    title: str
    column: str

    @property
    def label(self) -> str:
        """What records call the table: of another folder its name, which tells nobody's home, and a hash of its path,
        so that files of one name in two folders stay two."""
        if self.title:
            return self.title
        named, here = self.file.with_suffix("") if self.file.suffix == ".csv" else self.file, Path.cwd()
        if self.file.is_relative_to(here):
            return f"csv:{named.relative_to(here).as_posix()}"
        return f"csv:{named.name}~{hashing.short(str(self.file))}"


@dataclass(frozen=True)
class Table:
    """A user's table, understood, before its audio is looked at.

    Attributes:
        rows: the utterance table; what it asks for is the column `definition.target`.
        notes: what was taken for what, and what looks odd.
    """

    asked: Asked
    rows: pd.DataFrame
    corpus: Corpus
    definition: Definition
    notes: tuple[str, ...]


def parse(name: str) -> Asked:
    """The parts of `csv:FILE`, `csv:FILE=NAME`, `csv:FILE#COLUMN` or `csv:FILE=NAME#COLUMN`.

    Raises:
        Refused: NAME cannot be a name, or is one already.
    """
    text = name.partition(":")[2]
    base, sharp, column = text.rpartition("#") if "#" in text else (text, "", "")
    before, _, title = text.rpartition("=") if "=" in text else (text, "", "")
    ways = [(text, "", ""), (*_two(base), column), (before, title, ""), (base, "", column)]
    if sharp and "=" in column:  # the column before the name
        ways.insert(1, (before.rpartition("#")[0], title, before.rpartition("#")[2]))
    there = (way for way in ways if way[0] and os.path.isfile(absolute(Path(way[0]))))
    file, title, column = next(there, (*_two(base), column))
    _check_title(name, title)
    return Asked(absolute(Path(file)), title.strip(), column.strip().lower())


def _two(text: str) -> tuple[str, str]:
    """A text before and after its last `=`."""
    before, sign, after = text.rpartition("=")
    return (before, after) if sign else (text, "")


def _check_title(name: str, title: str) -> None:
    if not title:
        return
    if len(title) > LONGEST_NAME or not re.fullmatch(r"\w[\w .-]*", title.strip()):
        raise Refused(
            f"{cut(name)!r}: a table's name has up to {LONGEST_NAME} letters, digits, blanks, dots, _ and -, and is "
            f"{cut(title, LONGEST_NAME)!r}"
        )
    taken = {*catalogue.names(), *corpora.names(), *catalogue.suites(), *catalogue.COMPUTED}
    if title.strip().casefold() in {other.casefold() for other in taken}:
        raise Refused(f"{cut(name)!r}: {title} is a task, suite or corpus already; give the table another name")


def is_there(name: str) -> bool:
    """Whether the file of a name is there. Raises Refused as `parse`."""
    return os.path.isfile(parse(name).file)


def check(name: str, options: Options) -> str:
    """Refuse a table that is not there, that is no task, or none of whose audio is there; the task's name in results.

    Raises:
        Refused, TaskError: as `understood`; or no audio file is where the table says.
    """
    return _with_audio(name, options).definition.name


def describe(name: str, options: Options) -> tuple[Definition, Corpus]:
    """What a table asks, and its facts as a corpus. Raises as `understood`."""
    table = understood(name, options)
    return table.definition, table.corpus


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of a table.

    Raises:
        TaskError: the table cannot be read, lacks a column, or has a wrong value; names the file and the line.
    """
    table = _with_audio(name, options)
    copy = reading.Copy(table.corpus, table.asked.file.parent, table.rows, table.notes)
    usable = reading.prepare(table.definition, copy, options, progress)
    if same := same_recordings.compare(usable.utterances, options.data):
        usable = replace(usable, same_as=same.corpus, notes=(*usable.notes, same.note))
    problem, more = problems.split(table.definition, usable)
    return finish(usable, table.definition, problem, more)


def _with_audio(name: str, options: Options) -> Table:
    """The table, once some of its audio is where it says. Raises TaskError where none is."""
    table = understood(name, options)
    paths = table.rows["path"].tolist()
    if not any(map(os.path.isfile, paths)):
        raise TaskError(
            f"{table.asked.file}: none of its {len(paths)} audio files is there, such as {paths[0]}; name the folder "
            "that its paths begin in with --audio DIR"
        )
    return table


def understood(name: str, options: Options) -> Table:
    """A user's table as a corpus, and what is asked of it; its audio is not opened.

    Raises:
        Refused: the name that the user gives it cannot be one.
        TaskError: the table is not there, cannot be read, lacks a column or has a wrong value; names file and row.
    """
    asked = parse(name)
    file = asked.file
    if not os.path.isfile(file):
        raise TaskError(
            f"{cut(name)!r}: there is no file {cut(str(file))!r}; give a table as csv:FILE (columns: see docs/tasks.md)"
        )
    sheet = sheets.read(file, headings.known)
    heading = headings.understood(sheet, asked.column)
    column = headings.asked_for(heading, asked.column)
    headings.check(file, heading, column)
    if not sheet.rows:
        raise TaskError(f"{file}: holds no row below its heading")
    rows, notes = table_rows.table(sheet, heading, Folders(file.parent, options.audio and absolute(options.audio)))
    column = _target(file, column, rows, heading)
    labels = table_labels.understood(file, column, rows, dict(heading.mapped) | table_labels.of_file(options.labels))
    corpus = _corpus(asked, rows)
    wanted = _definition(asked, corpus, column, rows, labels)
    unlabelled = int(rows[column].isna().sum())
    notes = [*heading.notes, *notes, *labels.notes, *table_rows.oddities(rows)]
    notes += [f"{unlabelled} of {len(rows)} rows have no label in {column}, and are left out"] * bool(unlabelled)
    notes += [f"columns that are not used: {', '.join(heading.unused)}"] * bool(heading.unused)
    return Table(asked, rows, corpus, wanted, tuple(notes))


def _target(file: Path, column: str, rows: pd.DataFrame, heading: Heading) -> str:
    """The column that is asked for; `column` where the user names one. Raises TaskError where it cannot be asked."""
    column = column or next((c for c in ("emotion", *VALUES) if c in rows), "")
    if column not in rows or column == "path":
        asked = f"no column {column!r}" if column else f"no column emotion, {', '.join(VALUES)}"
        raise TaskError(
            f"{file}: has {asked} with a value in it, so nothing is asked; its columns are {heading.listed}"
        )
    if column in {*NUMBERS, *WHOLE_NUMBERS} - set(VALUES) or _fractions(rows[column]):
        raise TaskError(
            f"{file}: column {column} holds numbers that are no classes. To ask for values, rename it to "
            f"{', '.join(VALUES[:-1])} or {VALUES[-1]}; or ask for emotion or another column of words"
        )
    return column


def _fractions(column: pd.Series) -> bool:
    """Whether a column of words holds nothing but numbers, and some of them are not whole."""
    numbers = [spellings.number(word) for word in column.dropna() if isinstance(word, str)]
    return bool(numbers) and all(n is not None for n in numbers) and any(n is not None and n % 1 for n in numbers)


def _corpus(asked: Asked, rows: pd.DataFrame) -> Corpus:
    """Facts of a table as a corpus."""
    languages = {spellings.language(written) for written in rows["language"].dropna()} if "language" in rows else set()
    return Corpus(
        name=asked.label,
        title=asked.title or asked.file.name,
        language="/".join(sorted(languages)) or "und",
        licence="the user's",
        homepage="",
        obtain="",
        folders=(),
        globs=(),
        files=len(rows),
        speakers=rows["speaker"].nunique() if "speaker" in rows else 0,
        classes={},
        family=asked.label,
        lossless=False,
        rate=0,
        source="the table",
    )


def _definition(asked: Asked, corpus: Corpus, column: str, rows: pd.DataFrame, labels: Labels) -> Definition:
    """What a table asks. Raises TaskError where there is nothing to split by."""
    regression = column in VALUES
    return definition.new(
        name=corpus.name + (f"#{column}" if column != "emotion" else ""),
        version="csv 2",
        title=f"{corpus.title}: {column}",
        corpus=corpus.name,
        kind=REGRESSION if regression else CLASSIFICATION,
        target=column,
        labels=labels.classes,
        drop=labels.drop,
        folds=_rule(asked.file, rows[rows[column].notna()], corpus.speakers),
        dev=_dev(rows),
        metrics=("CCC", "Pearson", "MAE") if regression else ("WA", "UA", "WF1", "macro_F1"),
        headline="CCC" if regression else "UA",
        select_on="CCC" if regression else "WA",
        downstream="probe",
        speakers_shared="partition" in rows,  # an official split is kept, and marked where speakers cross
        group_by="speaker" if corpus.speakers else "utterance",
    )


def _rule(file: Path, rows: pd.DataFrame, speakers: int) -> FoldRule:
    """The split of the rows that have a label. Raises TaskError where a column of it is empty for some of them."""
    by = next((column for column in ("partition", "fold") if column in rows), "speaker")
    if by == "speaker" and not speakers:
        raise TaskError(f"{file}: has none of the columns speaker, partition and fold, so there is nothing to split by")
    for column in (by, *["speaker"] * bool(speakers)):
        gone = rows.index[rows[column].isna()]
        if len(gone):
            more = f" and {len(gone) - 1} more of {len(rows)} rows" if len(gone) > 1 else ""
            how = ", or leave the column out" if column == "speaker" and by != "speaker" else ""
            raise TaskError(f"{file}: {column} is empty for {gone[0]!r}{more}; fill all or none{how}")
    if by != "speaker":
        return FoldRule(by=by, inner="speaker" if speakers else "")
    return FoldRule(by="speaker", k=GROUPS if speakers > MOST_SINGLE_SPEAKERS else None)


def _dev(rows: pd.DataFrame) -> str:
    if "partition" in rows:
        if (rows["partition"] == "dev").any():
            return "partition"
        return "speakers" if "speaker" in rows else "fifth"
    return "next_fold"
