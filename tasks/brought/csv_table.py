"""`csv:FILE`: a corpus and its task from a table with a row for each utterance.

Columns, in any case. `path` or `text`, and `emotion` or a value, are needed; others of `utterances.COLUMNS` are kept.
Other headings of these columns are in `headings.OTHERS`.

    path       the audio file, relative to the table's folder or to that of --audio
    text       what is said; a table with texts and without `path` is for upstreams of text alone
    emotion    the class; empty: no label. Or a value: `arousal`, `valence`, `dominance`, `sentiment`
    speaker    who speaks; without it the split cannot keep speakers apart, and the task is marked
    partition  train, dev, test. Without dev, some speakers of train are dev where it has three or more, else a fifth.
    fold       in place of `partition`: each value is the test part of one fold
    id         the utterance's name; without it, the path without suffix, or `row 2`; in both `-` in place of `/`

Without `partition` and `fold`, each speaker is tested in turn; more than ten speakers are put into five groups of
similar size. `csv:FILE#COLUMN` asks for a column other than `emotion`. In results the task is called NAME for
`csv:FILE=NAME`; else by the file's path below the working folder; else by the file's name and a hash of its path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from commons import hashing
from commons.errors import FOLDER, Refused, cut
from commons.metrics import CLASSIFICATION, REGRESSION
from commons.progress import Progress
from tasks import catalogue, corpora, definition, reading, sheets, spellings
from tasks.brought import headings, same_recordings, table_labels, table_rows
from tasks.brought.headings import Heading
from tasks.brought.table_audio import Folders
from tasks.brought.table_labels import Labels
from tasks.brought.table_rows import NUMBERS, WHOLE_NUMBERS
from tasks.corpora import Corpus
from tasks.definition import VALUES, Definition, FoldRule
from tasks.errors import TaskError
from tasks.load_options import Options, absolute
from tasks.splits import problems
from tasks.task import Task, finish

MOST_SINGLE_SPEAKERS, GROUPS = 10, 5
LONGEST_NAME = 60


@dataclass(frozen=True)
class Asked:
    """The parts of a table's name: its file, the title that the user gives it, and a column; empty where not given."""

    file: Path
    title: str
    column: str

    @property
    def label(self) -> str:
        """The table's name in records: its title, or its path below the working folder.

        A table elsewhere is called by its file name, which names no folder of the user's, and a hash of its path, so
        that two files of one name have two names.
        """
        if self.title:
            return self.title
        named, here = self.file.with_suffix("") if self.file.suffix == ".csv" else self.file, Path.cwd()
        if self.file.is_relative_to(here):
            return f"csv:{named.relative_to(here).as_posix()}"
        return f"csv:{named.name}~{hashing.short(str(self.file))}"


@dataclass(frozen=True)
class Table:
    """A user's table as an utterance table and a definition, before its audio is checked.

    Attributes:
        rows: the utterance table; the column that is asked for is `definition.target`.
        notes: lines on what columns and values were taken for, and on likely mistakes.
    """

    asked: Asked
    rows: pd.DataFrame
    corpus: Corpus
    definition: Definition
    notes: tuple[str, ...]


def parse(name: str) -> Asked:
    """The parts of `csv:FILE`, `csv:FILE=NAME`, `csv:FILE#COLUMN` or `csv:FILE=NAME#COLUMN`.

    Raises:
        Refused: NAME is no valid name, or is the name of a task, suite or corpus.
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
            f"{cut(name)!r}: a table's name has up to {LONGEST_NAME} letters, digits, blanks, dots, _ and -, not "
            f"{cut(title, LONGEST_NAME)!r}"
        )
    taken = {*catalogue.names(), *corpora.names(), *catalogue.suites(), *catalogue.COMPUTED}
    if title.strip().casefold() in {other.casefold() for other in taken}:
        raise Refused(f"{cut(name)!r}: {title} is a task, suite or corpus already; give the table another name")


def is_there(name: str) -> bool:
    """Whether the file of a name exists. Raises Refused as `parse`."""
    return os.path.isfile(parse(name).file)


def check(name: str, options: Options) -> str:
    """The task's name in results.

    Raises:
        Refused, TaskError: as `understood`; or none of the audio files exists.
    """
    return _with_audio(name, options).definition.name


def describe(name: str, options: Options) -> tuple[Definition, Corpus]:
    """The definition of a table's task and its facts as a corpus. Raises as `understood`."""
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
    same = same_recordings.compare(usable.utterances, options.data) if "sha256" in usable.utterances else None
    if same:
        cite = {same.corpus: corpora.module(same.corpus).CORPUS.cite}
        usable = replace(usable, same_as=same.corpus, renamed=same.renamed, notes=(*usable.notes, same.note), cite=cite)
    problem, more = problems.split(table.definition, usable)
    return finish(usable, table.definition, problem, more)


