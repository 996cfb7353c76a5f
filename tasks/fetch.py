"""`python -m tasks fetch CORPUS`: openly licensed corpora, downloaded and unpacked; for the others, what to do.

What has come of a download is kept when it breaks off, and the same command goes on from there. An archive is unpacked
beside the corpus's folder and moved into it when it is whole; then the archive is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
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
        TaskError: the corpus is not openly to be had (says how to get it), its licence is not accepted, or a download
            or archive fails; what was there before is as it was.
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
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{corpus.name}-", dir=data) as aside:
        for archive, path in zip(corpus.archives, paths, strict=True):
            archives.unpack(path, Path(aside) / archive.folder, archive.strip)
            for inner in sorted(Path(aside).glob("*.tar.gz")):
                archives.unpack(inner, Path(aside))
                inner.unlink()
        _move(Path(aside), root)
    for path in paths:
        path.unlink()
    return root


def download(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """An archive's file in the folder, from where it broke off before, its checksum proved where one is known.

    Raises:
        TaskError: the server cannot be reached, breaks off or answers oddly, or the checksum is another.
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
            f"{archive.url}: what came has another checksum than {archive.checksum}; it is removed. Fetch it again; if "
            "that fails too, the archive has changed: get it by hand from the corpus's page"
        ) from error
    _forget(part)
    return Path(path)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version(part).unlink(missing_ok=True)


def _version(part: Path) -> Path:
    """Where the server's name of the version being downloaded is kept."""
    return part.with_suffix(".version")


def _resume(url: str, part: Path, progress: Progress | None) -> None:
    """Complete a partial download, or begin anew where the server's file is no longer the same."""
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
                raise TaskError(f"{url}: the server sent another part than was asked for; remove {part} and try again")
            there = there if going_on else 0
            total = there + int(answer.headers.get("Content-Length") or 0)
            tag = answer.headers.get("ETag") or ""
            # A weak tag does not promise equal bytes.
            version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified") or ""
            files.write(_version(part), json.dumps(version))
            with part.open("ab" if going_on else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    there += len(block)
                    if progress:
                        progress(there, max(total, there))
            if total and there < total and answer.headers.get("Content-Length"):
                raise TaskError(f"{url}: broke off at {there} of {total} bytes; the same command goes on from there")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the whole was there, or something else is
            if error.headers.get("Content-Range", "").endswith(f"/{there}"):
                return
            _forget(part)
        raise TaskError(f"{url}: the server answers {error.code} {error.reason}; try again later") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise TaskError(f"{url}: cannot be downloaded ({why}); the same command goes on from where it was") from error


def _move(aside: Path, root: Path) -> None:
    """Move what was unpacked into the corpus's folder, file by file, over what was there."""
    for path in sorted(aside.rglob("*")):
        if path.is_file():
            target = root / path.relative_to(aside)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    with suppress(OSError):
        root.chmod(0o755)


def state(corpus: Corpus, root: Path) -> str:
    """How much of the corpus is there now, in words."""
    return f"{corpus.name}: {count(corpus, root)} of {corpus.counted} audio files are in {root}"
