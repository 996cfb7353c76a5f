"""Unpacks archives; no file is ever written outside the folder asked for."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from tasks.errors import TaskError

Member = tuple[str, bool, object]  # name, whether it is a folder, and the handle that opens it


def unpack(archive: Path, folder: Path, strip: int = 0) -> None:
    """Unpack a zip or tar file into a folder, which is made.

    Args:
        strip: number of leading folders to remove from every name; files above them are not unpacked.

    Raises:
        TaskError: the file is truncated or no archive, or a member lies outside the folder or is neither a file nor a
            folder. Files may have been written below `folder` before.
    """
    try:
        with _opened(archive) as (members, opens):
            for name, is_folder, member in members:
                place = _inside(archive, name, strip)
                if place is None:
                    continue
                target = folder / place
                if is_folder:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with opens(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the archive's
            raise TaskError(f"{archive}: cannot be unpacked into {folder} ({error.strerror})") from error
        raise TaskError(f"{archive}: is truncated or no archive ({error}); remove it and fetch it again") from error


@contextmanager
def _opened(archive: Path) -> Iterator[tuple]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield (_zipped(archive, info) for info in file.infolist()), file.open
    else:
        with tarfile.open(archive) as tar:

            def read(member: tarfile.TarInfo) -> IO[bytes]:
                content = tar.extractfile(member)
                if content is None:
                    raise TaskError(f"{archive}: {member.name!r} has no content")
                return content

            yield (_tarred(archive, info) for info in tar), read
            # Behind the last member: what is compressed proves itself only at its very end.
            while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                pass


def _zipped(archive: Path, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise TaskError(f"{archive}: {info.filename!r} is a link or a device, which no corpus needs; not unpacked")
    return info.filename, info.is_dir(), info


def _tarred(archive: Path, info: tarfile.TarInfo) -> Member:
    if not (info.isfile() or info.isdir()):
        raise TaskError(f"{archive}: {info.name!r} is a link or a device, which no corpus needs; not unpacked")
    return info.name, info.isdir(), info


def _inside(archive: Path, name: str, strip: int) -> Path | None:
    """A member's place below the folder; None where stripping leaves nothing of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise TaskError(f"{archive}: {name!r} would land outside the folder; nothing of the archive is kept")
    parts = path.parts[strip:]
    return Path(*parts) if parts else None
