"""The utterance table, which upstreams get from this room."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from commons.corridors.utterances import COLUMNS, PEOPLE, VOTES
from tasks.errors import TaskError


def without_slashes(name: str) -> str:
    """A name or a path as an id: ids are parts of file names, too."""
    return name.replace("/", "-").replace("\\", "-")


def table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """A reader's rows as the utterance table, sorted by id; columns without any value are left out.

    Args:
        rows: one mapping an utterance: `id`, any of `COLUMNS` and `PEOPLE`, and `votes:<class>`; `path` is an absolute
            pathlib.Path, or None in all rows; `labels` may name the file that the row came from; messages name it.

    Raises:
        TaskError: two rows have the same id (both files are named), an id has a slash, or a path leads out of the
            corpus.
    """
    origin: dict[str, object] = {}
    here, paths = os.getcwd(), []
    for row in rows:
        utterance, path = str(row["id"]), str(row.get("path") or "")
        source = row.get("labels", path)
        if utterance in origin:
            raise TaskError(f"utterance {utterance!r} occurs twice: in {origin[utterance]} and in {source}")
        if utterance != without_slashes(utterance):
            raise TaskError(f"{source}: the id {utterance!r} has a slash, which ids may not have; put - in its place")
        if ".." in path.split(os.sep):
            raise TaskError(f"{source}: utterance {utterance!r} points outside its corpus ({path})")
        origin[utterance] = source
        paths.append(os.path.join(here, path) if path else None)
    there: set[str] = set().union(*rows)
    columns = [
        *(column for column in (*COLUMNS, *PEOPLE) if column in there),
        *sorted(c for c in there if c.startswith(VOTES)),
    ]
    frame = pd.DataFrame(
        {column: [row.get(column) for row in rows] for column in columns},
        index=pd.Index(list(origin), name="id", dtype=str),
    )
    if "path" in frame:
        frame["path"] = paths
    return frame.dropna(axis="columns", how="all").sort_index()
