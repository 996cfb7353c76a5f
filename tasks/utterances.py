"""The utterance table: what this room hands to upstreams."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tasks.errors import TaskError

# What a corpus may say of an utterance. A column that it does not know is absent.
COLUMNS = (
    "path",
    "start",
    "end",
    "channel",
    "speaker",
    "gender",
    "language",
    "emotion",
    "votes",
    "vote",
    "intensity",
    "valence",
    "arousal",
    "dominance",
    "sentiment",
    "polarity",
    "sentence",
    "text",
    "phonemes",
    "dialogue",
    "turn",
    "session",
    "style",
    "partition",
    "fold",
)


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A reader's rows as the utterance table, sorted by id; columns without any value are left out.

    Args:
        rows: one mapping an utterance: `id`, `path` (absolute pathlib.Path) and any of `COLUMNS`; `labels` may
            name the file that the row came from, for messages.

    Raises:
        TaskError: two rows have the same id (names both files), or an id or path points elsewhere.
    """
    origin: dict[str, Any] = {}
    for row in rows:
        utterance, path = row["id"], row["path"]
        source = row.get("labels", path)
        if utterance in origin:
            raise TaskError(f"utterance {utterance!r} occurs twice: in {origin[utterance]} and in {source}")
        if ".." in str(path).split(os.sep) or "/" in utterance or "\\" in utterance:
            raise TaskError(f"{source}: utterance {utterance!r} points outside its corpus ({path})")
        origin[utterance] = source
    frame = pd.DataFrame(
        {column: [row.get(column) for row in rows] for column in COLUMNS},
        index=pd.Index([row["id"] for row in rows], name="id", dtype=str),
    )
    frame["path"] = [os.path.join(os.getcwd(), row["path"]) for row in rows]
    return frame.dropna(axis="columns", how="all").sort_index()
