"""Files of frames beside the packed speech: what is computed once for the utterances of each shard, and then mapped.

CACHE/packs/NAME        float16 (frames, width), one utterance after another
CACHE/packs/NAME.json   what they depend on, how many frames each utterance has, sha256 of the file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from commons import files, hashing
from upstreams.errors import UpstreamError


def mapped(
    path: Path, facts: Mapping[str, object], width: int, utterances: int, frames: Iterable[np.ndarray]
) -> tuple[np.ndarray, list[int]]:
    """(frames, width) float16 of a shard, and how many each of its utterances has: of a whole file, or made now.

    Args:
        facts: what the frames depend on besides what `path` names, as JSON has it. A file of others is made again.
        utterances: how many the shard has.
        frames: (T, width) of each, in order; asked for only where they have to be made.

    Raises:
        UpstreamError: the file cannot be written.
    """
    about = path.with_name(f"{path.name}.json")
    try:
        said = json.loads(about.read_text())
        counts = [int(count) for count in said["counts"]]
        whole = facts.items() <= said.items() and len(counts) == utterances and said["sha256"] == hashing.of_file(path)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        try:
            counts = _write(path, about, facts, frames)
        except OSError as error:
            raise UpstreamError(
                f"cannot write {path}: {error.strerror or error}; free space or name another folder with --cache; "
                "shards that are done are kept"
            ) from error
    if not sum(counts):
        return np.zeros((0, width), "<f2"), counts
    return np.memmap(path, "<f2", "r").reshape(-1, width), counts


def _write(path: Path, about: Path, facts: Mapping[str, object], frames: Iterable[np.ndarray]) -> list[int]:
    """The two files; how many frames each utterance has."""
    counts, digest = list[int](), hashlib.sha256()
    with files.whole(path) as out:
        for one in frames:
            content = one.astype("<f2").tobytes()
            out.write(content)
            digest.update(content)
            counts.append(len(one))
    files.write(about, json.dumps({**facts, "counts": counts, "sha256": digest.hexdigest()}))
    return counts
