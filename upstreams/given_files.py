"""Files of features that were extracted elsewhere: a folder of .npy files, one .npz, or one Parquet file.

Arrays are read one at a time, so that memory does not grow with the corpus. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from commons import hashing
from commons.errors import Refused, some
from upstreams.errors import UpstreamError

if TYPE_CHECKING:
    import pyarrow

NUMBERS = "fiu"  # numpy's kinds of real numbers
BATCH = 256  # rows of a Parquet file that are read at once
PICKLED = "arrays of numbers are read, pickled objects never"


class GivenFiles(Protocol):
    """The arrays of features by their names."""

    names: tuple[str, ...]

    def read(self, names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        """The arrays of some names, each once, in an order that is quick to read. Raises UpstreamError."""
        ...

    def place(self, name: str) -> str:
        """Where the array of a name lies, for messages."""
        ...

    def hashes(self) -> list[tuple[str, str]]:
        """The files, and the sha256 of each."""
        ...


def opened(path: Path) -> GivenFiles:
    """The arrays of a folder or file, of which names alone are read.

    Raises:
        Refused: it holds no features.
        UpstreamError: it cannot be read.
    """
    if path.is_dir():
        return NpyFolder(path)
    kinds: dict[str, type[Npz] | type[Parquet]] = {".npz": Npz, ".parquet": Parquet}
    if path.suffix.casefold() not in kinds:
        raise Refused(f"{path}: expected a folder with one .npy an utterance, or a file .npz or .parquet")
    return kinds[path.suffix.casefold()](path)


def frames_of(array: np.ndarray, place: str) -> np.ndarray:
    """An array of one utterance as (L, T, D) float32; (D,) is one frame of one layer, (T, D) one layer.

    Raises:
        UpstreamError: it has another shape, no numbers, or numbers that are not finite.
    """
    if array.dtype.kind not in NUMBERS:
        raise UpstreamError(f"{place}: holds {array.dtype}, and features are real numbers")
    if array.ndim not in (1, 2, 3) or not all(array.shape):
        raise UpstreamError(
            f"{place}: has the shape {array.shape}; expected (D,), (T, D) or (L, T, D), each of at least 1"
        )
    with np.errstate(over="ignore"):
        frames = np.asarray(array, dtype=np.float32)
    if not np.isfinite(frames).all():
        raise UpstreamError(f"{place}: holds NaN or infinite values; extract this utterance again")
    return frames.reshape((1,) * (3 - array.ndim) + array.shape)


def unreadable(place: str | Path, error: Exception) -> UpstreamError:
    """The error for a file that is damaged, or holds something else."""
    return UpstreamError(f"{place}: cannot be read ({error}); {PICKLED}")


class NpyFolder:
    """One .npy file an utterance, in folders below as well; a name is a path without .npy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = sorted(path for path in folder.rglob("*.npy") if path.is_file())
        self._files = {path.relative_to(folder).as_posix().removesuffix(".npy"): path for path in files}
        self.names = tuple(self._files)
        if not files:
            raise Refused(f"{folder}: holds no .npy file; expected one an utterance, named by its id")

    def read(self, names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        for name in names:
            try:
                yield name, np.load(self._files[name], mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise unreadable(self._files[name], error) from error

    def place(self, name: str) -> str:
        return str(self._files[name])

    def hashes(self) -> list[tuple[str, str]]:
        return [(name, hashing.of_file(path)) for name, path in self._files.items()]


class Npz:
    """One .npz file with an array an utterance."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with np.load(file, allow_pickle=False) as archive:
                self.names = tuple(archive.files)
        except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise unreadable(file, error) from error
        if not self.names:
            raise Refused(f"{file}: holds no array; expected one an utterance, named by its id")

    def read(self, names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        with np.load(self._file, allow_pickle=False) as archive:
            for name in names:
                try:
                    array: np.ndarray = archive[name]
                except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                    raise unreadable(self.place(name), error) from error
                yield name, array

    def place(self, name: str) -> str:
        return f"{self._file}, array {name}"

    def hashes(self) -> list[tuple[str, str]]:
        return [(self._file.suffix, hashing.of_file(self._file))]


class Parquet:
    """One Parquet file: column `id`, and one column of lists, or a column of numbers for each of the D values."""

    def __init__(self, file: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        self._file = file
        try:
            with parquet.ParquetFile(file) as table:
                schema = table.schema_arrow
                if "id" not in schema.names:
                    raise Refused(f"{file}: has no column id (it has {some(schema.names)}); add the ids")
                ids = table.read(columns=["id"])
        except (OSError, pyarrow.ArrowException) as error:
            raise unreadable(file, error) from error
        self._columns = [name for name in schema.names if name != "id"]
        self._lists = len(self._columns) == 1 and _is_list(schema.field(self._columns[0]).type)
        other = [name for name in self._columns if not _is_number(schema.field(name).type)]
        if not self._columns or (other and not self._lists):
            raise Refused(
                f"{file}: beside id, expected one column of lists or else columns of numbers alone; it has "
                f"{some(other or self._columns)}"
            )
        self.names = tuple(map(str, ids["id"].to_pylist()))
        if twice := [name for name, count in Counter(self.names).items() if count > 1]:
            raise Refused(f"{file}: holds the id {twice[0]!r} more than once")

    def read(self, names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        import pyarrow
        from pyarrow import parquet

        wanted = set(names)
        try:
            with parquet.ParquetFile(self._file) as table:
                for batch in table.iter_batches(BATCH):
                    ids = [str(name) for name in batch["id"].to_pylist()]
                    rows = [row for row, name in enumerate(ids) if name in wanted]
                    own = [ids[row] for row in rows]
                    yield from zip(own, self._arrays(batch.take(rows), own), strict=True)
        except (OSError, pyarrow.ArrowException) as error:
            raise unreadable(self._file, error) from error

    def _arrays(self, batch: pyarrow.RecordBatch, ids: Sequence[str]) -> Iterator[np.ndarray]:
        if not self._lists:
            yield from np.stack([_numbers(batch[column]) for column in self._columns], axis=1)
            return
        column = batch[self._columns[0]]
        for row, name in enumerate(ids):
            yield _dense(column.slice(row, 1), self.place(name))[0]

    def place(self, name: str) -> str:
        return f"{self._file}, id {name}"

    def hashes(self) -> list[tuple[str, str]]:
        return [(self._file.suffix, hashing.of_file(self._file))]


def _dense(column: pyarrow.Array, place: str) -> np.ndarray:
    """A column of lists, or of lists of lists ..., as one array. Raises UpstreamError: lists have several lengths."""
    from pyarrow import compute

    if not _is_list(column.type):
        if not _is_number(column.type):
            raise UpstreamError(f"{place}: holds {column.type}, and features are real numbers")
        return _numbers(column)
    lengths = set(compute.list_value_length(column).to_pylist())
    if None in lengths:
        raise UpstreamError(f"{place}: holds an empty cell; extract this utterance again")
    if len(lengths) > 1:
        raise UpstreamError(f"{place}: holds lists of {min(lengths)} to {max(lengths)} values; make them of one length")
    inner = _dense(column.flatten(), place)
    return inner.reshape(len(column), *lengths, *inner.shape[1:]) if len(column) else np.zeros((0, 0))


def _numbers(column: pyarrow.Array) -> np.ndarray:
    """A column of numbers; an empty cell is NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _is_list(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))
