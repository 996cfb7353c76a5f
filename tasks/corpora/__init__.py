"""One module or package for each corpus: `CORPUS`, its facts, and `read(root)`, which returns its utterance table.

A module may have more functions, under these names:

    write(cache)                makes a synthetic corpus below the cache and returns its folder
    extract(root, progress)     writes the sound of video clips as WAV; returns a line for each clip that failed
    dev_rows(root, tests, ids)  dev rows by fold name, from split files of a protocol in the copy; None: there are none

Modules import pandas and numpy only inside functions, so that listing stays quick.
"""

from __future__ import annotations

import csv
import importlib
import io
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from commons.errors import UnknownName
from commons.progress import Progress
from tasks import textfile
from tasks.copies import search, wording
from tasks.copies.search import LOSSY, SUFFIXES, AudioFiles, Layout, Place
from tasks.errors import TaskError, foreign

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "LOSSY",
    "SUFFIXES",
    "Archive",
    "Corpus",
    "audio",
    "audio_by_stem",
    "check_name",
    "code",
    "count",
    "dev_rows",
    "extractor",
    "has_texts",
    "label_file",
    "label_folder",
    "lines",
    "make",
    "module",
    "names",
    "records",
    "refuse_pointer",
]

Extract = Callable[[Path, Progress | None], list[str]]

POINTER = "version https://git-lfs.github.com/spec/"  # the first words of a file that git-lfs has not fetched
_OPENED: ContextVar[list[Path] | None] = ContextVar("label files that were opened", default=None)
PULL = "is a git-lfs pointer, not the file itself; run `git lfs pull` in the clone that holds it"


@dataclass(frozen=True)
class Archive:
    """A file that holds a corpus or a part of it.

    Attributes:
        url: its public address.
        checksum: `md5:...` or `sha256:...`, as its makers publish it; empty where they do not.
        folder: the folder below the corpus's folder into which it is unpacked.
        strip: number of leading folders that are removed from its names.
    """

    url: str
    checksum: str = ""
    folder: str = ""
    strip: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.partition("?")[0].rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Corpus(Layout):
    """Facts of a corpus: names of folders and files (`Layout`), counts of a complete copy, and how to get it.

    Attributes:
        files: utterances of a complete copy; 0 where releases differ, for the label file decides then.
        speakers: speakers of a complete copy; 0 where they are not known.
        classes: utterances of a complete copy by emotion noun.
        videos: audio files of a complete copy where each holds many utterances; 0 where each holds one.
        parts: paths of files and folders of a complete copy, at any depth; `check` names those that are missing.
        texts: paths, as `parts`, of the files that hold labels and texts: a copy with these and without audio can be
            read by upstreams of text. Empty where labels are in the names of the audio files.
        archives: files that `fetch` downloads; empty where the corpus is not public.
        others: emotion nouns that also occur, in unknown numbers.
        language: the language of utterances whose row has none.
        family: a name that corpora with common recordings or speakers share.
        lossless: whether the official audio is lossless; rate: its sample rate in Hz.
        source: where the counts come from.
        cite: BibTeX keys of the papers that describe it, in leaderboard/bibliography.bib; empty where none is there.
        flawed: known-bad utterances by id, with the reason. They are left out and counted; a copy may lack them, and
            `files` and the other counts do not include them.
    """

    name: str
    title: str
    language: str
    licence: str
    homepage: str
    obtain: str
    files: int
    speakers: int
    classes: Mapping[str, int]
    family: str
    lossless: bool
    rate: int
    source: str
    cite: tuple[str, ...] = ()
    synthetic: bool = False
    others: tuple[str, ...] = ()
    videos: int = 0
    parts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    flawed: Mapping[str, str] = field(default_factory=dict)

    def root(self, data: Path) -> Path | None:
        """The corpus's folder under `data`, or None."""
        return self.place(data).root

    def place(self, data: Path) -> Place:
        """The place of the corpus's copy under `data`, and of further files of it."""
        return search.locate(self, search.tree(data))

    @property
    def counted(self) -> int:
        """The result of `count` for a complete copy."""
        return self.videos or self.files

    def how_to_get(self, data: Path) -> str:
        """A message for a user who lacks the corpus."""
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
        made = importlib.import_module(f"{__name__}.{name}")
    except Exception as error:
        raise foreign(f"the corpus module {name}.py cannot be imported", error) from error
    if not isinstance(getattr(made, "CORPUS", None), Corpus) or not callable(getattr(made, "read", None)):
        raise TaskError(f"{made.__file__}: a corpus module needs CORPUS = Corpus(...) and read(root)")
    return made


