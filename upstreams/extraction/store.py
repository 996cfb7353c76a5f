"""The feature store: chunk files addressed by their content, shared by processes, safe to kill at any moment.

    CACHE/features/<upstream>-<16 hex>/about.json               what made these features
    CACHE/features/<upstream>-<16 hex>/<32 hex>.safetensors     a chunk; named by the sha256 of its bytes

A chunk holds the features of some utterances, each under a key: a hash of everything that its features depend on.
Chunks are never changed. A chunk whose hash is not its name is damaged: it is removed, and its features are made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol
from urllib.parse import quote

import numpy as np

from commons import files, hashing
from commons.errors import Notice
from upstreams.errors import UpstreamError

VERSION = 1  # of the layout and of pooling; part of every key
ABOUT = "about.json"
SUFFIX = ".safetensors"
DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8")}
MAX_HEADER = 1 << 26


class Damaged(Exception):
    """A chunk file whose content does not fit its name."""


class Verified:
    """The chunk files whose hash was compared with their names, each with its size and time stamp at that moment.

    So each file is hashed once, and not at every use.
    """

    def __init__(self) -> None:
        self._states: dict[str, tuple[int, int]] = {}

    def verify(self, chunk: Path) -> None:
        """Compare the hash of a file with its name, unless that was done and size and time stamp are the same since.

        Raises:
            Damaged: they differ.
            OSError: the file cannot be read.
        """
        state = os.stat(chunk)
        now = (state.st_size, state.st_mtime_ns)
        if self._states.get(str(chunk)) == now:
            return
        if hashing.of_file(chunk)[:32] != chunk.stem:
            raise Damaged(chunk)
        self._states[str(chunk)] = now


class Keyed(Protocol):
    """An utterance as keys see it: facts of it, and the rule by which they become what a model takes."""

    rule: ClassVar[str]

    @property
    def content(self) -> tuple[object, ...]: ...


class Row(NamedTuple):
    """One utterance of a chunk: its key, and whether it was zero-padded (audio) or cut into windows."""

    key: str
    padded: bool
    windowed: bool


@dataclass(frozen=True)
class Kept:
    """What one folder of the store holds: of which upstream, at which precision, and what is kept of its output."""

    upstream: str
    fingerprint: str
    precision: str
    kind: str  # of commons.corridors.features.NEEDS
    depth: int
    width: int
    rule: str = ""  # by which frames are chosen for pooling, see pooling.py

    @property
    def layers(self) -> tuple[int, ...]:
        return (self.depth - 1,) if self.kind == "frames:last" else tuple(range(self.depth))

    def folder(self, cache: Path) -> Path:
        """The folder of the store; of weights that were extracted under another name, such as another path, theirs."""
        digest = _digest(self.fingerprint, self._made, self.precision, VERSION)[:16]
        place = cache / "features"
        own = place / f"{quote(self.upstream, safe='')[:160]}-{digest}"
        return own if own.is_dir() else min(place.glob(f"*-{digest}"), default=own)

    def key(self, one: Keyed) -> str:
        """32 hex digits over all that the features of this utterance depend on."""
        return _digest(one.content, one.rule, self.fingerprint, self._made, self.precision, VERSION)[:32]

    @property
    def _made(self) -> str:
        return f"{self.kind}: {self.rule}" if self.rule else self.kind


@dataclass(frozen=True)
class Chunk:
    """A chunk file: its rows, and where in the file its tensors begin."""

    path: Path
    rows: tuple[Row, ...]
    tensors: dict[str, tuple[np.dtype, tuple[int, ...], int]]  # name -> dtype, shape, offset in bytes
    verified: Verified = field(default_factory=Verified, compare=False)

    @classmethod
    def open(cls, path: Path, verified: Verified | None = None) -> Chunk:
        """The chunk of a file. Only the header is read. Raises Damaged, OSError."""
        try:
            with open(path, "rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size)) if 0 < size < MAX_HEADER else {}
            rows = tuple(Row(*row) for row in json.loads(header.pop("__metadata__")["rows"]))
            tensors = {
                name: (DTYPES[entry["dtype"]], tuple(entry["shape"]), 8 + size + entry["data_offsets"][0])
                for name, entry in header.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise Damaged(path) from error
        return cls(path, rows, tensors, verified or Verified())

    def verify(self) -> None:
        """Compare the hash of the file with its name, unless that was done before. Raises Damaged, OSError."""
        self.verified.verify(self.path)

    def array(self, name: str) -> np.ndarray:
        """A tensor, memory-mapped. Raises UpstreamError: the file was removed or changed after extraction."""
        try:
            self.verify()
            dtype, shape, offset = self.tensors[name]
            return np.memmap(self.path, dtype, "r", offset, shape)
        except (OSError, Damaged) as error:
            raise UpstreamError(f"{self.path} was removed or damaged while in use; run again") from error


class Location(NamedTuple):
    """Where the features of an utterance are: a chunk and a row of it."""

    chunk: Chunk
    row: int


class Store:
    """One folder of chunks, as this process last saw it, and those of caches below, which are only read."""

    def __init__(self, cache: Path, kept: Kept, verified: Verified | None = None, below: Sequence[Path] = ()) -> None:
        """
        Args:
            verified: chunks that need not be hashed again.
            below: caches whose chunks are read as well.
        """
        self.kept, self.folder, self._verified = kept, kept.folder(cache), verified or Verified()
        self._below = [kept.folder(one) for one in below]
        self._damaged: set[Path] = set()  # in caches below, where they stay
        self._chunks: dict[str, Chunk] = {}
        self._locations: dict[str, Location] = {}
        self._touched: set[str] = set()

    def refresh(self) -> None:
        """List the chunks that any process has written since."""
        for path in (path for folder in (self.folder, *self._below) for path in chunk_files(folder)):
            if path.name in self._chunks or path in self._damaged:
                continue
            try:
                chunk = Chunk.open(path, self._verified)
            except FileNotFoundError:
                continue
            except Damaged:
                self._discard(path)
                continue
            except OSError as error:
                raise UpstreamError(f"cannot read the cache: {path}: {error.strerror}; see --cache") from error
            self._chunks[path.name] = chunk
            for index, row in enumerate(chunk.rows):
                self._locations.setdefault(row.key, Location(chunk, index))

    def find(self, keys: Collection[str]) -> dict[str, Location]:
        """Where the features of keys are, for the keys that are there. Removes damaged chunks, with a warning."""
        self.refresh()
        locations = {key: self._locations[key] for key in keys if key in self._locations}
        used = {location.chunk.path: location.chunk for location in locations.values()}
        lost = [chunk for chunk in used.values() if not self._whole(chunk)]
        if not lost:
            return locations
        self._forget(lost)
        return self.find(keys)  # another chunk may hold the same keys

    def holds(self, key: str) -> bool:
        """Whether the store had the key when it was last listed."""
        return key in self._locations

    def _whole(self, chunk: Chunk) -> bool:
        try:
            chunk.verify()
        except FileNotFoundError:
            return False
        except Damaged:
            self._discard(chunk.path)
            return False
        except OSError as error:
            raise UpstreamError(f"cannot read the cache: {chunk.path}: {error.strerror}; see --cache") from error
        if chunk.path.name not in self._touched:
            self._touched.add(chunk.path.name)
            if chunk.path.parent == self.folder:
                touch(chunk.path)
        return True

    def _forget(self, lost: list[Chunk]) -> None:
        for chunk in lost:
            del self._chunks[chunk.path.name]
        self._locations = {}
        for other in self._chunks.values():
            for index, row in enumerate(other.rows):
                self._locations.setdefault(row.key, Location(other, index))

    def _discard(self, path: Path) -> None:
        if path.parent != self.folder:
            self._damaged.add(path)
            warnings.warn(
                f"{path} is damaged, and in a cache that is only read; its features are made again",
                Notice,
                stacklevel=3,
            )
            return
        warnings.warn(f"removed a damaged file of features, {path}; its features are made again", Notice, stacklevel=3)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UpstreamError(f"cannot remove the damaged file {path}: {error.strerror}; see --cache") from error

    def prepare(self) -> None:
        """Make the folder with its about.json; remove what killed processes left half written. Raises UpstreamError."""
        try:
            _make(self.folder, self.kept)
            files.sweep(self.folder)
        except OSError as error:
            raise unwritable(self.folder, error) from error


def _make(folder: Path, kept: Kept) -> None:
    """Make a folder with its about.json, where they are absent. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    if read_about(folder) is None:
        files.write(folder / ABOUT, json.dumps({**vars(kept), "version": VERSION}, indent=1))


