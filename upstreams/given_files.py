"""Files of features that were extracted elsewhere: a folder of .npy files, one .npz, or one Parquet file.

Arrays are read one at a time, so that memory does not grow with the corpus. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from commons import hashing
from commons.errors import Refused
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
                self._columns = [name for name in table.schema_arrow.names if name != "id"]
                lists = [name for name in self._columns if _is_list(table.schema_arrow.field(name).type)]
                ids = table.read(columns=["id"]) if len(self._columns) < len(table.schema_arrow.names) else None
        except (OSError, pyarrow.ArrowException) as error:
            raise unreadable(file, error) from error
        if ids is None or not self._columns or (lists and len(self._columns) > 1):
            raise Refused(f"{file}: expected a column `id`, and one column of lists or else columns of numbers")
        self._lists = bool(lists)
        self.names = tuple(map(str, ids["id"].to_pylist()))
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise Refused(f"{file}: holds the id {twice!r} more than once")

    def read(self, names: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
        import pyarrow
        from pyarrow import parquet

        wanted = set(names)
        try:
            with parquet.ParquetFile(self._file) as table:
                for batch in table.iter_batches(BATCH):
                    for row, name in enumerate(map(str, batch["id"].to_pylist())):
                        if name in wanted:
                            yield name, self._array(batch, row)
        except (OSError, ValueError, TypeError, pyarrow.ArrowException) as error:
            raise unreadable(self._file, error) from error

    def _array(self, batch: pyarrow.RecordBatch, row: int) -> np.ndarray:
        if self._lists:
            return np.array(batch[self._columns[0]][row].as_py(), dtype=np.float64)
        return np.array([batch[column][row].as_py() for column in self._columns], dtype=np.float64)

    def place(self, name: str) -> str:
        return f"{self._file}, id {name}"

    def hashes(self) -> list[tuple[str, str]]:
        return [(self._file.suffix, hashing.of_file(self._file))]


def _is_list(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
