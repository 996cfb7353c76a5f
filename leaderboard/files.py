"""Where results lie, and how a file is written so that it is always whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from leaderboard.errors import LeaderboardError

LIMITED = "limited"  # results/limited, of smoke runs, is a results folder of its own
LONGEST = 150  # bytes of an encoded name; file systems allow 255, and the names of Parquet files add to it
DAY = 86400.0  # s


def encode(name: str) -> str:
    """A name as one part of a path: percent-encoded, never `.`, `..` or the folder of smoke runs.

    What is too long for a file system is cut and gets a hash of the name after a `+`, which no encoded name has.
    """
    part = quote(name, safe="")
    if not part:
        raise LeaderboardError("an upstream, task or downstream has an empty name; give it one")
    if not part.strip(".") or part == LIMITED:
        part = f"%{ord(part[0]):02X}{part[1:]}"
    if len(part) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        part = f"{part[: LONGEST - 1 - len(digest)]}+{digest}"
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


def sweep(record: Path, named: set[str]) -> None:
    """Remove what killed runs and full disks left beside a record, more than a day ago.

    That is temporary files, and Parquet files of this head that are not in `named`. Younger ones may belong to a
    process that is about to name them.
    """
    own = re.compile(re.escape(record.stem) + r"\.[0-9a-f]{12}\.(vectors\.)?parquet")
    for path in record.parent.iterdir():
        left = path.name.startswith(".") and path.suffix == ".tmp"
        if left or (own.fullmatch(path.name) and path.name not in named):
            # The result stands; what cannot be removed now may be next time.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > DAY:
                    path.unlink()


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
