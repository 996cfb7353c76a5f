"""The speech that babble is made of: recordings from outside the task, and which of them an utterance gets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pandas as pd

from commons import hashing
from commons.errors import EmorepError
from tasks import catalogue, corpora, reading
from tasks.copies import audio_check
from tasks.derived.kinds import no_babble
from tasks.errors import TaskError
from tasks.load_options import Options
from tasks.task import Task

TALKERS = 6  # recordings that speak at once
MOST = 200  # recordings of a pool: those whose names have the smallest hashes
FEWEST = TALKERS

Recording = tuple[str, str]  # its path, and the sha256 of the file


@dataclass(frozen=True)
class Pool:
    """Recordings in the order of their hashes; `name`: the corpus or folder that they come from."""

    name: str
    recordings: tuple[Recording, ...]

    def drawn(self, content: tuple[object, ...]) -> tuple[Recording, ...]:
        """The recordings that are mixed into an utterance, by its content alone."""
        chosen: list[int] = []
        for attempt in count():
            if len(chosen) == TALKERS:
                break
            digest = hashlib.sha256(repr((*content, "babble", attempt)).encode()).digest()
            index = int.from_bytes(digest[:8], "big") % len(self.recordings)
            if index not in chosen:
                chosen.append(index)
        return tuple(self.recordings[index] for index in chosen)


def pool(base: Task, options: Options) -> Pool:
    """The pool for a task: of the user's folder, else of the first corpus at hand of other speakers, by name.

    Of a corpus, its neutral utterances are taken where it has some. Recordings of the task itself are left out.

    Raises:
        TaskError: there is neither, or fewer than six recordings.
    """
    if options.noise is not None:
        return _of_folder(base, options.noise, options)
    why = []
    for name in catalogue.of_others(base.family, options.data):
        corpus = corpora.module(name).CORPUS
        try:
            rows = reading.table(corpus, options.data, options.cache)[1]
            if "start" in rows or "path" not in rows:
                continue
            neutral = rows[rows["emotion"] == "neutral"] if "emotion" in rows else rows[:0]
            return _made(name, neutral if len(neutral) >= FEWEST else rows, base, options)
        except EmorepError as error:
            why.append(str(error))
    raise TaskError(no_babble(options.data) + "".join(f"\n  {line}" for line in why))


def _of_folder(base: Task, folder: Path, options: Options) -> Pool:
    if not folder.is_dir():
        raise TaskError(f"--noise {folder}: there is no such folder; name one that holds recordings of speech")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in corpora.SUFFIXES and file.is_file())
    ids = [file.relative_to(folder).as_posix() for file in files]
    rows = pd.DataFrame({"path": [str(file) for file in files]}, index=pd.Index(ids, name="id", dtype=str))
    return _made(folder.name, rows, base, options)


def _made(name: str, rows: pd.DataFrame, base: Task, options: Options) -> Pool:
    """The pool of a table of recordings. Raises TaskError where too few can be used."""
    order = sorted(rows.index, key=lambda one: hashlib.sha256(str(one).encode()).digest())[:MOST]
    contents, _ = audio_check.examine(rows.loc[order, ["path"]], options.cache, options.jobs)
    contents = contents[~contents["samples_sha256"].isin(base.utterances["samples_sha256"])]
    contents = contents.drop_duplicates("samples_sha256").sort_values("sha256")
    if len(contents) < FEWEST:
        raise TaskError(
            f"babble needs {FEWEST} recordings at least that are not of {base.name}; {name} has {len(contents)} that "
            "can be used: name a folder with more by --noise DIR"
        )
    paths = rows.loc[contents.index, "path"].astype(str)
    recordings = tuple(zip(paths.tolist(), contents["sha256"].tolist(), strict=True))
    return Pool(f"{name} ({hashing.short(''.join(sha256 for _, sha256 in recordings))})", recordings)
