"""`python -m tasks fetch CORPUS` downloads and unpacks a corpus with an open licence; for others it says what to do.

An interrupted download is kept, and the same command continues it. An archive is unpacked beside the corpus's folder;
once all of it is unpacked, the files are moved into the folder and the archive is removed. The next fetch removes what
a killed one unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commons import files
from commons.progress import Progress
from tasks.copies import archives
from tasks.corpora import Archive, Corpus, count
from tasks.errors import TaskError

BLOCK = 1 << 20
PATIENCE = 60  # seconds without a byte


def fetch(corpus: Corpus, data: Path, cache: Path, accepted: bool, progress: Progress | None = None) -> Path:
    """Download and unpack a corpus; returns its folder.

    Args:
        accepted: whether the user accepts the licence.

    Raises:
        TaskError: the corpus cannot be downloaded (the message says how to get it), its licence is not accepted, or a
            download or an archive fails; files that were there before are not changed.
    """
    if not corpus.archives:
        raise TaskError(f"{corpus.name} cannot be fetched. {corpus.how_to_get(data)}")
    if not accepted:
        raise TaskError(
            f"{corpus.title} ({corpus.homepage}) has this licence: {corpus.licence}.\n"
            "Read it there; if you accept it, run the command again with --accept-licence"
        )
    root = corpus.root(data) or data / corpus.folders[0]
    downloads = cache / "downloads" / corpus.name
    downloads.mkdir(parents=True, exist_ok=True)
    paths = [download(archive, downloads, progress) for archive in corpus.archives]
    with files.locked(downloads), _aside(corpus, data) as aside:
        for archive, path in zip(corpus.archives, paths, strict=True):
            archives.unpack(path, aside / archive.folder, archive.strip)
            for inner in sorted(aside.glob("*.tar.gz")):
                archives.unpack(inner, aside)
                inner.unlink()
        _move(aside, root)
    for path in paths:
        path.unlink()
    return root


@contextmanager
def _aside(corpus: Corpus, data: Path) -> Iterator[Path]:
    """An empty folder beside the corpus's, which is removed at the end; what a killed fetch left there goes first."""
    aside = data / f".fetching-{corpus.name}"
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def download(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """The downloaded archive; an interrupted download is continued, and the checksum is verified where one is known.

    Raises:
        TaskError: the server cannot be reached, stops early or gives a wrong answer, or the checksum differs.
    """
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise TaskError("fetching needs the package pooch; install it (pip install pooch)") from error
    part = folder / f"{archive.name}.part"
    pooch.get_logger().setLevel("WARNING")

    def resumed(url: str, output: str, _: object) -> None:
        _resume(url, part, progress)
        shutil.copyfile(part, output)

    try:
        path = pooch.retrieve(archive.url, archive.checksum or None, archive.name, folder, downloader=resumed)
    except ValueError as error:
        _forget(part)
        raise TaskError(
            f"{archive.url}: the downloaded file does not have the checksum {archive.checksum} and is removed. "
            "Fetch it again; if that fails too, the archive has changed: download it from the corpus's page"
        ) from error
    _forget(part)
    return Path(path)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version(part).unlink(missing_ok=True)


def _version(part: Path) -> Path:
    """The file that keeps the server's tag of the version that is being downloaded."""
    return part.with_suffix(".version")


def _resume(url: str, part: Path, progress: Progress | None) -> None:
    """Continue a partial download, or start again where the server's file has changed."""
    there = part.stat().st_size if part.exists() else 0
    version = json.loads(_version(part).read_text()) if there and _version(part).exists() else ""
    request = urllib.request.Request(url, headers={"User-Agent": "emorep"})
    if there and version:
        request.add_header("Range", f"bytes={there}-")
        request.add_header("If-Range", version)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            going_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
            if answer.status == 206 and not going_on:
                raise TaskError(f"{url}: the server sent a part that was not asked for; remove {part} and try again")
            there = there if going_on else 0
            total = there + int(answer.headers.get("Content-Length") or 0)
            tag = answer.headers.get("ETag") or ""
            # A weak tag does not guarantee equal bytes.
            version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified") or ""
            files.write(_version(part), json.dumps(version))
            with part.open("ab" if going_on else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    there += len(block)
                    if progress:
                        progress(there, max(total, there))
            if total and there < total and answer.headers.get("Content-Length"):
                raise TaskError(
                    f"{url}: the download stopped at {there} of {total} bytes; the same command continues it"
                )
    except urllib.error.HTTPError as error:
        if error.code == 416:  # no bytes are left: the file is complete, or it is another file
            if error.headers.get("Content-Range", "").endswith(f"/{there}"):
                return
            _forget(part)
        raise TaskError(f"{url}: the server answers {error.code} {error.reason}; try again later") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise TaskError(f"{url}: cannot be downloaded ({why}); the same command continues the download") from error


def _move(aside: Path, root: Path) -> None:
    """Move the unpacked files into the corpus's folder; files of the same name are replaced."""
    for path in sorted(aside.rglob("*")):
        if path.is_file():
            target = root / path.relative_to(aside)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    with suppress(OSError):
        root.chmod(0o755)


def state(corpus: Corpus, root: Path) -> str:
    """A line on how many audio files of the corpus are there."""
    return f"{corpus.name}: {count(corpus, root)} of {corpus.counted} audio files are in {root}"
