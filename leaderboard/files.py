"""Where results lie, and how a file is written so that it is always whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from leaderboard.errors import LeaderboardError

LIMITED = "limited"  # results/limited, of smoke runs, is a results folder of its own


def encode(name: str) -> str:
    """A name as one part of a path: percent-encoded, never `.`, `..` or the folder of smoke runs."""
    part = quote(name, safe="")
    if not part:
        raise LeaderboardError("an upstream, task or downstream has an empty name; give it one")
    if not part.strip(".") or part == LIMITED:
        part = f"%{ord(part[0]):02X}{part[1:]}"
    return part


def path_of(results: Path, upstream: str, task: str, downstream: str) -> Path:
    """Where the record of a cell lies."""
    return results / encode(upstream) / encode(task) / f"{encode(downstream)}.json"


def paths(results: Path) -> list[Path]:
    """All record files of a results folder, without those of its smoke runs."""
    return sorted(p for p in results.glob("*/*/*.json") if p.relative_to(results).parts[0] != LIMITED)


def write(path: Path, content: bytes) -> None:
    """Write a file so that at any moment the old or the new one is there, whole."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        raise


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Trouble with the disk, in words."""
    try:
        yield
    except OSError as error:
        raise LeaderboardError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another --results; "
            "the result that stood before still does"
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