def _with_audio(name: str, options: Options) -> Table:
    """The table. Raises TaskError where it names audio files and none of them exists."""
    table = understood(name, options)
    paths = table.rows["path"].tolist() if "path" in table.rows else []
    if paths and not any(map(os.path.isfile, paths)):
        raise TaskError(
            f"{table.asked.file}: none of its {len(paths)} audio files exists, such as {paths[0]}; name the folder "
            "that its paths are relative to with --audio DIR"
        )
    return table


def understood(name: str, options: Options) -> Table:
    """A user's table with its definition; its audio is not opened.

    Raises:
        Refused: the name that the user gives it is not valid.
        TaskError: the table does not exist, cannot be read, lacks a column or has a wrong value; names file and row.
    """
    asked = parse(name)
    file = asked.file
    if not os.path.isfile(file):
        why = f"{cut(str(file))!r} {FOLDER}" if os.path.isdir(file) else f"there is no file {cut(str(file))!r}"
        raise TaskError(f"{cut(name)!r}: {why}; name a table as csv:FILE (columns: docs/tasks.md)")
    sheet = sheets.read(file, headings.known)
    heading = headings.understood(sheet, asked.column)
    column = headings.asked_for(heading, asked.column)
    headings.check(file, heading, column)
    if not sheet.rows:
        raise TaskError(f"{file}: holds no row below its heading")
    heading = table_rows.without_words(sheet, heading, column)
    folders = Folders(file.parent, options.audio and absolute(options.audio))
    if folders.audio and not folders.audio.is_dir():
        raise TaskError(f"--audio {options.audio}: there is no such folder; name the folder of the table's audio")
    rows, notes = table_rows.table(sheet, heading, folders)
    notes += _elsewhere(rows, folders)
    if "path" not in rows and "text" not in rows:
        raise TaskError(f"{file}: names no audio files, and its column text is empty; give one of the two")
    column = _target(file, column, rows, heading)
    labels = table_labels.understood(file, column, rows, dict(heading.mapped) | table_labels.of_file(options.labels))
    corpus = _corpus(asked, rows)
    wanted = _definition(asked, corpus, column, rows, labels)
    unlabelled = int(rows[column].isna().sum())
    notes = [*heading.notes, *notes, *labels.notes, *table_rows.oddities(rows)]
    notes += [f"{unlabelled} of {len(rows)} rows have no label in {column}, and are left out"] * bool(unlabelled)
    notes += [f"columns that are not used: {', '.join(heading.unused)}"] * bool(heading.unused)
    return Table(asked, rows, corpus, wanted, tuple(notes))


def _elsewhere(rows: pd.DataFrame, folders: Folders) -> list[str]:
    """A note on files that are not in the folder that the user names."""
    if folders.audio is None or "path" not in rows:
        return []
    outside = [path for path in rows["path"].dropna() if not Path(path).is_relative_to(folders.audio)]
    if not outside:
        return []
    return [f"{len(outside)} of {len(rows)} audio files are not in the folder of --audio, but in the table's"]


def _target(file: Path, column: str, rows: pd.DataFrame, heading: Heading) -> str:
    """The column that is asked for; `column`: the user's, if any. Raises TaskError where it cannot be asked."""
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
    """The definition of a table's task. Raises TaskError where it has no column to split by."""
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
        dev=_dev(rows[rows[column].notna()]),
        metrics=("CCC", "Pearson", "MAE") if regression else ("WA", "UA", "WF1", "macro_F1"),
        headline="CCC" if regression else "UA",
        downstream="probe",
        speakers_shared="partition" in rows,  # an official split is kept; a mark says where speakers are shared
        group_by="speaker" if corpus.speakers else "utterance",
    )


def _rule(file: Path, rows: pd.DataFrame, speakers: int) -> FoldRule:
    """The split of the rows with a label. Raises TaskError where a column of it is empty for some of them."""
    by = next((column for column in ("partition", "fold") if column in rows), "speaker")
    if by == "speaker" and not speakers:
        raise TaskError(f"{file}: has none of the columns speaker, partition and fold, so there is nothing to split by")
    for column in (by, *["speaker"] * bool(speakers)):
        gone = rows.index[rows[column].isna()]
        if len(gone):
            more = f" and {len(gone) - 1} more of {len(rows)} rows" if len(gone) > 1 else ""
            how = ", or drop the column" if column == "speaker" and by != "speaker" else ""
            raise TaskError(f"{file}: {column} is empty for {gone[0]!r}{more}; fill it in for all rows{how}")
    if by == "partition" and (lacking := {"train", "test"} - set(rows["partition"])):
        raise TaskError(f"{file}: no row with a label has partition {' or '.join(sorted(lacking))}")
    if by != "speaker":
        return FoldRule(by=by, inner="speaker" if speakers else "")
    return FoldRule(by="speaker", k=GROUPS if rows["speaker"].nunique() > MOST_SINGLE_SPEAKERS else None)


def _dev(rows: pd.DataFrame) -> str:
    if "partition" in rows:
        if (rows["partition"] == "dev").any():
            return "partition"
        return "speakers" if "speaker" in rows else "fifth"
    return "next_folds"
