"""Paths of result files; writing them whole, and removing what is no longer named."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import commons.files
from leaderboard.errors import LeaderboardError

LIMITED = "limited"  # results/limited, of smoke runs, is a results folder of its own


def encode(name: str) -> str:
    """A name as one part of a path, as `commons.files.encode` gives it, but never the folder of smoke runs.

    Raises:
        LeaderboardError: the name is empty.
    """
    if not name:
        raise LeaderboardError("an upstream, task or downstream has an empty name; give it one")
    part = commons.files.encode(name)
    return f"%{ord(part[0]):02X}{part[1:]}" if part == LIMITED else part


def path_of(results: Path, upstream: str, task: str, downstream: str) -> Path:
    """Where the record of a cell lies."""
    return results / encode(upstream) / encode(task) / f"{encode(downstream)}.json"


def paths(results: Path) -> list[Path]:
    """All record files of a results folder, without those of its smoke runs."""
    return sorted(p for p in results.glob("*/*/*.json") if p.relative_to(results).parts[0] != LIMITED)


def put(path: Path, content: str | bytes) -> None:
    """Write a file of results whole or not at all; its folder is made if absent.

    Raises:
        LeaderboardError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        commons.files.write(path, content)


def is_beside(name: str, record: Path) -> bool:
    """Whether a file has a name of the Parquet files beside the record at `record`."""
    own = re.escape(record.stem) + r"\.[0-9a-f]{12}\.((vectors|facts|held-out|further)\.)?parquet"
    return re.fullmatch(own, name) is not None


def sweep(record: Path, named: set[str]) -> None:
    """Remove files beside a record that killed runs or full disks left more than a day ago.

    These are temporary files, and Parquet files of this head that are not in `named`. Younger files may belong to
    a process whose record will name them soon.
    """
    commons.files.sweep(record.parent)
    for path in record.parent.iterdir():
        if is_beside(path.name, record) and path.name not in named:
            with contextlib.suppress(OSError):  # the result stands; the next record tries again
                if time.time() - path.stat().st_mtime > commons.files.STALE:
                    path.unlink()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it, an OSError becomes a LeaderboardError that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        stands = "; what stood there before still does" * path.is_file()
        raise LeaderboardError(commons.files.unwritten(path, error, "--results or --out") + stands) from error
