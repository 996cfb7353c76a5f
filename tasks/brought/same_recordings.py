"""Which known corpus the recordings of a user's table come from."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from commons.errors import EmorepError
from tasks import corpora
from tasks.copies import search
from tasks.copies.search import Tree
from tasks.corpora import Corpus

MOST = 100  # files of the table that are compared


@dataclass(frozen=True)
class Same:
    """A corpus at hand that holds most of the files compared, and how many of how many.

    Attributes:
        renamed: `1 is 01`, of speakers that the corpus's reader names otherwise; sorted.
    """

    corpus: str
    same: int
    compared: int
    renamed: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A line for the user."""
        return (
            f"the recordings are those of {self.corpus}: {self.same} of {self.compared} files compared are the same. "
            f"In comparisons over corpora this table and {self.corpus} count as one"
        )


def compare(utterances: pd.DataFrame, data: Path) -> Same | None:
    """The corpus under `data` that holds more than half of the table's files, byte by byte; None where none does.

    Args:
        utterances: with the columns `path` and `sha256` (of the file), and `speaker` if it is known.
    """
    files = dict(zip(utterances["path"].tolist(), utterances["sha256"].tolist(), strict=True))
    paths = list(files)[:: max(1, -(-len(files) // MOST))]
    sizes = {path: os.path.getsize(path) for path in paths}
    wanted: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    below = search.tree(data)
    for corpus, path, size in _recordings(below):
        if size in sizes.values():
            wanted[size].append((corpus, path))
    hits: Counter[str] = Counter()
    hashes: dict[str, str] = {}
    places: defaultdict[str, dict[str, str]] = defaultdict(dict)  # corpus -> path of the table -> its own path
    for path in paths:
        equal = [(corpus, other) for corpus, other in wanted[sizes[path]] if _equal(path, files[path], other, hashes)]
        hits.update({corpus for corpus, _ in equal})
        for corpus, other in equal:
            places[corpus][path] = other
    corpus, same = next(iter(hits.most_common(1)), ("", 0))
    if same <= len(paths) / 2:
        return None
    return Same(corpus, same, len(paths), _renamed(utterances, places[corpus], corpus, below))


def _renamed(utterances: pd.DataFrame, equal: dict[str, str], corpus: str, below: Tree) -> tuple[str, ...]:
    """Speakers that the table names otherwise than the reader of the corpus does; none where this cannot be told."""
    if "speaker" not in utterances:
        return ()
    root = search.locate(corpora.module(corpus).CORPUS, below).root
    try:
        rows = corpora.module(corpus).read(root) if root else None
    except EmorepError:  # its own task says what is wrong
        return ()
    if rows is None or not {"path", "speaker"} <= set(rows):
        return ()
    known = dict(zip(rows["path"].map(os.path.realpath), rows["speaker"], strict=True))
    named = zip(utterances["path"], utterances["speaker"], strict=True)
    pairs = {(own, known.get(os.path.realpath(equal[path]))) for path, own in named if path in equal}
    return tuple(sorted(f"{own} is {other}" for own, other in pairs if other is not None and own != other))


def _recordings(below: Tree) -> Iterator[tuple[str, str, int]]:
    """Corpus, path and size in bytes of every recording of the known corpora among some folders."""
    for name in corpora.names():
        corpus: Corpus = corpora.module(name).CORPUS
        root = None if corpus.synthetic else search.locate(corpus, below).root
        for path in search.look(corpus, root, compare=False).files.values() if root else ():
            if os.path.isfile(path):
                yield name, str(path), os.path.getsize(path)


def _equal(path: str, sha256: str, other: str, hashes: dict[str, str]) -> bool:
    """Whether two files are one or hold the same bytes; `hashes` keeps those of the other files."""
    if os.path.samefile(path, other):
        return True
    if other not in hashes:
        try:
            with open(other, "rb") as file:
                hashes[other] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            hashes[other] = ""
    return hashes[other] == sha256
