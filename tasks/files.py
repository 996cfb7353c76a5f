"""Small files, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tasks.errors import TaskError


def write(path: Path, text: str) -> None:
    """Write a text file aside and rename it; what is no file but a device or a pipe (/dev/stdout) is written to.

    Raises:
        TaskError: it cannot be written; nothing of it is left.
    """
    aside = None
    try:
        if path.exists() and not path.is_file():  # renaming onto it would put a file in its place
            path.write_text(text, encoding="utf-8")
            return
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}-", encoding="utf-8", delete=False
        ) as file:
            aside = Path(file.name)
            file.write(text)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException as error:
        if aside is not None:
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise TaskError(f"{path}: cannot be written ({error.strerror})") from error
        raise
