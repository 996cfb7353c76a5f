"""The Parquet files of a cell: its predictions, and the vectors that UMAP pictures show."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import File, Record, Task
from commons.corridors.utterances import PEOPLE, VOTES
from commons.files import write
from commons.hashing import of_file
from commons.marks import UNVERIFIED
from leaderboard.errors import LeaderboardError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from commons.corridors.predictions import Predictions

CHANGED = "its sha256 is not the recorded one; run the cell again with --force"
KEPT = ("speaker", "gender", "language", "dialogue", "corpus")
FACTS = (
    "intensity",
    "style",
    "session",
    "sentence",
    *PEOPLE,
)  # in a file of their own, since predictions are compared by bytes


def kept(task: Task) -> list[str]:
    """Columns of the utterances that are stored beside predictions, where a corpus has them."""
    votes = [f"{VOTES}{name}" for name in task.classes] if task.kind == "distribution" else []
    return list(dict.fromkeys((*KEPT, *task.pairs, *votes)))


def columns_of(utterances: pd.DataFrame, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of some columns that the utterances have, as predictions are stored with them: votes are numbers."""
    return {
        name: utterances[name].to_numpy(dtype="float64" if name.startswith(VOTES) else object)
        for name in names
        if name in utterances
    }


def predictions_table(
    predictions: Predictions, task: Task, utterances: pd.DataFrame, groups: np.ndarray
) -> pd.DataFrame:
    """The table that is stored and scored: predictions with group, speaker and the like, and every layer's prediction.

    Raises:
        LeaderboardError: the predictions do not fit the task or the utterances.
    """
    import numpy as np
    import pandas as pd

    from leaderboard.records.scoring import check

    table = predictions.table.reset_index(drop=True)
    if missing := {"id", "seed"} - set(table):
        raise LeaderboardError(f"predictions: the table lacks {', '.join(sorted(missing))}")
    rows = utterances.index.get_indexer(pd.Index(table["id"]))
    if (rows < 0).any():
        raise LeaderboardError(f"predictions: {table['id'].iloc[int(np.argmin(rows))]!r} is no id of the utterances")
    if len(groups) != len(utterances):
        raise LeaderboardError(f"record: {len(groups)} groups for {len(utterances)} utterances; one each is expected")
    added = {"group": np.asarray(groups, dtype=object)[rows]}
    added |= {name: column[rows] for name, column in columns_of(utterances, kept(task)).items()}
    table = table.assign(**added)
    check(table, task)
    if predictions.by_layer is None:
        return table
    first = (table["seed"] == table["seed"].min()).to_numpy()
    if len(predictions.by_layer[0]) != first.sum():
        width = len(predictions.by_layer[0])
        raise LeaderboardError(f"record: by_layer has {width} columns; the first seed tests {first.sum()} utterances")
    names = np.array(task.classes, dtype=object)
    layers = {}
    for layer, values in enumerate(predictions.by_layer):
        column = np.full(len(table), None if task.classes else np.nan, dtype=object if task.classes else np.float32)
        column[first] = names[values] if task.classes else values
        layers[f"layer:{layer}"] = column
    return table.assign(**layers)


