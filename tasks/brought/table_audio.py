"""Finds the audio files of a table: in its folder, or in the folder that the user names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks import corpora
from tasks.errors import TaskError

_DRIVE = re.compile("[A-Za-z]:/")  # how an absolute path of Windows begins


@dataclass(frozen=True)
class Folders:
    """Folders in which the files of a table are searched.

    Attributes:
        table: the table's folder; audio: the folder that the user names with --audio; None: none.
    """

    table: Path
    audio: Path | None = None

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that may hold audio, the first preferred."""
        return (self.audio, self.table) if self.audio else (self.table,)


def find(written: str, folders: Folders, where: str) -> tuple[PurePosixPath, Path]:
    """The path of a row's file below one of the folders, and its absolute path.

    Backslashes separate folders, as `/` does. For a path of another machine, or one out of the table's folder, its last
    parts are searched below the folder that the user names. A name without suffix finds the audio file of that name.
    Where only one place is possible, the file need not exist.

    Args:
        where: the words of a message for the row.

    Raises:
        TaskError: the path leads out of the folders, or is no valid path.
    """
    if "\0" in written:
        raise TaskError(f"{where}: path {written!r} holds a zero byte; is the table a text file?")
    if not written:
        raise TaskError(f"{where}: path is empty; name its audio file")
    slashed = written.replace("\\", "/")
    place = PurePosixPath(slashed)
    foreign = _DRIVE.match(slashed) is not None
    if place.name and (place.is_absolute() or ".." in place.parts) and not foreign:
        full = PurePosixPath(os.path.normpath(folders.table / place))
        inside = next((root for root in folders.roots if full.is_relative_to(root)), None)
        if inside is not None and full != PurePosixPath(inside):
            return _suffixed(full.relative_to(inside), [inside])
        if inside is not None:
            raise TaskError(f"{where}: path {written!r} is a folder; name the audio file in it")
        foreign = True
    if place.name and not foreign:
        return _suffixed(place, folders.roots)
    if place.name and folders.audio:
        parts = [part for part in place.parts if part not in ("..", "/")]
        for first in range(len(parts)):
            tail, path = _suffixed(PurePosixPath(*parts[first:]), [folders.audio])
            if os.path.isfile(path):
                return tail, path
        raise TaskError(
            f"{where}: path {written!r}: no last part of it is a file in {folders.audio}; name the folder that holds "
            f"{'/'.join(parts[-2:])} with --audio DIR"
        )
    raise TaskError(
        f"{where}: path {str(place)!r} is not within the table's folder, {folders.table}; name the folder of the audio "
        "with --audio DIR, or put the table into a folder that holds all of it"
    )


def has_suffix(place: PurePosixPath) -> bool:
    """Whether a name ends as those of audio files do; dots may be elsewhere in it, too."""
    return place.suffix.lower() in corpora.SUFFIXES


def _suffixed(place: PurePosixPath, roots: tuple[Path, ...] | list[Path]) -> tuple[PurePosixPath, Path]:
    """The path with a suffix, below a root and absolute: of the first root that has the file, else of the first."""
    known = (*corpora.SUFFIXES, "")
    options = [place] if has_suffix(place) else [place.with_name(place.name + suffix) for suffix in known]
    if len(roots) > 1 or len(options) > 1:
        for root in roots:
            for option in options:
                if os.path.isfile(root / option):
                    return option, root / option
    return place, roots[0] / place
