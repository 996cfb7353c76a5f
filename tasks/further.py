"""Further targets of a task (`also:` in its definition), for heads that learn several: made when one asks for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from commons.corridors.problem import Target
from commons.metrics import CLASSIFICATION
from tasks import definition, intensity, phonemes
from tasks.definition import Definition

CORPUS = "corpus"  # the column that names the corpus of each row where several are joined


def targets(rows: pd.DataFrame, columns: Sequence[str], corpus: str) -> tuple[Target, ...]:
    """The targets of some columns; those of which no utterance has a value are left out.

    `intensity` is ordinal, on the scale of intensity.yaml, and neutral speech has none; `phonemes` are a sequence.
    Columns of values are a regression, all others classes. A column that the copy lacks gives no target.

    Args:
        corpus: the corpus of all rows, unless they have a column `corpus`.

    Raises:
        TaskError: a level is not in intensity.yaml, or a phoneme not in phonemes.yaml.
    """
    made = (target for column in columns for target in _made(column, rows, corpus))
    return tuple(target for target in made if target.mask.any())


def by_arousal(wanted: Definition) -> Definition:
    """The definition with intensity among its further targets, where its corpus has it by rated arousal.

    Only tasks of classes: others have no head of several targets.
    """
    if wanted.kind != CLASSIFICATION or wanted.corpus not in intensity.read().arousal or "intensity" in wanted.also:
        return wanted
    return definition.varied(wanted, also=(*wanted.also, "intensity"))


def _made(name: str, rows: pd.DataFrame, corpus: str) -> Iterator[Target]:
    if name == "phonemes":
        if {"phonemes", "text"} & set(rows):
            yield _phonemes(rows, corpus)
    elif name in rows:
        if name == "intensity":
            yield from _levels(rows, corpus)
        elif name in definition.VALUES:
            yield Target(name, "regression", (), rows[name].to_numpy(dtype=np.float64))
        elif len((words := _words(name, rows[name])).classes) > 1:  # one class alone is nothing to tell
            yield words


def _words(name: str, column: pd.Series) -> Target:
    """Sorted words as classes."""
    words = [None if gone else str(value) for value, gone in zip(column.tolist(), column.isna(), strict=True)]
    classes = tuple(sorted({word for word in words if word is not None}))
    index = {word: i for i, word in enumerate(classes)}
    values = np.array([-1 if word is None else index[word] for word in words], dtype=np.int64)
    return Target(name, "classification", classes, values)


def _levels(rows: pd.DataFrame, corpus: str) -> Iterator[Target]:
    """Places on the scale of intensity, by corpus; levels of one place, of whatever corpora, are one class."""
    corpora = rows[CORPUS].to_numpy() if CORPUS in rows else np.full(len(rows), corpus)
    places, names = np.full(len(rows), np.nan), dict[float, dict[str, None]]()
    for own in sorted(set(corpora.tolist())):
        places[corpora == own] = intensity.scaled(own, rows[corpora == own])
        known = intensity.levels_of(own)
        for level, place in known.items():
            # A corpus has all the levels that its actors were asked for, and of arousal those that occur.
            if known is not intensity.AROUSAL or (places[corpora == own] == place).any():
                names.setdefault(place, {})[level] = None
    ascending = sorted(names)
    if len(ascending) > 1:
        values = np.array([-1 if np.isnan(place) else ascending.index(place) for place in places], dtype=np.int64)
        classes = tuple("/".join(names[place]) for place in ascending)
        yield Target("intensity", "ordinal", classes, values, tuple(ascending))


def _phonemes(rows: pd.DataFrame, corpus: str) -> Target:
    """Phonemes; why utterances with a text have none is warned of."""
    made = phonemes.of(rows, corpus)
    for note in made.notes:
        warnings.warn(note, stacklevel=2)
    values = np.empty(len(rows), dtype=object)
    for i, symbols in enumerate(made.symbols):
        values[i] = np.array(symbols, dtype=np.int64)
    return Target("phonemes", "sequence", phonemes.table().symbols, values)
