"""The size of the feature store: what it holds, and removal of what was unused for longest."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from commons import files
from commons.errors import Refused
from upstreams.errors import UpstreamError
from upstreams.extraction.store import ABOUT, Chunk, Damaged, chunk_files, read_about
from upstreams.named import record_name_of

DAY = 24 * 3600.0
OURS = re.compile(r".*-[0-9a-f]{16}")  # names of the folders of the store
UNKNOWN = {"upstream": "unknown", "kind": "unknown", "precision": "unknown"}


@dataclass(frozen=True)
class Folder:
    """One folder of the store. `used`: when a chunk of it was last read or written (seconds since the epoch)."""

    path: Path
    upstream: str
    kind: str
    precision: str
    utterances: int
    size: int  # bytes
    used: float


@dataclass(frozen=True)
class Removal:
    """What a prune removed, or would remove."""

    files: int
    size: int  # bytes
    left: int  # bytes


def folders(cache: Path) -> list[Folder]:
    """What the store holds, largest first."""
    shown = []
    for path, about in _folders(cache):
        chunks = _chunks(path)
        shown.append(
            Folder(
                path,
                about["upstream"],
                about["kind"],
                about["precision"],
                utterances=len({key for chunk in chunks for key in _keys(chunk.path)}),
                size=sum(chunk.size for chunk in chunks),
                used=max((chunk.used for chunk in chunks), default=0.0),
            )
        )
    return sorted(shown, key=lambda folder: -folder.size)


def prune(
    cache: Path,
    older_than: float | None = None,
    max_size: int | None = None,
    upstream: str | None = None,
    dry_run: bool = False,
) -> Removal:
    """Remove chunks unused for `older_than` days, then the longest unused until `max_size` bytes are left.

    Args:
        upstream: only the features of this upstream, by its name or its name in records; without another limit, all of
            them. "unknown": those whose about.json is damaged or missing.

    Other processes may extract meanwhile: they make again what they miss. So a folder that held no chunk is left alone
    for a day: an extraction may have made it.

    Raises:
        UpstreamError: nothing says what to remove, there is nothing of that upstream, or a file cannot be removed.
    """
    if older_than is None and max_size is None and upstream is None:
        raise UpstreamError("say what to prune: --older-than DAYS, --max-size GB or --upstream NAME")
    own = [
        path
        for path, about in _folders(cache)
        if upstream in (None, about["upstream"], record_name_of(about["upstream"]))
    ]
    if upstream is not None and not own:
        held = ", ".join(sorted({about["upstream"] for _, about in _folders(cache)})) or "nothing"
        raise UpstreamError(f"the cache {cache} holds no features of {upstream!r}; it holds {held}")
    chunks = sorted((chunk for path in own for chunk in _chunks(path)), key=lambda chunk: chunk.used)
    left, removed = sum(chunk.size for chunk in chunks), []
    unbounded = older_than is None and max_size is None
    oldest = 0.0 if older_than is None else time.time() - older_than * DAY
    for chunk in chunks:
        if unbounded or chunk.used < oldest or (max_size is not None and left > max_size):
            removed.append(chunk)
            left -= chunk.size
    if not dry_run:
        filled = {chunk.path.parent for chunk in chunks}
        _remove([chunk.path for chunk in removed], [path for path in own if path in filled or _left_alone(path)])
    return Removal(len(removed), sum(chunk.size for chunk in removed), left)


@dataclass(frozen=True)
class _Chunk:
    path: Path
    size: int
    used: float


def _chunks(folder: Path) -> list[_Chunk]:
    chunks = []
    for path in chunk_files(folder):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        chunks.append(_Chunk(path, state.st_size, max(state.st_atime, state.st_mtime)))
    return chunks


def _left_alone(folder: Path) -> bool:
    """Whether nothing in a folder was made or removed for a day."""
    try:
        return time.time() - folder.stat().st_mtime > DAY
    except OSError:  # it is gone
        return False


def _remove(chunks: list[Path], own: list[Path]) -> None:
    try:
        for file in chunks:
            file.unlink(missing_ok=True)
        for path in own:
            files.sweep(path)
            if {entry.name for entry in path.iterdir()} <= {ABOUT}:
                (path / ABOUT).unlink(missing_ok=True)
                path.rmdir()
    except OSError as error:
        raise UpstreamError(f"cannot prune the cache: {error}") from error


def _names(about: dict[str, str]) -> tuple[str, str]:
    return about["upstream"], record_name_of(about["upstream"])


def _folders(cache: Path) -> list[tuple[Path, dict[str, str]]]:
    """The folders of the store, each with the content of its about.json, or UNKNOWN. Other folders are left alone."""
    try:
        paths = sorted(path for path in (cache / "features").iterdir() if OURS.fullmatch(path.name) and path.is_dir())
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise Refused(
            f"--cache {cache}: a file, or a path in one; expected the folder of the store of features"
        ) from None
    except OSError as error:
        raise UpstreamError(f"cannot read the cache folder {cache}: {error.strerror}; see --cache") from error
    return [(path, read_about(path) or UNKNOWN) for path in paths]


def _keys(file: Path) -> list[str]:
    try:
        return [row.key for row in Chunk.open(file).rows]
    except (OSError, Damaged):
        return []
