"""Text files in the encodings that copies and users have.

A byte order mark decides, or the zeros of UTF-16 without one; else the first of the expected encodings that fits.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import TaskError

UTF_8 = ("utf-8",)
WESTERN = ("utf-8", "cp1252")  # of Windows, as some copies of MELD
CHINESE = ("utf-8", "gb18030")  # which holds GB2312 and GBK
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
_MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
HEAD = 200  # bytes in which zeros are counted


def read(path: Path, encodings: Sequence[str] = UTF_8, remedy: str = "save it as UTF-8") -> str:
    """The text of a file, `.gz` unpacked, lines ended by a line feed.

    Args:
        encodings: those that are expected, in this order.
        remedy: what a message asks the user to do.

    Raises:
        FileNotFoundError: there is no such file.
        TaskError: it cannot be read, or is text of none of these encodings; names the file and the line.
    """
    try:
        raw = path.read_bytes()
        if path.suffix.lower() == ".gz":
            raw = gzip.decompress(raw)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise TaskError(f"{path}: cannot be read ({why}); {remedy}") from error
    return decoded(raw, path, encodings, remedy).replace("\r\n", "\n").replace("\r", "\n")


def decoded(raw: bytes, path: Path, encodings: Sequence[str], remedy: str) -> str:
    """The text of some bytes, without byte order mark. Raises TaskError naming the file and the line."""
    own = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), None) or _wide(raw)
    failures = []
    for encoding in (own,) if own else encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as error:
            failures.append(error)
    furthest = max(failures, key=lambda error: error.start)
    line = raw.count(b"\n", 0, furthest.start) + 1
    names = " or ".join([own] if own else encodings)
    raise TaskError(
        f"{path}, line {line}: the byte 0x{raw[furthest.start]:02x} is no {names} text; {remedy}"
    ) from furthest


def _wide(raw: bytes) -> str | None:
    """UTF-16 without a byte order mark, by the zeros in every second byte of its beginning; None for other text."""
    head = raw[:HEAD]
    for zeros, encoding in ((head[1::2], "utf-16-le"), (head[::2], "utf-16-be")):
        if len(zeros) > 4 and zeros.count(0) > len(zeros) / 2:
            return encoding
    return None