def write_chunk(folder: Path, kept: Kept, rows: list[Row], tensors: dict[str, np.ndarray]) -> Path:
    """Write a chunk whole or not at all. Raises UpstreamError for a full or read-only disk."""
    from safetensors.numpy import save

    saved = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}  # `save` ignores strides
    content = save(saved, metadata={"rows": json.dumps(rows)})
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{SUFFIX}"
    try:
        try:
            files.write(path, content)
        except FileNotFoundError:  # a prune has removed the folder since it was made
            _make(folder, kept)
            files.write(path, content)
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def chunk_files(folder: Path) -> Iterator[Path]:
    """Chunk files of a folder, in the order of their names; none if it is not there."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UpstreamError(f"cannot read the cache folder {folder}: {error.strerror}; see --cache") from error
    yield from (folder / name for name in names if name.endswith(SUFFIX))


def read_about(folder: Path) -> dict[str, str] | None:
    """`upstream`, `kind` and `precision` of a folder's features, from its about.json; None: that cannot be read."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        return {name: str(about[name]) for name in ("upstream", "kind", "precision")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def touch(path: Path) -> None:
    """Set the access time of a file, and keep its modification time; does nothing in a read-only cache."""
    try:
        os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))
    except OSError:
        return


def unwritable(folder: Path, error: OSError) -> UpstreamError:
    return UpstreamError(
        f"cannot write features to {folder}: {error.strerror or error}; free space "
        "(python -m upstreams cache prune), or name another folder with --cache; finished features are kept"
    )


def _digest(*facts: object) -> str:
    return hashing.of_json(facts)