def make(corpus: Corpus, cache: Path) -> Path:
    """The folder of a synthetic corpus below the cache, made if it is not there. Raises TaskError."""
    return module(corpus.name).write(cache)


def extractor(name: str) -> Extract:
    """The function that writes the sound of a corpus's video clips. Raises TaskError where it has no clips."""
    if (own := getattr(module(name), "extract", None)) is None:
        able = ", ".join(other for other in names() if hasattr(module(other), "extract"))
        raise TaskError(f"--extract is for corpora of video clips ({able}); {name} has audio files")
    return own


def dev_rows(name: str, root: Path, tests: Mapping[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray] | None:
    """Dev rows by fold name as a protocol drew them, from its split files in the copy; None where there are none.

    Args:
        tests: test rows by fold name.
        ids: (N,) utterance ids.

    Raises:
        TaskError: the split files are damaged, or do not fit the utterances.
    """
    own = getattr(module(name), "dev_rows", None)
    return own(root, tests, ids) if own else None


def audio_files(root: Path, corpus: Corpus) -> AudioFiles:
    """The audio files below a corpus's folder: those that are read, and those that are left out.

    Raises:
        TaskError: a folder cannot be read; files with one name differ, so that an id is not unique; or a name is not
            UTF-8.
    """
    there = search.look(corpus, root)
    if there.denied:
        folder, why = next(iter(there.denied.items()))
        raise TaskError(
            f"{corpus.name}: {len(there.denied)} folder{'s' * (len(there.denied) > 1)} cannot be read, such as "
            f"{wording.plain(str(folder))} ({why}); make them readable (chmod -R u+rX), or ask their owner"
        )
    if there.clashes:
        folders = wording.pairs_of_folders(there.clashes, root)
        raise TaskError(
            f"{corpus.name}: {len(there.clashes)} files below {root} have the name of another and other bytes. "
            "Keep one folder of each line:\n" + "\n".join(f"  {line}" for line in wording.shortened(folders))
        )
    for path in there.files.values():
        check_name(path)
    return there


def count(corpus: Corpus, root: Path) -> int:
    """Number of utterances (or videos) whose audio exists; files of one name count once, known-bad ones not at all."""
    return recordings(corpus, search.look(corpus, root, compare=False))


def recordings(corpus: Corpus, there: AudioFiles) -> int:
    """Number of recordings among these audio files, without known-bad ones."""
    return sum(name.rpartition("/")[2] not in corpus.flawed for name in there.files)


def audio(root: Path) -> dict[str, Path]:
    """All audio below a folder, by path without suffix (separated by `/`); of several suffixes, the preferred one.

    Raises:
        TaskError: a name is not UTF-8.
    """
    paths = search.places(root)
    for path in paths.values():
        check_name(path)
    return paths


def audio_by_stem(root: Path, corpus: Corpus) -> dict[str, Path]:
    """The corpus's recordings below `root` by name: the stem, or the part of the path that `pattern` matches.

    Raises:
        TaskError: as `audio_files`.
    """
    return dict(audio_files(root, corpus).files)


def has_texts(corpus: Corpus, root: Path) -> bool:
    """Whether a copy has all files with labels and texts of its corpus, packed as `.gz` or not."""
    gone = search.lacking(root, corpus.texts)
    return bool(corpus.texts) and not search.lacking(root, [f"{name}.gz" for name in gone])


def home_of_texts(corpus: Corpus, root: Path) -> Path:
    """The folder, `root` or one a level or two below it, that holds all files of labels and texts by their official
    paths; `root` where none does."""
    below = [root, *sorted(root.glob("*/")), *sorted(root.glob("*/*/"))]
    whole = (place for place in below if all(search.within(place, text).exists() for text in corpus.texts))
    return next(whole, root)


def label_file(root: Path, name: str) -> Path:
    """The label file with that path below `root`, else one of that name, or of it and `.gz`, at any depth.

    Where there is none, its official place is returned.
    """
    path = search.find(root, name)
    packed = path if path.exists() else search.find(root, f"{name}.gz")
    return packed if packed.exists() else path


def label_folder(root: Path, name: str) -> Path:
    """The folder with that path below `root`, in any case; it may not exist."""
    return search.within(root, name)


def records(path: Path, columns: Sequence[str], encodings: Sequence[str] = textfile.UTF_8) -> list[dict[str, str]]:
    """The rows of a CSV label file, by column.

    Raises:
        TaskError: as `lines`; a needed column is missing, or a row has more or fewer values than the heading, or one
            of more than 131,072 characters.
    """
    table = csv.reader(io.StringIO("\n".join(lines(path, encodings))))
    heading = next(table, [])
    lacking = [column for column in columns if column not in heading]
    if lacking:
        raise TaskError(f"{path}: has no column {', '.join(lacking)} (it needs {', '.join(columns)})")
    rows = []
    try:
        for values in table:
            if values and len(values) != len(heading):
                raise TaskError(f"{path}, line {table.line_num}: has {len(values)} values for {len(heading)} columns")
            if values:
                rows.append(dict(zip(heading, values, strict=True)))
    except csv.Error as error:
        raise TaskError(f"{path}, line {table.line_num}: {error}; is a quote left open?") from error
    return rows


@contextmanager
def label_files() -> Iterator[list[Path]]:
    """A list to which the label files that readers open are added, for as long as the context lasts."""
    opened: list[Path] = []
    token = _OPENED.set(opened)
    try:
        yield opened
    finally:
        _OPENED.reset(token)


def lines(path: Path, encodings: Sequence[str] = textfile.UTF_8) -> list[str]:
    """The lines of a label file, without their ends.

    Args:
        encodings: those that copies have, in the order in which they are tried; UTF-16 needs not be among them.

    Raises:
        TaskError: it is missing, cannot be read, is a git-lfs pointer, or is text of none of these encodings; names the
            file and the line.
    """
    try:
        text = textfile.read(path, encodings, "put the corpus's own there")
    except FileNotFoundError as error:
        raise TaskError(f"{path}: the label file is missing; put the corpus's own there") from error
    refuse_pointer(path, text)
    return text.removesuffix("\n").split("\n")


def refuse_pointer(path: Path, text: str) -> None:
    """Raise TaskError where the text of a label file is a git-lfs pointer."""
    if (opened := _OPENED.get()) is not None:
        opened.append(path)
    if text.startswith(POINTER):
        raise TaskError(f"{path}: {PULL}")


def check_name(path: Path) -> None:
    """Raise TaskError where a path is not UTF-8, so that it cannot be written to a file.

    Raises:
        TaskError: names the path, with such bytes escaped.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise TaskError(f"{str(path)!r}: the name is not UTF-8; rename the file or folder") from error


def code(codes: Mapping[str, str], key: str, what: str, path: Path) -> str:
    """The meaning of a code in a file name or a label file.

    Raises:
        TaskError: the code is unknown; names the file and the known codes.
    """
    if key not in codes:
        known = ", ".join(f"{k} {v}" for k, v in codes.items())
        raise TaskError(f"{path}: unknown {what} code {key!r} (known: {known}); is the file part of the corpus?")
    return codes[key]
