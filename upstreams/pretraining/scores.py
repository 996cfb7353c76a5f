"""Frame scores of speech, from a file: how strong the emotion is, for masks and losses that follow it.

A Parquet file with columns id (the audio's path below its folder), time (s, middle of a frame) and score. Its metadata
names the corpora whose labels the scores were learnt from, and a hash of the samples of each file. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from commons import files, hashing
from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import SAMPLE_RATE, Framing
from upstreams.pretraining.pack import Pack

KEY = b"emorep"  # of the metadata
SCHEMA = pa.schema({"id": pa.dictionary(pa.int32(), pa.string()), "time": pa.float32(), "score": pa.float32()})
COLUMNS = SCHEMA.names
GROUP = 1 << 20  # frames that are written together, so that memory does not grow with the speech
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
    about: dict[str, object] = {"model": model, "seen": seen}
    audio: dict[str, str] = {}
    frames = 0
    try:
        with files.whole(path) as file, pq.ParquetWriter(file, SCHEMA) as writer:
            for group in _groups(scored):
                audio |= {one.id: one.audio for one in group}
                frames += sum(len(one.times) for one in group)
                writer.write_table(_table(group))
            writer.add_key_value_metadata({KEY: json.dumps(about | {"audio": audio})})
    except OSError as error:
        raise UpstreamError(f"{path} cannot be written ({error.strerror or error}); name another place") from error
    return frames


def _groups(scored: Iterable[Scored]) -> Iterator[list[Scored]]:
    """Files together that have so many frames as a group of rows of the table should have."""
    group: list[Scored] = []
    frames = 0
    for one in scored:
        group.append(one)
        frames += len(one.times)
        if frames >= GROUP:
            yield group
            group, frames = [], 0
    if group:
        yield group


def _table(group: Sequence[Scored]) -> pa.Table:
    places = np.repeat(np.arange(len(group), dtype=np.int32), [len(one.times) for one in group])
    ids = pa.DictionaryArray.from_arrays(places, pa.array([one.id for one in group]))
    values = [np.concatenate([getattr(one, name) for one in group]) for name in ("times", "scores")]
    return pa.table([ids, *(pa.array(value.astype(np.float32)) for value in values)], schema=SCHEMA)


def hash_of(pack: Pack) -> dict[str, str]:
    """sha256 (32 hex) of the samples of every file of a pack, whose parts follow one another.

    Raises UpstreamError where two files have one name, below two folders.
    """
    digests: dict[str, str] = {}
    for parts in parts_of(pack):
        if (name := pack.names[parts[0]]) in digests:
            raise UpstreamError(f"two files are called {name}, below two folders; name a folder that holds both")
        first, last = pack.start[parts[0]], pack.start[parts[-1]] + pack.lengths[parts[-1]]
        samples = pack.shards[pack.shard[parts[0]]][first:last]
        digests[name] = hashlib.sha256(samples.tobytes()).hexdigest()[:32]
    return digests


def offsets(pack: Pack) -> np.ndarray:
    """(N,) samples of its file that lie before each utterance of a pack."""
    before = np.zeros(len(pack), int)
    for parts in parts_of(pack):
        before[parts] = pack.start[parts] - pack.start[parts[0]]
    return before


def parts_of(pack: Pack) -> list[np.ndarray]:
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
        scored, about = _load(path)
        self.seen: dict[str, str] = about["seen"]
        self.key = hashing.of_file(path)
        _refuse(path, hash_of(pack), {name: audio for name, audio in about["audio"].items() if name in scored})
        self._of = [scored[name] for name in pack.names]
        self._before = offsets(pack)

    def of(self, utterance: int, start: int, samples: int, framing: Framing) -> np.ndarray:
        """(T,) float32: scores in the middle of the frames of so many samples, interpolated linearly."""
        times, scores = self._of[utterance]
        frames = int(framing.frames(np.array(samples)))
        middle = self._before[utterance] + start + np.arange(frames) * framing.hop + framing.min_samples / 2
        return np.interp(middle / SAMPLE_RATE, times, scores).astype(np.float32)


def _load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, dict[str, str]]]:
    """(2, frames) times and scores of every file, and what the metadata says."""
    wanted = f"expected a file that `python -m upstreams strength score` wrote, with the columns {', '.join(COLUMNS)}"
    try:
        with pq.ParquetFile(path) as file:
            about, scored = json.loads(file.metadata.metadata[KEY]), _read(file)
        whole = isinstance(about["seen"], dict) and isinstance(about["audio"], dict)
    except FileNotFoundError:
        raise UpstreamError(f"scores {path}: no such file; {wanted}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException) as error:
        raise UpstreamError(f"scores {path}: cannot be used ({str(error)[:200]}); {wanted}") from error
    if not whole:
        raise UpstreamError(f"scores {path}: does not say of which audio and labels they are; {wanted}")
    return scored, about


def _read(file: pq.ParquetFile) -> dict[str, np.ndarray]:
    """Times and scores of every file, read group by group: eight bytes a frame are all that is held.

    Raises ValueError: the rows of a file lie apart, or are no numbers.
    """
    values = np.empty((2, file.metadata.num_rows), np.float32)
    names: list[str] = []
    first: list[int] = []  # row of each name
    row = 0
    for number in range(file.num_row_groups):
        group = file.read_row_group(number)
        if not len(group):
            continue
        ids = group.column("id").combine_chunks()
        codes = ids.indices.to_numpy()
        values[:, row : row + len(group)] = [group.column(name).to_numpy() for name in COLUMNS[1:]]
        for place in [0, *np.flatnonzero(np.diff(codes)) + 1]:
            name = ids.dictionary[int(codes[place])].as_py()
            if name not in names[-1:]:
                names.append(name)
                first.append(row + int(place))
        row += len(group)
    if not np.isfinite(values).all():
        raise ValueError("some scores are no numbers")
    if len(set(names)) < len(names):
        raise ValueError("rows of a file lie apart")
    return dict(zip(names, np.split(values, first[1:], axis=1), strict=True)) if names else {}


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
