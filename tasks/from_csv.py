"""`csv:FILE`: a corpus and its task from one table, one row an utterance, without any Python.

Columns, in any case (the first needed, and `emotion` or a value; others are optional and kept if `utterances.COLUMNS`
has them):

    path       the audio file within the table's folder, relative to it or absolute
    emotion    the class; empty: no label. Or `arousal`, `valence`, `dominance`, `sentiment`: a value
    speaker    who speaks; without it nothing keeps speakers apart, and the task is marked so
    partition  train, dev, test: the split; without dev, speakers of train (of three or more), else a fifth of train.
               Or `fold`: each of its values is tested once
    id         the utterance's name; without it, the path without suffix, `/` as `-`

Without `partition` and `fold`, speakers are left out one at a time, more than ten of them in five groups alike in size.
`csv:FILE#arousal` asks for another column than `emotion`. In results the task is called by the file's place below the
working folder, or by its name and a hash of its path.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path, PurePosixPath

import pandas as pd

from commons import hashing
from commons.corridors.utterances import COLUMNS
from commons.metrics import CLASSIFICATION, REGRESSION
from commons.progress import Progress
from tasks import corpora, definition, reading, splits, utterances
from tasks.corpora import Corpus
from tasks.definition import VALUES, Definition, FoldRule
from tasks.errors import TaskError
from tasks.options import Options, absolute
from tasks.task import Task, finish

NUMBERS = ("start", "end", "valence", "arousal", "dominance", "sentiment")
WHOLE_NUMBERS = ("channel", "turn")
SPLITS = ("speaker", "partition", "fold")
PARTITIONS = ("train", "dev", "test")
MOST_SINGLE_SPEAKERS, GROUPS = 10, 5
KNOWN = {"id", *COLUMNS}


def _parse(name: str) -> tuple[Path, str]:
    """The table and the column asked for, from `csv:FILE` or `csv:FILE#COLUMN`."""
    place, _, column = name.partition(":")[2].partition("#")
    return absolute(Path(place)), column.lower()


def _label(file: Path) -> str:
    """The file for records: one of another folder by its name, which tells nobody's home, and a hash of its path, so
    that files of one name in two folders stay two."""
    named, here = file.with_suffix("") if file.suffix == ".csv" else file, Path.cwd()
    if file.is_relative_to(here):
        return named.relative_to(here).as_posix()
    return f"{named.name}~{hashing.short(str(file))}"


def check(name: str, data: Path, emobox: Path | None) -> None:
    """Refuse a name whose file is not there, or has not the columns of a task; it need not be under `data`.

    Raises:
        TaskError: there is no such file, or its heading lacks a column.
    """
    file, column = _parse(name)
    if not file.is_file():
        raise TaskError(f"{name}: there is no file {file}; give a table as csv:FILE (columns: see docs/tasks.md)")
    heading = _heading(file)
    asked = [column] if column else ["emotion", *VALUES]
    for needed, without in ((asked, "nothing is asked"), (SPLITS, "there is nothing to split by")):
        if not set(needed) & set(heading):
            raise TaskError(
                f"{file}: has no column {', '.join(needed)}, so {without}; "
                f"its columns are {', '.join(heading.values())}"
            )


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of a table.

    Raises:
        TaskError: the table cannot be read, lacks a column, or has a wrong value; names the file and the line.
    """
    check(name, options.data, options.emobox)
    file, column = _parse(name)
    rows, heading = _table(file)
    column = _target(file, column, rows, heading)
    corpus = _corpus(file, rows)
    wanted = _definition(file, corpus, column, rows)
    unused = sorted(written for column, written in heading.items() if column not in KNOWN)
    notes = (f"columns that are not used: {', '.join(unused)}",) if unused else ()
    usable = reading.prepare(wanted, reading.Copy(corpus, file.parent, rows, notes), options, progress)
    problem, more = splits.split(wanted, usable)
    return finish(usable, wanted, problem, more)


def _target(file: Path, column: str, rows: pd.DataFrame, heading: dict[str, str]) -> str:
    """The column that is asked for; `column` where the user names one. Raises TaskError where it cannot be asked."""
    column = column or next((c for c in ("emotion", *VALUES) if c in rows), "")
    if column not in rows:
        asked = f"no column {column!r}" if column else f"no column emotion, {', '.join(VALUES)}"
        raise TaskError(
            f"{file}: has {asked} with a value in it, so nothing is asked; its columns are "
            + ", ".join(heading.values())
        )
    if column in {*NUMBERS, *WHOLE_NUMBERS} - set(VALUES):
        raise TaskError(
            f"{file}: column {column} holds numbers that are no classes; ask for emotion or another column of words, "
            f"or for {', '.join(VALUES)}"
        )
    return column


