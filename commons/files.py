"""How a file is written: whole or not at all, whatever kills the program."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

LONGEST = 150  # bytes of an encoded name; file systems allow 255, and suffixes add to it
STALE = 86400.0  # s; a temporary file this old has lost its writer
SUFFIX = ".tmp"


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that is written aside, flushed to disk and renamed to `path`; nothing of it is left where that fails.

    Raises:
        OSError: it cannot be written.
    """
    aside = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:12]}{SUFFIX}")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; what is no file but a device or a pipe (/dev/stdout) is written to.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():  # renaming onto it would put a file in its place
        path.write_bytes(data)
        return
    with whole(path) as file:
        file.write(data)


def sweep(folder: Path, older_than: float = STALE) -> None:
    """Remove temporary files of a folder whose writers were killed more than `older_than` seconds ago."""
    for path in [*folder.glob(f".*{SUFFIX}"), *folder.glob(".tmp-*")]:  # the second form: of earlier versions
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than:
                path.unlink()


def encode(name: str) -> str:
    """A name as one part of a path: percent-encoded, never `.` or `..`.

    What is too long for a file system is cut and gets a hash of the name after a `+`, which no encoded name has.

    Raises:
        ValueError: the name is empty.
    """
    part = quote(name, safe="")
    if not part:
        raise ValueError("an empty name")
    if not part.strip("."):
        part = f"%{ord(part[0]):02X}{part[1:]}"
    if len(part) > LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        part = f"{part[: LONGEST - 1 - len(digest)]}+{digest}"
    return part
