"""The table that strength is learnt from: CSV with columns path, speaker, emotion and, if it is known, corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from upstreams.errors import UpstreamError

NEUTRAL = "neutral"
WANTED = ("path", "speaker", "emotion")
MADE = "`python -m tasks table` writes such tables"


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """One table of all files, with columns path, speaker, emotion and corpus ("" where a file has none).

    Paths are relative to the file's folder. Speakers of two files are never one. Raises UpstreamError: no such file,
    columns or values missing, an audio file missing, or no speaker with neutral and emotional utterances.
    """
    table = pd.concat([_one(path) for path in paths], ignore_index=True)
    pairs = [speaker for speaker, emotions in table.groupby("speaker")["emotion"] if _both(emotions)]
    if not pairs:
        raise UpstreamError(
            f"{', '.join(map(str, paths))}: no speaker has both {NEUTRAL!r} and other emotions, so there is nothing to "
            f"rank; the word in the column emotion has to be {NEUTRAL!r}"
        )
    return table


def seen(table: pd.DataFrame) -> dict[str, str] | None:
    """Corpus -> "labels"; None where it is not known of every row."""
    corpora = sorted(set(table["corpus"]))
    return None if "" in corpora else dict.fromkeys(corpora, "labels")


def held_out(table: pd.DataFrame, share: float = 0.2) -> np.ndarray:
    """(N,) True for utterances of the speakers kept for choosing the epoch: the last of each corpus, at least one.

    Raises UpstreamError where a corpus has one speaker, so that none would be left to train on.
    """
    kept = np.zeros(len(table), bool)
    for corpus in sorted(set(table["corpus"])):
        rows = table[table["corpus"] == corpus]
        speakers = sorted(set(rows["speaker"]))
        if len(speakers) == 1 and table["corpus"].nunique() == 1:
            raise UpstreamError(f"{corpus or 'the table'} has one speaker; two are needed, one of them to choose by")
        number = max(1, round(share * len(speakers))) if len(speakers) > 1 else 0
        kept |= table["speaker"].isin(speakers[len(speakers) - number :]).to_numpy()
    return kept


def _both(emotions: pd.Series) -> bool:
    return bool((emotions == NEUTRAL).any() and (emotions != NEUTRAL).any())


def _one(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UpstreamError(f"{path}: cannot be used as a table ({error}); {MADE}") from error
    if missing := [name for name in WANTED if name not in table]:
        raise UpstreamError(f"{path}: has no column {', '.join(missing)}; expected {', '.join(WANTED)}; {MADE}")
    for name in WANTED:
        if (empty := np.flatnonzero(table[name] == "")).size:
            raise UpstreamError(f"{path}, line {empty[0] + 2}: has no {name}; fill it in, or leave the line out")
    files = [path.parent / name for name in table["path"]]
    if gone := [str(file) for file in files if not file.is_file()]:
        raise UpstreamError(f"{path}: {len(gone)} of its audio files are not there, such as {gone[0]}")
    corpus = table.get("corpus", pd.Series("", table.index))
    speaker = corpus.where(corpus != "", path.stem) + "/" + table["speaker"]
    return pd.DataFrame(
        {"path": [str(f) for f in files], "speaker": speaker, "emotion": table["emotion"].str.strip(), "corpus": corpus}
    )