def extended(before: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """A stored table with the predictions of later seeds; predictions by layer are of the first seed alone."""
    import pandas as pd

    more = more[[name for name in more.columns if not str(name).startswith("layer:")]]
    return pd.concat([before, more], ignore_index=True)


def vectors_table(table: pd.DataFrame, pooled: np.ndarray | None, outputs: np.ndarray | None) -> pa.Table | None:
    """What pictures need of each test utterance of the first seed, or None where there is nothing."""
    import pyarrow as pa

    parts = {name: part for name, part in (("pooled", pooled), ("output", outputs)) if part is not None}
    if not parts:
        return None
    first = table[table["seed"] == table["seed"].min()]
    columns = {"id": pa.array(first["id"].astype(str)), "fold": pa.array(first["fold"].astype(str))}
    for name, part in parts.items():
        if len(part) != len(first):
            raise LeaderboardError(f"record: {name} has {len(part)} rows; the first seed tests {len(first)} utterances")
        flat = pa.array(part.astype("float16", copy=False).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, part.shape[1])
    return pa.table(columns)


def facts_table(table: pd.DataFrame, utterances: pd.DataFrame) -> pd.DataFrame | None:
    """What the corpus tells of each test utterance besides the columns of its predictions; None where it is nothing."""
    import pandas as pd

    names = [name for name in FACTS if name in utterances and name not in table]
    if not names:
        return None
    ids = pd.Index(table["id"].unique(), name="id")
    return utterances.loc[ids, names].astype("string").reset_index()


def arrow(table: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)


def save(record: Path, ending: str, content: pa.Table) -> File:
    """Write a Parquet file beside a record, and return what the record says of it."""
    file, data = packed(record.stem, ending, content)
    write(record.parent / file.name, data)
    return file


def packed(stem: str, ending: str, content: pa.Table) -> tuple[File, bytes]:
    """A Parquet file and its bytes; it is named after them, so that a record never names other bytes than its own."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(content, stream, compression="zstd")
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    name = f"{stem}.{digest[:12]}.{ending}"
    return File(name=name, sha256=digest, bytes=len(data), rows=content.num_rows), data


def read(path: Path, record: Record, columns: list[str] | None = None) -> pd.DataFrame:
    """The predictions that the record at `path` names; all columns, or those that are asked for.

    Raises:
        LeaderboardError: they cannot be read, are not those that were recorded, or were brought without targets.
    """
    if UNVERIFIED in record.marks:
        raise LeaderboardError(
            f"{path}: {UNVERIFIED}: it was brought without targets; `python -m leaderboard merge --data` adds them "
            "from a copy of the corpus"
        )
    return stored(path, record, columns)


def stored(path: Path, record: Record, columns: list[str] | None = None) -> pd.DataFrame:
    """The predictions as `read` returns them, of unverified records too, whose tables lack targets.

    Raises:
        LeaderboardError: they cannot be read, or are not those that were recorded.
    """
    return table_of(path, record.files.predictions, columns)


def table_of(path: Path, file: File, columns: list[str] | None = None) -> pd.DataFrame:
    """The table in a file beside the record at `path`; all columns, or those that are asked for.

    Raises:
        LeaderboardError: it cannot be read, or is not the one that was recorded.
    """
    import pyarrow.parquet as pq

    beside = path.parent / file.name
    with _readable(beside):
        return pq.read_table(_checked(beside, file), columns=columns).to_pandas()


def facts(path: Path, record: Record) -> pd.DataFrame | None:
    """What the record at `path` tells of its utterances, by id; None where that is nothing. Raises LeaderboardError."""
    table = _table(path, record.files.facts)
    return None if table is None else table.set_index("id")


def held_out(path: Path, record: Record) -> pd.DataFrame | None:
    """What the head predicted for utterances held out of its training; None where it is not known.

    Raises:
        LeaderboardError: the file cannot be read, or is not the recorded one.
    """
    return _table(path, record.files.held_out)


def _table(path: Path, file: File | None) -> pd.DataFrame | None:
    import pyarrow.parquet as pq

    if file is None:
        return None
    with _readable(path.parent / file.name):
        return pq.read_table(_checked(path.parent / file.name, file)).to_pandas()


def holds(path: Path, record: Record, column: str) -> bool:
    """Whether the record at `path` names vectors, and these have the column: `pooled` or `output`.

    Raises:
        LeaderboardError: they cannot be read, or are not those that were recorded.
    """
    import pyarrow.parquet as pq

    if record.files.vectors is None:
        return False
    beside = path.parent / record.files.vectors.name
    with _readable(beside):
        return column in pq.read_schema(_checked(beside, record.files.vectors)).names


def _checked(beside: Path, file: File) -> io.BytesIO:
    """The bytes of a file that a record names. A flipped bit may leave readable Parquet with other figures.

    Raises:
        LeaderboardError: their sha256 is not the recorded one.
    """
    data = beside.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise LeaderboardError(f"{beside}: {CHANGED}")
    return io.BytesIO(data)


def vectors(path: Path, record: Record, column: str, utterances: pd.Index, fold: str | None) -> np.ndarray:
    """(N, D) float16 vectors of these utterances, as tested in a fold or (None) in the first that has them.

    Raises:
        LeaderboardError: the file cannot be read, or lacks an utterance.
    """
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    if record.files.vectors is None:
        raise LeaderboardError(f"{path}: names no vectors for pictures; run the cell again with --force")
    beside = path.parent / record.files.vectors.name
    with _readable(beside):
        table = pq.read_table(_checked(beside, record.files.vectors), columns=["id", "fold", column])
    ids, folds = (table[name].to_pandas().to_numpy(dtype=object) for name in ("id", "fold"))
    rows = np.arange(len(ids)) if fold is None else np.flatnonzero(folds == fold)
    index = pd.Series(rows, index=ids[rows])
    places = index[~index.index.duplicated()].reindex(utterances)
    if places.isna().any():
        raise LeaderboardError(f"{beside}: lacks {utterances[places.isna()][0]!r}; run the cell again")
    values = table[column].combine_chunks()
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), -1)[places.to_numpy(dtype=int)]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise LeaderboardError(
            f"{path}: no readable Parquet ({str(error).splitlines()[0]}); run the cell again"
        ) from None


def named(record: Record) -> list[File]:
    """All files that a record names."""
    return [*record.files.all, *(one.file for one in record.further.values())]


def damaged(path: Path, record: Record, *, contents: bool = False) -> list[str]:
    """What is wrong with the files that a record names; their sha256 only with `contents`."""
    return [line for file in named(record) if (line := _damage(path, file, contents=contents))]


def damaged_predictions(path: Path, record: Record) -> list[str]:
    """What is wrong with the predictions that the record at `path` names, their sha256 too."""
    line = _damage(path, record.files.predictions, contents=True)
    return [line] if line else []


def _damage(path: Path, file: File, *, contents: bool) -> str:
    beside = path.parent / file.name
    try:
        if Path(file.name).name != file.name or not beside.is_file():
            return f"{path}: names {file.name}, which is not there; run the cell again"
        if (size := beside.stat().st_size) != file.bytes:
            return f"{beside}: {size} bytes where its record says {file.bytes}; run the cell again"
        return f"{beside}: {CHANGED}" if contents and of_file(beside) != file.sha256 else ""
    except OSError as error:
        return f"{beside}: cannot be read ({error.strerror}); run the cell again"
