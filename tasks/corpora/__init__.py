"""One module a corpus: `CORPUS`, a block of facts, and `read(root)`, the table of its official layout.

Nothing here imports pandas until a `read` is called, so that listing stays quick.
"""

from __future__ import annotations

import csv
import glob
import importlib
import io
import os
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from commons.errors import UnknownName
from tasks.errors import TaskError, foreign

# In order of preference where one stem has several files.
SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")
LOSSY = frozenset({".opus", ".ogg", ".mp3"})


@dataclass(frozen=True)
class Archive:
    """A file that holds a corpus or a part of it.

    Attributes:
        url: where it is openly to be had.
        checksum: `md5:...` or `sha256:...`, as its makers tell it; empty where they do not.
        folder: where it is unpacked, below the corpus's folder.
        strip: leading folders of its names that are left out.
    """

    url: str
    checksum: str = ""
    folder: str = ""
    strip: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.partition("?")[0].rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Corpus:
    """Facts of a corpus: what a whole copy counts, and how to come by it.

    Attributes:
        folders: names of its folder under the data folder, any case, the first preferred.
        globs: patterns below that folder that find its audio, without suffix.
        files: utterances of a whole copy (0 where releases differ: its label file counts then); speakers (0 where they
            are not told or not known) and classes likewise (utterances by common emotion noun).
        videos: audio files of a whole copy where each holds many utterances, 0 where one holds one.
        archives: what `fetch` downloads, of a corpus that anybody may have.
        others: emotion nouns that occur too, but how often is not known.
        family: corpora of the same recordings or speakers share one.
        lossless: whether the official audio is; rate is its native sample rate in Hz.
        source: where the counts come from.
        ignore: regular expression of whole stems that lie beside the corpus's audio and are no part of it.
        flawed: known-bad utterances by id, and what is wrong with them: left out and counted; a copy may have them or
            not, and `files` and the other counts are without them.
    """

    name: str
    title: str
    language: str
    licence: str
    homepage: str
    obtain: str
    folders: tuple[str, ...]
    globs: tuple[str, ...]
    files: int
    speakers: int
    classes: Mapping[str, int]
    family: str
    lossless: bool
    rate: int
    source: str
    synthetic: bool = False
    others: tuple[str, ...] = ()
    videos: int = 0
    archives: tuple[Archive, ...] = ()
    ignore: str = ""
    flawed: Mapping[str, str] = field(default_factory=dict)

    def root(self, data: Path) -> Path | None:
        """The corpus's folder under `data`, or None."""
        order = [folder.casefold() for folder in self.folders]
        found = [p for p in data.iterdir() if p.name.casefold() in order and p.is_dir()] if data.is_dir() else []
        return min(found, key=lambda p: (order.index(p.name.casefold()), p.name), default=None)

    @property
    def counted(self) -> int:
        """What `count` finds in a whole copy."""
        return self.videos or self.files

    def how_to_get(self, data: Path) -> str:
        """What to tell a user who lacks the corpus."""
        return (
            f"{self.title} ({self.homepage}; licence: {self.licence}): {self.obtain} "
            f"Put it under {data / self.folders[0]}"
        )


def names() -> list[str]:
    """Names of the corpora that have a reader, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def module(name: str) -> ModuleType:
    """The module of a corpus, with `CORPUS` and `read`.

    Raises:
        UnknownName: there is no such corpus.
        TaskError: its module cannot be imported, or lacks one of the two.
    """
    if name not in names():
        raise UnknownName("corpus", name, names())
    try:
        found = importlib.import_module(f"{__name__}.{name}")
    except Exception as error:
        raise foreign(f"the corpus module {name}.py cannot be imported", error) from error
    if not isinstance(getattr(found, "CORPUS", None), Corpus) or not callable(getattr(found, "read", None)):
        raise TaskError(f"{found.__file__}: a corpus module needs CORPUS = Corpus(...) and read(root)")
    return found


def _audio(root: Path, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Place below `root` without suffix, and suffix, of each audio file; strings, for a corpus may have 100,000."""
    ignored = re.compile(corpus.ignore)
    for pattern in corpus.globs:
        for path in glob.iglob(pattern, root_dir=root, recursive=True, include_hidden=True):
            place, suffix = os.path.splitext(path)
            stem = os.path.basename(place)
            # macOS leaves "._name" files beside the real ones.
            if suffix.lower() in SUFFIXES and not stem.startswith("._") and not ignored.fullmatch(stem):
                yield place, suffix


