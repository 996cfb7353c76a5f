"""Archives of cells that one person sends to another: packed, always the same bytes; opened, nothing of them trusted.

An archive is a zip without compression: the records and predictions in the folders of a results folder, and
`submission.json`, which names who sends them and the sha256 of every file. It holds nothing else: no vectors, facts of
utterances, held-out predictions or further targets.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import commons.files
from commons.corridors.record import Files, Record
from commons.errors import cut
from commons.marks import UNVERIFIED
from leaderboard.boards.withheld import reduced
from leaderboard.errors import LeaderboardError
from leaderboard.records import parquet, record_store, verify
from leaderboard.records.files import path_of, writing

MANIFEST = "submission.json"
PART = re.compile(r"[A-Za-z0-9%._~+-]{1,255}")  # of a path: what `commons.files.encode` makes
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of every file, so that equal cells make equal archives
MOST_FILES = 100_000
MOST_BYTES = 4 * 2**30  # of all files
MOST_OF_RECORD = 32 * 2**20  # of a record or the manifest
SHA256 = r"[0-9a-f]{64}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Strict):
    """A file of an archive."""

    name: str
    sha256: str = Field(pattern=f"^{SHA256}$")
    bytes: int = Field(ge=0)


class Manifest(_Strict):
    """What an archive holds, and who sends it."""

    format: Literal[1]
    contributor: str = Field(min_length=1, max_length=100)
    files: list[Entry] = Field(max_length=MOST_FILES)


def pack(results: Path, records: Sequence[Record], out: Path, contributor: str) -> tuple[int, list[str]]:
    """Write cells of `results` into the archive `out`; returns how many, and a line for each that is left out.

    All files but the predictions stay here; so do targets, groups and facts of speakers where the corpus's licence
    does not let them be handed on. The cell is then marked `unverified`.

    Raises:
        LeaderboardError: a record is damaged, or its figures do not follow from its predictions; no cell is left; the
            file cannot be written.
    """
    left: list[str] = []
    entries: list[Entry] = []
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with commons.files.whole(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for record in sorted(records, key=_place):
                try:
                    parts = _parts(results, record)
                except _LeftOut as error:
                    left.append(f"{' · '.join(_place(record))}: left out: {error}")
                    continue
                for name, data in parts:
                    entries.append(Entry(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)))
                    _add(archive, name, data)
            if not entries:
                raise LeaderboardError("\n".join([*left, f"{out}: no cell is left to pack; nothing was written"]))
            manifest = Manifest(format=1, contributor=contributor, files=entries)
            _add(archive, MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
    return len(entries) // 2, left


class _LeftOut(LeaderboardError):
    """Why a cell is not packed."""


def _place(record: Record) -> tuple[str, str, str]:
    return record.cell.upstream, record.cell.task, record.cell.downstream


def _parts(results: Path, record: Record) -> list[tuple[str, bytes]]:
    """The two files of a cell, as they are handed on: name and content."""
    path = path_of(results, *_place(record))
    stands, wrong = verify.examined(results, path)
    if wrong or stands is None:
        raise LeaderboardError("\n".join([*wrong, "repair it or leave it out (-u, -t, -d); nothing was packed"]))
    if stands.cell.limit is not None:
        raise _LeftOut("a smoke run is no result")
    table = parquet.stored(path, stands)
    try:
        kept = reduced(stands, table)
    except LeaderboardError as error:
        raise _LeftOut(str(error)) from None
    if kept is table:
        named = stands.files.predictions
        data, marks = (path.parent / named.name).read_bytes(), stands.marks
    else:
        named, data = parquet.packed(path.stem, "parquet", parquet.arrow(kept))
        marks = sorted({*stands.marks, UNVERIFIED})
    handed = record_store.summed(
        stands.model_copy(update={"marks": marks, "files": Files(predictions=named), "further": {}})
    )
    folder = path.parent.relative_to(results).as_posix()
    return [(f"{folder}/{path.name}", record_store.dumps(handed).encode()), (f"{folder}/{named.name}", data)]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    archive.writestr(entry, data, zipfile.ZIP_STORED)


def unpack(path: Path, into: Path) -> str:
    """Write the files of an archive below the empty folder `into`; returns who sends it.

    Every name, size and sha256 is checked before anything is written; nothing of the archive is run.

    Raises:
        LeaderboardError: it is no archive of `submit`, is larger than allowed, or its files are not those it names.
    """
    with _opened(path) as (archive, size):
        entries = _listed(path, archive, size)
        manifest = _manifest(path, archive, entries)
        named = {entry.name: entry for entry in manifest.files}
        if named.keys() != entries.keys() - {MANIFEST} or len(named) != len(manifest.files):
            raise _damaged(path, f"its files are not those that {MANIFEST} names")
        for name, entry in named.items():
            data = archive.read(entries[name])
            if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
                raise _damaged(path, f"{name}: its sha256 is not the one that {MANIFEST} names")
            place = into / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return manifest.contributor


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, int]]:
    """The open archive and its size. Errors of the archive become LeaderboardError."""
    try:
        with open(path, "rb") as file:
            size = _size(file)
            if size > 2 * MOST_BYTES:
                raise _damaged(path, f"{size / 2**30:.1f} GB; up to {MOST_BYTES / 2**30:.0f} GB of files are taken")
            with zipfile.ZipFile(file) as archive:
                yield archive, size
    except LeaderboardError:
        raise
    except OSError as error:
        raise LeaderboardError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # zipfile fails in many ways on hostile bytes
        raise _damaged(path, cut(str(error) or type(error).__name__)) from None


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _listed(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by name, each a plain file without compression in a place that a record or its file has."""
    several = archive.infolist()
    if len(several) > MOST_FILES:
        raise _damaged(path, f"{len(several)} files; up to {MOST_FILES} are taken")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in several:
        name = entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not _is_place(name):
            raise _damaged(path, f"{cut(repr(name), 80)} is no place of a record or its predictions")
        if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1 or entry.compress_type != zipfile.ZIP_STORED:
            raise _damaged(path, f"{name} is a link, encrypted or compressed; plain stored files are expected")
        if name.endswith(".json") and entry.file_size > MOST_OF_RECORD:
            raise _damaged(path, f"{name}: {entry.file_size} bytes; a record has up to {MOST_OF_RECORD}")
        entries[name] = entry
    if len({name.casefold() for name in entries}) < len(several):
        raise _damaged(path, "a file is there twice (upper and lower case count as one)")
    total = sum(entry.file_size for entry in several)
    if total > min(size, MOST_BYTES):  # stored files are no larger than the archive, unless they overlap
        raise _damaged(path, f"{total} bytes of files in an archive of {size}; up to {MOST_BYTES} are taken")
    return entries


def _is_place(name: str) -> bool:
    """Whether a name is the manifest's, or UPSTREAM/TASK/FILE in the spelling of results."""
    parts = name.split("/")
    plain = all(PART.fullmatch(part) and part.strip(".") for part in parts)
    return name == MANIFEST or (len(parts) == 3 and plain and name.endswith((".json", ".parquet")))


def _manifest(path: Path, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> Manifest:
    if MANIFEST not in entries:
        raise _damaged(path, f"it lacks {MANIFEST}")
    try:
        manifest = Manifest.model_validate_json(archive.read(entries[MANIFEST]))
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(path, f"{MANIFEST}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if not manifest.contributor.isprintable():
        raise _damaged(path, f"{MANIFEST}: the contributor's name is not one line")
    return manifest


def _damaged(path: Path, what: str) -> LeaderboardError:
    return LeaderboardError(f"{path}: no archive of `python -m leaderboard submit`: {what}; ask the sender for another")
