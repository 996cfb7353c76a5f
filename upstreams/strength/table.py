"""The table that strength is learnt from: CSV with columns path, speaker, emotion and, if it is known, corpus."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from commons.errors import some
from upstreams.errors import UpstreamError

NEUTRAL = "neutral"
WANTED = ("path", "speaker", "emotion")
COLUMNS = (*WANTED, "corpus")
MADE = "`python -m tasks table` writes such tables"


class Voice(NamedTuple):
    """Who speaks in a file, or the folder that it lies in; and whether it is known to be neutral."""

    name: str
    neutral: bool = False


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """One table of all files, with columns path, speaker, emotion and corpus ("" where a file has none).

    Paths are relative to the file's folder. A name is one speaker within a corpus, or, where a file names no corpus,
    within that file. Raises UpstreamError: no such file, columns or values missing, an audio file missing, or an
    emotion of which no speaker has neutral utterances too.
    """
    table = pd.concat([_one(path, number) for number, path in enumerate(paths)], ignore_index=True)
    named, others = ", ".join(map(str, paths)), set(table["emotion"]) - {NEUTRAL}
    calm = table["speaker"].isin(table["speaker"][table["emotion"] == NEUTRAL])
    ranked = set(table["emotion"][calm]) - {NEUTRAL}
    if not ranked:
        raise UpstreamError(
            f"{named}: no speaker has both {NEUTRAL!r} and other emotions, so there is nothing to rank; the word in "
            f"the column emotion has to be {NEUTRAL!r}"
        )
    if alone := sorted(others - ranked):
        raise UpstreamError(
            f"{named}: no speaker of {some(alone)} has {NEUTRAL!r} utterances to rank it against; leave its lines out"
        )
    return table


def voices(paths: Sequence[Path], seen: Container[str]) -> dict[str, Voice]:
    """Real path of each file of some tables -> who speaks how.

    Emotions are heeded of the corpora `seen` alone, whose labels taught the model: scores have seen no others.

    Raises UpstreamError: no such table, or columns, values or an audio file missing.
    """
    tables = [_one(path, number, WANTED[:2]) for number, path in enumerate(paths)]
    return {
        os.path.realpath(path): Voice(speaker, emotion == NEUTRAL and corpus in seen)
        for table in tables
        for path, speaker, emotion, corpus in zip(*(table[name] for name in COLUMNS), strict=True)
    }


def seen(table: pd.DataFrame) -> dict[str, str] | None:
    """Corpus -> "labels"; None where it is not known of every row."""
    corpora = sorted(set(table["corpus"]))
    return None if "" in corpora else dict.fromkeys(corpora, "labels")


def held_out(table: pd.DataFrame, share: float = 0.2) -> np.ndarray:
    """(N,) True for utterances of the speakers that are kept out of training: the last of each corpus, at least one.

    Of a corpus with one speaker none is kept. Raises UpstreamError where all corpora have one: there is none to keep.
    """
    kept = np.zeros(len(table), bool)
    for corpus in sorted(set(table["corpus"])):
        rows = table[table["corpus"] == corpus]
        speakers = sorted(set(rows["speaker"]))
        number = max(1, round(share * len(speakers))) if len(speakers) > 1 else 0
        kept |= table["speaker"].isin(speakers[len(speakers) - number :]).to_numpy()
    if not kept.any():
        of = some([corpus for corpus in sorted(set(table["corpus"])) if corpus]) or "the table"
        raise UpstreamError(f"{of}: one speaker each; a corpus with two is needed, one of them to tell the error on")
    return kept


def _one(path: Path, number: int, wanted: Sequence[str] = WANTED) -> pd.DataFrame:
    """A table's files with speaker, emotion and corpus ("" where it has no such column); see `load`."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).apply(lambda column: column.str.strip())
    except (OSError, ValueError) as error:
        raise UpstreamError(f"{path}: cannot be used as a table ({error}); {MADE}") from error
    if missing := [name for name in wanted if name not in table]:
        raise UpstreamError(f"{path}: has no column {', '.join(missing)}; expected {', '.join(wanted)}; {MADE}")
    for name in wanted:
        if (empty := np.flatnonzero(table[name] == "")).size:
            raise UpstreamError(f"{path}, line {empty[0] + 2}: has no {name}; fill it in, or leave the line out")
    files = [path.parent / name for name in table["path"]]
    if gone := [str(file) for file in files if not file.is_file()]:
        raise UpstreamError(f"{path}: {len(gone)} of its audio files are not there, such as {gone[0]}")
    corpus, emotion = (table.get(name, pd.Series("", table.index)) for name in ("corpus", "emotion"))
    speaker = corpus.where(corpus != "", str(number)) + "/" + table["speaker"]
    return pd.DataFrame({"path": map(str, files), "speaker": speaker, "emotion": emotion, "corpus": corpus})
