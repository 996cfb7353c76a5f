"""Which known corpus the recordings of a user's table come from."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tasks import corpora
from tasks.copies import search
from tasks.corpora import Corpus

MOST = 100  # files of the table that are compared


@dataclass(frozen=True)
class Same:
    """A corpus at hand that holds most of the files compared, and how many of how many."""

    corpus: str
    same: int
    compared: int

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
        utterances: with the columns `path` and `sha256` (of the file).
    """
    files = dict(zip(utterances["path"].tolist(), utterances["sha256"].tolist(), strict=True))
    paths = list(files)[:: max(1, -(-len(files) // MOST))]
    sizes = {path: os.path.getsize(path) for path in paths}
    wanted: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for corpus, path, size in _recordings(data):
        if size in sizes.values():
            wanted[size].append((corpus, path))
    hits: Counter[str] = Counter()
    hashes: dict[str, str] = {}
    for path in paths:
        hits.update({corpus for corpus, other in wanted[sizes[path]] if _equal(path, files[path], other, hashes)})
    corpus, same = next(iter(hits.most_common(1)), ("", 0))
    return Same(corpus, same, len(paths)) if same > len(paths) / 2 else None


def _recordings(data: Path) -> Iterator[tuple[str, str, int]]:
    """Corpus, path and size in bytes of every recording of the known corpora under a folder."""
    below = search.tree(data)
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
