"""sha256 of audio files, worked out once: CACHE/packs/hashes.sqlite keeps them for as long as a file stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from commons import fileindex, hashing
from commons.fileindex import FileIndex

FILE = "hashes.sqlite"
PART = "sha256"  # of the whole file
AT_ONCE = 64  # files hashed between two writes: a killed program loses no more


def hashes(paths: Sequence[Path], place: Path, pool: ThreadPoolExecutor) -> tuple[dict[Path, str], dict[Path, str]]:
    """sha256 (hex) of each file that can be read; of the others, why not.

    Args:
        place: folder of the index; one that cannot be used is warned of, and nothing is kept.
    """
    real = {path: os.path.realpath(path) for path in paths}
    unread: dict[Path, str] = {}
    with FileIndex(place / FILE) as index:
        kept = index.known((name, PART) for name in real.values())
        digests = {path: digest for path in paths if isinstance(digest := kept.get((real[path], PART)), str)}
        fresh = [path for path in paths if path not in digests]
        for some in _parts(fresh):
            rows = []
            for path, done in zip(some, pool.map(_state_and_hash, some), strict=True):
                if isinstance(done, OSError):
                    unread[path] = f"cannot be read ({done.strerror or done})"
                else:
                    state, digests[path] = done
                    rows.append(((real[path], PART), state, digests[path]))
            index.write(rows)
    return digests, unread


def forget(path: Path, place: Path) -> None:
    """Have a file hashed again next time: what the index in the folder `place` says of it proved wrong."""
    with FileIndex(place / FILE) as index:
        index.write([((os.path.realpath(path), PART), "", "")])


def _parts(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for first in range(0, len(paths), AT_ONCE):
        yield paths[first : first + AT_ONCE]


def _state_and_hash(path: Path) -> tuple[str, str] | OSError:
    """The file's state, taken before it is read, so that a file changed meanwhile is hashed again next time."""
    try:
        return fileindex.state(path.stat()), hashing.of_file(path)
    except OSError as error:
        return error
