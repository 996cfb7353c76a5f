"""sha256 of audio files, worked out once: CACHE/packs/hashes.json keeps them by path for as long as a file's size,
times and inode stay. (What changes a file and puts its time stamp back still changes its ctime.)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from upstreams.contract import hash_path
from upstreams.store import write_bytes

FILE = "hashes.json"


def hashes(paths: Sequence[Path], place: Path, pool: ThreadPoolExecutor) -> tuple[dict[Path, str], dict[Path, str]]:
    """sha256 (hex) of each file that can be read; of the others, why not. Raises OSError for a full disk."""
    index = place / FILE
    kept = _read(index)
    known: dict[Path, str] = {}
    unread: dict[Path, str] = {}
    fresh: dict[str, list[Any]] = {}

    def one(path: Path) -> tuple[list[Any], bool] | OSError:
        """What the index shall say of it, and whether that is new."""
        try:
            stat = path.stat()
            state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]
            before = kept.get(str(path.resolve()), [])
            return (before, False) if before[:-1] == state else ([*state, hash_path(path)], True)
        except OSError as error:
            return error

    try:
        for path, found in zip(paths, pool.map(one, paths), strict=True):
            if isinstance(found, OSError):
                unread[path] = f"cannot be read ({found.strerror or found})"
                continue
            entry, new = found
            known[path] = entry[-1]
            if new:
                fresh[str(path.resolve())] = entry
    finally:  # stopped half-way: what is hashed need not be hashed again
        if fresh:
            write_bytes(index, json.dumps({**_read(index), **fresh}).encode())
    return known, unread


def _read(index: Path) -> dict[str, list[Any]]:
    """Empty where it is not there or damaged."""
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, list) and v} if isinstance(found, dict) else {}
