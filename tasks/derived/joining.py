"""What tasks that join corpora share: names that stay apart, and the reading of all corpora together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from tasks.corpora import Corpus
from tasks.errors import TaskError
from tasks.reading import MEASURED, NAMED, Reading, counted
from tasks.task import Task

NAMES = ("speaker", "session", "dialogue", "sentence")  # columns whose values are unique within a corpus only


def prefixed_ids(corpus: str, rows: pd.DataFrame) -> pd.Index:
    """The ids of a corpus's utterances as `corpus:id`."""
    return pd.Index([f"{corpus}:{utterance}" for utterance in rows.index], name="id", dtype=str)


def prefix_names(family: str, rows: pd.DataFrame) -> None:
    """Put the family before the names of speakers, sessions, dialogues and sentences, which corpora of it share."""
    for column in set(NAMES) & set(rows):
        rows[column] = rows[column].map(lambda value: f"{family}:{value}", na_action="ignore")


def prefixed(family: str, values: np.ndarray) -> np.ndarray:
    """(n,) the values with the family before them."""
    return np.array([f"{family}:{value}" for value in values])


def check_kin(name: str, loaded: Sequence[Task]) -> None:
    """Raise TaskError where it cannot be told which speakers two corpora of one family share; `name`: of the task.

    A user's table of a known corpus's recordings may call its speakers otherwise than the corpus's reader does. Its
    names are those of another table where recordings that are in both have one name, and some name is in both.
    """
    for one, other in combinations(loaded, 2):
        if one.family != other.family:
            continue
        both = f"{name}: {one.name} and {other.name} may hold the same speakers"
        if "speaker" not in one.utterances or "speaker" not in other.utterances:
            raise TaskError(f"{both}, and the speakers are unknown")
        known = one.reading.same_as or other.reading.same_as
        if not known:  # the readers of a family name speakers alike
            continue
        theirs, others = _speakers(one), _speakers(other)
        common = theirs.keys() & others.keys()
        differing = sorted({f"{theirs[a]} is {others[a]}" for a in common if theirs[a] != others[a]})
        if not (one.reading.same_as and other.reading.same_as):  # a table, and a corpus that its reader names
            differing = sorted({*differing, *one.reading.renamed, *other.reading.renamed})
        if differing or not set(theirs.values()) & set(others.values()):
            which = f" ({', '.join(differing[:NAMED])})" if differing else ""
            raise TaskError(
                f"{both}, recordings of {known}, under other names{which}; give speakers the names that {known} has, "
                "so that none is in train and test"
            )


def _speakers(task: Task) -> dict[str, str]:
    """The speaker of each recording by the hash of its samples; by its id where there is no audio."""
    rows = task.utterances
    recordings = rows["samples_sha256"] if task.has_audio else rows.index
    return dict(zip(recordings.tolist(), rows["speaker"].tolist(), strict=True))


def together(loaded: Sequence[Task], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The utterances of several tasks in one table; it has audio where all of them have it."""
    rows = pd.concat(tables).dropna(axis="columns", how="all")
    if any(not task.has_audio for task in loaded):
        rows = rows.drop(columns=["path", *MEASURED], errors="ignore")
    return rows


def reading(
    loaded: Sequence[Task],
    corpus: Corpus,
    rows: pd.DataFrame,
    merged: Mapping[str, object],
    excluded: Mapping[str, object],
) -> Reading:
    """The reading of joined corpora: facts of `corpus`; licences, papers, marks, notes and texts of all.

    Args:
        merged, excluded: counts of classes that were merged and left out, by task.
    """
    readings = {task.name: task.reading for task in loaded}
    licences = dict.fromkeys(f"{one.corpus.licence} ({one.corpus.name})" for one in readings.values())
    return Reading(
        corpus=replace(corpus, licence="; ".join(licences)),
        root=loaded[0].reading.root,
        utterances=rows,
        marks=tuple(dict.fromkeys(mark for one in readings.values() for mark in one.marks)),
        counts=counted(merged=merged, excluded=excluded),
        notes=tuple(f"{name}: {note}" for name, one in readings.items() for note in one.notes),
        bad_files=sum(one.bad_files for one in readings.values()),
        limited=any(one.limited for one in readings.values()),
        same_as=loaded[0].reading.same_as,
        cite={name: keys for one in readings.values() for name, keys in one.cite.items()},
        texts={name: texts for one in readings.values() for name, texts in one.texts.items()},
    )