def _corpus(file: Path, rows: pd.DataFrame) -> Corpus:
    """Facts of a table as a corpus."""
    label = f"csv:{_label(file)}"
    return Corpus(
        name=label,
        title=file.name,
        language=" ".join(sorted(rows["language"].dropna().unique())) if "language" in rows else "und",
        licence="the user's",
        homepage="",
        obtain="",
        folders=(),
        globs=(),
        files=len(rows),
        speakers=rows["speaker"].nunique() if "speaker" in rows else 0,
        classes={},
        family=label,
        lossless=False,
        rate=0,
        source="the table",
    )


def _definition(file: Path, corpus: Corpus, column: str, rows: pd.DataFrame) -> Definition:
    """What a table asks. Raises TaskError where it has one class only, or nothing to split by."""
    regression = column in VALUES
    classes = [] if regression else sorted(rows[column].dropna().unique())
    rule = _rule(file, rows, corpus.speakers)
    if not regression and len(classes) < 2:
        raise TaskError(f"{file}: column {column} has one class only ({', '.join(classes)})")
    return definition.new(
        name=corpus.name + (f"#{column}" if column != "emotion" else ""),
        version="csv 2",
        title=f"{file.name}: {column}",
        corpus=corpus.name,
        kind=REGRESSION if regression else CLASSIFICATION,
        target=column,
        labels={label: (label,) for label in classes},
        folds=rule,
        dev=_dev(rows),
        metrics=("CCC", "Pearson", "MAE") if regression else ("WA", "UA", "WF1", "macro_F1"),
        headline="CCC" if regression else "UA",
        select_on="CCC" if regression else "WA",
        downstream="probe",
        speakers_shared="partition" in rows,  # an official split is kept, and marked where speakers cross
        group_by="speaker" if corpus.speakers else "utterance",
    )


def _heading(file: Path) -> dict[str, str]:
    """The columns' names in small letters, with those in the file."""
    heading: dict[str, str] = {}
    for written in next(csv.reader(corpora.lines(file)), []):
        column = written.strip().lower()
        if column in heading:
            raise TaskError(f"{file}: columns {heading[column]!r} and {written!r} are one; rename or drop one of them")
        heading[column] = written
    if "path" not in heading:
        raise TaskError(f"{file}: has no column path, the audio files; its columns are {', '.join(heading.values())}")
    return heading


def _table(file: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The utterance table, and its heading."""
    heading = _heading(file)
    lines = corpora.records(file, [])
    if not lines:
        raise TaskError(f"{file}: holds no row below its heading")
    named = ({column: line[written] for column, written in heading.items()} for line in lines)
    return utterances.table([_row(file, number, line) for number, line in enumerate(named, start=2)]), heading


def _row(file: Path, number: int, line: dict[str, str]) -> dict[str, object]:
    where = f"{file}, row {number}"
    place = PurePosixPath((line["path"] or "").strip())
    if place.is_relative_to(file.parent):
        place = place.relative_to(file.parent)
    if not place.name or place.is_absolute() or ".." in place.parts:
        raise TaskError(
            f"{where}: path {str(place)!r} must lead to a file within the table's folder, {file.parent}; put the table "
            "into a folder that holds all of its audio"
        )
    row: dict[str, object] = {}
    for column in COLUMNS:
        text = (line.get(column) or "").strip()
        if text and column in (*NUMBERS, *WHOLE_NUMBERS):
            row[column] = _number(int if column in WHOLE_NUMBERS else float, text, f"{where}: {column}")
        elif column in line:
            row[column] = text or None
    if row.get("partition") not in (None, *PARTITIONS):
        raise TaskError(f"{where}: partition {row['partition']!r} is none of {', '.join(PARTITIONS)}")
    named = (line.get("id") or "").strip()
    return row | {
        "id": named or str(place.with_suffix("")).replace("/", "-"),
        "path": file.parent / place,
        "labels": where,
    }


def _number(kind: type[int] | type[float], text: str, where: str) -> float:
    try:
        value: float = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TaskError(f"{where} must be a {'whole ' if kind is int else ''}number, and is {text!r}")
    return value


def _rule(file: Path, rows: pd.DataFrame, speakers: int) -> FoldRule:
    for column in ("partition", "fold"):
        if column in rows:
            if rows[column].isna().any():
                raise TaskError(
                    f"{file}: {column} is empty for {rows.index[rows[column].isna()][0]!r}; fill all or none"
                )
            return FoldRule(by=column, inner="speaker" if speakers else "")
    if not speakers:
        raise TaskError(f"{file}: has none of the columns speaker, partition and fold, so there is nothing to split by")
    if rows["speaker"].isna().any():
        raise TaskError(f"{file}: speaker is empty for {rows.index[rows['speaker'].isna()][0]!r}; fill all or none")
    return FoldRule(by="speaker", k=GROUPS if speakers > MOST_SINGLE_SPEAKERS else None)


def _dev(rows: pd.DataFrame) -> str:
    if "partition" in rows:
        if (rows["partition"] == "dev").any():
            return "partition"
        return "speakers" if "speaker" in rows else "fifth"
    return "next_fold"