def count(corpus: Corpus, root: Path) -> int:
    """Utterances (or videos of many) whose audio is there; several suffixes count once, known-bad ones not at all."""
    found = {place for place, _ in _audio(root, corpus)}
    return sum(os.path.basename(place) not in corpus.flawed for place in found)


def audio(root: Path, corpus: Corpus) -> dict[str, Path]:
    """Audio files below `root` by their path there without suffix (with `/`), the preferred suffix of each.

    Raises:
        TaskError: a name is not UTF-8.
    """
    files: dict[str, str] = {}
    for place, suffix in sorted(_audio(root, corpus)):
        other = files.get(place)
        if other is None or SUFFIXES.index(suffix.lower()) < SUFFIXES.index(other.lower()):
            files[place] = suffix
    paths = {place.replace(os.sep, "/"): root / f"{place}{suffix}" for place, suffix in files.items()}
    for path in paths.values():
        check_name(path)
    return paths


def audio_by_stem(root: Path, corpus: Corpus) -> dict[str, Path]:
    """Audio files below `root` by stem, the preferred suffix of each.

    Raises:
        TaskError: two folders hold a file of the same stem, so that the utterance's id is not unique; or a name is not
            UTF-8.
    """
    files: dict[str, Path] = {}
    for place, path in audio(root, corpus).items():
        stem = place.rpartition("/")[2]
        other = files.setdefault(stem, path)
        if other is not path:
            raise TaskError(f"two files would be utterance {stem!r}: {other} and {path}; remove one of them")
    return files


def records(path: Path, columns: Sequence[str], encoding: str = "utf-8") -> list[dict[str, str]]:
    """The rows of a CSV label file, by column.

    Raises:
        TaskError: as `lines`; a needed column is missing, or a row has more or fewer values than the heading.
    """
    table = csv.reader(io.StringIO("\n".join(lines(path, encoding))))
    heading = next(table, [])
    lacking = [column for column in columns if column not in heading]
    if lacking:
        raise TaskError(f"{path}: has no column {', '.join(lacking)} (it needs {', '.join(columns)})")
    rows = []
    for values in table:
        if values and len(values) != len(heading):
            raise TaskError(f"{path}, line {table.line_num}: has {len(values)} values for {len(heading)} columns")
        if values:
            rows.append(dict(zip(heading, values, strict=True)))
    return rows


def lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a label file, without their ends.

    Raises:
        TaskError: it is missing, cannot be read, or is not text of that encoding.
    """
    try:
        return path.read_text(encoding=encoding).removeprefix("\ufeff").removesuffix("\n").split("\n")
    except FileNotFoundError as error:
        raise TaskError(f"{path}: the label file is missing; put the corpus's own there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read as {encoding} text ({error}); put the corpus's own there") from error


def check_name(path: Path) -> None:
    """Refuse a path that cannot be written down: its bytes are not UTF-8.

    Raises:
        TaskError: names the path with its odd bytes escaped.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise TaskError(f"{str(path)!r}: the name is not UTF-8; rename the file or folder") from error


def code(codes: Mapping[str, str], key: str, what: str, path: Path) -> str:
    """The meaning of a code in a file name or label file.

    Raises:
        TaskError: the corpus has no such code; names the file and the codes known.
    """
    if key not in codes:
        known = ", ".join(f"{k} {v}" for k, v in codes.items())
        raise TaskError(f"{path}: unknown {what} code {key!r} (known: {known}); is the file part of the corpus?")
    return codes[key]
