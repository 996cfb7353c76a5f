"""sha256 of values, files and folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def of_json(value: object) -> str:
    """sha256 (hex) of a value's JSON with sorted keys. Raises ValueError for numbers that are not finite."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def of_compact_json(value: object) -> str:
    """sha256 (hex) of a value's JSON with sorted keys and without spaces, as audits are hashed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_path(path: Path) -> str:
    """sha256 (hex) of a file's bytes, or of a folder's file names and bytes. Raises OSError."""
    if not path.is_dir():
        return of_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return of_json({"files": [(file.relative_to(path).as_posix(), of_file(file)) for file in files]})


def short(text: str) -> str:
    """The first eight hex digits of a text's sha256, for names that people read."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
