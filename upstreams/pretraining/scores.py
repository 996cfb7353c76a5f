"""Frame scores of speech, from a file: how strong the emotion is, for masks and losses that follow it.

A Parquet file with columns id (the audio's path below its folder), time (s, middle of a frame) and score. Its metadata
names the corpora whose labels the scores were learnt from, and a hash of the samples of each file. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from commons import files, hashing
from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import SAMPLE_RATE, Framing
from upstreams.pretraining.pack import Pack

KEY = b"emorep"  # of the metadata
COLUMNS = ("id", "time", "score")
NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Scored:
    """The scores of a file: at `times` (s) from its beginning. `audio`: hash of its samples, by `hash_of`."""

    id: str
    audio: str
    times: np.ndarray
    scores: np.ndarray


def write(path: Path, scored: Iterable[Scored], seen: dict[str, str], model: str) -> int:
    """Write a file of scores; returns how many frames it has. `model`: what gave the scores, for people.

    Raises UpstreamError where it cannot be written.
    """
    several = list(scored)
    ids = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(several), dtype=np.int32), [len(one.times) for one in several]),
        pa.array([one.id for one in several]),
    )
    values = [np.concatenate([getattr(one, name) for one in several]) for name in ("times", "scores")]
    about = {"model": model, "seen": seen, "audio": {one.id: one.audio for one in several}}
    columns = [ids, *(pa.array(value.astype(np.float32)) for value in values)]
    table = pa.table(columns, names=list(COLUMNS)).replace_schema_metadata({KEY: json.dumps(about)})
    content = BytesIO()
    pq.write_table(table, content)
    try:
        files.write(path, content.getvalue())
    except OSError as error:
        raise UpstreamError(f"{path} cannot be written ({error.strerror or error}); name another place") from error
    return len(table)


def hash_of(pack: Pack) -> dict[str, str]:
    """sha256 (32 hex) of the samples of every file of a pack, whose parts follow one another.

    Raises UpstreamError where two files have one name, below two folders.
    """
    digests: dict[str, str] = {}
    for parts in _parts(pack):
        if (name := pack.names[parts[0]]) in digests:
            raise UpstreamError(f"two files are called {name}, below two folders; name a folder that holds both")
        first, last = pack.start[parts[0]], pack.start[parts[-1]] + pack.lengths[parts[-1]]
        samples = pack.shards[pack.shard[parts[0]]][first:last]
        digests[name] = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
    return digests


def offsets(pack: Pack) -> np.ndarray:
    """(N,) samples of its file that lie before each utterance of a pack."""
    before = np.zeros(len(pack), int)
    for parts in _parts(pack):
        before[parts] = pack.start[parts] - pack.start[parts[0]]
    return before


def _parts(pack: Pack) -> list[np.ndarray]:
    """The utterances of each file, in order; they follow one another."""
    return np.split(np.arange(len(pack)), np.flatnonzero(np.diff(pack.files)) + 1)


class Scores:
    """The scores of a pack's utterances.

    Attributes:
        seen: corpora whose labels they were learnt from -> "labels".
        key: hash of their file.
    """

    def __init__(self, path: Path, pack: Pack) -> None:
        """Raises UpstreamError: no such file, not one of scores, or it lacks files of the pack or is of other audio."""
        table, about = _load(path)
        self.seen: dict[str, str] = about["seen"]
        self.key = hashing.of_file(path)
        own = hash_of(pack)
        known: dict[str, str] = about["audio"]
        _refuse(path, own, known)
        column = table.column("id").combine_chunks()
        names, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
        times, scores = (table.column(name).to_numpy() for name in COLUMNS[1:])
        first = np.searchsorted(codes, np.arange(len(names) + 1))
        rows = {name: slice(first[i], first[i + 1]) for i, name in enumerate(names)}
        self._of = [(times[rows[name]], scores[rows[name]]) for name in pack.names]
        self._before = offsets(pack)

    def of(self, utterance: int, start: int, samples: int, framing: Framing) -> np.ndarray:
        """(T,) float32: scores in the middle of the frames of so many samples, interpolated linearly."""
        times, scores = self._of[utterance]
        frames = int(framing.frames(np.array(samples)))
        middle = self._before[utterance] + start + np.arange(frames) * framing.hop + framing.min_samples / 2
        return np.interp(middle / SAMPLE_RATE, times, scores).astype(np.float32)


def _load(path: Path) -> tuple[pa.Table, dict[str, dict[str, str]]]:
    """The table and what its metadata says."""
    wanted = f"expected a file that `python -m upstreams strength score` wrote, with the columns {', '.join(COLUMNS)}"
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[KEY])
        whole = isinstance(about["seen"], dict) and isinstance(about["audio"], dict)
        finite = all(np.isfinite(table.column(name).to_numpy()).all() for name in COLUMNS[1:])
        ordered = bool((np.diff(table.column("id").combine_chunks().indices.to_numpy()) >= 0).all())
    except FileNotFoundError:
        raise UpstreamError(f"scores {path}: no such file; {wanted}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise UpstreamError(f"scores {path}: cannot be used ({str(error)[:200]}); {wanted}") from error
    if not (whole and finite and ordered):
        raise UpstreamError(f"scores {path}: has scores that are no numbers, or rows of a file apart; {wanted}")
    return table, about


def _refuse(path: Path, own: dict[str, str], known: dict[str, str]) -> None:
    """Raises UpstreamError where files of the speech have no scores, or scores of other audio."""
    missing = [name for name in own if name not in known]
    other = [name for name in own if known.get(name, own[name]) != own[name]]
    for names, what in ((missing, "has no scores"), (other, "has scores of other audio")):
        if names:
            raise UpstreamError(
                f"scores {path}: for {len(names)} of {len(own)} files of the speech it {what}, such as "
                f"{', '.join(names[:NAMED])}; score this speech, by the same folders, "
                "with `python -m upstreams strength score`"
            )
