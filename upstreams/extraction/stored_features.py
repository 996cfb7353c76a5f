"""Features in the store, which are read when they are indexed. Extraction gives these to the heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
import numpy.typing as npt

from commons.corridors.features import Index
from upstreams.extraction.store import Chunk, Location


@dataclass(frozen=True)
class Locations:
    """Where the features of N utterances are: all chunks, and for each utterance its chunk and its row in it."""

    chunks: tuple[Chunk, ...]
    chunk: np.ndarray  # (N,) int64
    row: np.ndarray  # (N,) int64

    @classmethod
    def of(cls, locations: list[Location]) -> Locations:
        """The same from one location for each utterance."""
        chunks = list({location.chunk.path: location.chunk for location in locations}.values())
        number = {chunk.path: index for index, chunk in enumerate(chunks)}
        pairs = np.array([(number[chunk.path], row) for chunk, row in locations], dtype=np.int64).reshape(-1, 2)
        return cls(tuple(chunks), pairs[:, 0], pairs[:, 1])

    def by_chunk(self, rows: np.ndarray) -> Iterator[tuple[Chunk, np.ndarray, np.ndarray]]:
        """For each chunk that holds some of `rows`: the chunk, their positions in `rows`, their rows in the chunk."""
        order = np.argsort(self.chunk[rows], kind="stable")
        cuts = np.flatnonzero(np.diff(self.chunk[rows][order])) + 1
        for at in np.split(order, cuts) if len(rows) else []:
            yield self.chunks[self.chunk[rows[at[0]]]], at, self.row[rows[at]]


Part = int | slice


class Pooled:
    """Time-mean and time-standard-deviation (population) of every layer: (N, 2, L, D) float32, indexed like numpy.

    `pooled[rows, stat, layer]` reads from disk what it returns and no more: the values of one (stat, layer) are next to
    each other in a chunk.
    """

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, locations: Locations, depth: int, width: int) -> None:
        self._locations = locations
        self.shape: tuple[int, ...] = (len(locations.row), 2, depth, width)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, index: Index) -> np.ndarray:
        """Rows: integer, slice, integer or boolean array; stat, layer and column: integers or slices."""
        rows_index, stat, layer, column = axes(index)
        rows = np.arange(self.shape[0])[rows_index]
        flat = np.atleast_1d(rows)
        tail = np.empty(self.shape[1:], dtype=np.bool_)[stat, layer, column].shape
        out = np.empty((len(flat), *tail), dtype=np.float32)
        for chunk, at, local in self._locations.by_chunk(flat):
            # Stat, layer and column first, as views of the map (2, L, n, D): only then are rows copied.
            part = chunk.array("pooled")[stat, layer][..., column]
            utterances = part.ndim - 1 - isinstance(column, slice)
            out[at] = np.moveaxis(part, utterances, 0)[local]
        return out[0] if rows.ndim == 0 else out


def axes(index: Index) -> tuple[int | slice | np.ndarray, Part, Part, Part]:
    """An index as one for each axis; axes that it leaves out are taken whole."""
    first, *others = index if isinstance(index, tuple) else (index,)
    if len(others) > 3:
        raise IndexError(
            f"pooled features have 4 axes (utterance, statistic, layer, column), got {len(others) + 1} indices"
        )
    if isinstance(first, EllipsisType) or first is None:
        raise IndexError("the first index chooses utterances: an integer, a slice or an array")
    parts: list[Part] = []
    for part in others:
        if not isinstance(part, slice | int | np.integer):
            raise IndexError(f"statistic, layer and column take an integer or a slice, got {type(part).__name__}")
        parts.append(part)
    stat, layer, column = parts + [slice(None)] * (3 - len(parts))
    return first, stat, layer, column


class Frames:
    """Features frame by frame: `frames[i]` is (T_i, L', D) float16; `layers` are the L' layers that were kept."""

    def __init__(self, locations: Locations, layers: tuple[int, ...]) -> None:
        self._locations, self.layers = locations, layers
        self._lengths = [np.array(chunk.array("lengths")) for chunk in locations.chunks]
        self._starts = [np.concatenate([[0], np.cumsum(lengths)]) for lengths in self._lengths]
        counts = [self._lengths[chunk][row] for chunk, row in zip(locations.chunk, locations.row, strict=True)]
        self.offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)  # (N + 1,)

    def __len__(self) -> int:
        return len(self._locations.row)

    def __getitem__(self, index: int) -> np.ndarray:
        chunk, row = self._locations.chunk[index], self._locations.row[index]
        start, stop = self._starts[chunk][row : row + 2]
        return np.array(self._locations.chunks[chunk].array("frames")[start:stop])
