"""Energy, pitch and voicing of the packed speech every 10 ms: targets that are measured and need no labels.

CACHE/packs/<32 hex>.tracks   float16 (frames, 3) of a shard's utterances, one after another; with it .tracks.json
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from commons import files, hashing
from commons.progress import Progress
from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import Framing, MicroBatch
from upstreams.pretraining.pack import Pack
from upstreams.prosody import Prosody

HOP = 160  # samples
NAMES = ("log_f0", "voicing", "log_energy")
CENTRE = np.array([5.2, 0.5, -8.0], np.float32)  # about those of speech at large: all three then vary by about 1,
SCALE = np.array([0.4, 0.5, 3.0], np.float32)  # and none outweighs the others
VERSION = 1


class Tracks:
    """The tracks of a pack, made once."""

    def __init__(self, pack: Pack, jobs: int = 1, progress: Progress | None = None) -> None:
        """Raises UpstreamError for a full disk; shards that are done are kept."""
        self._frames = pack.lengths // HOP + 1
        self._shards = []
        self._start = np.zeros(len(pack), int)
        with ThreadPoolExecutor(jobs) as pool:
            for index, path in enumerate(pack.paths):
                rows = np.flatnonzero(pack.shard == index)
                self._start[rows] = np.cumsum(self._frames[rows]) - self._frames[rows]
                self._shards.append(_shard(pack, rows, path, pool))
                if progress:
                    progress(int(rows[-1]) + 1 if len(rows) else 0, len(pack))
        self._of = pack.shard

    def of(self, micro: MicroBatch, framing: Framing, gains: np.ndarray) -> np.ndarray:
        """(B, T, 3) float32 at the middle of each frame: log F0 (NaN where unvoiced), voicing, log energy.

        All are centred and scaled by constants. `gains` (B,) are what the waveforms were multiplied by.
        """
        frames = framing.frames(micro.samples)
        tracks = np.zeros((len(frames), frames.max(), len(NAMES)), np.float32)
        for row, (utterance, start, t, gain) in enumerate(
            zip(micro.utterances, micro.starts, frames, gains, strict=True)
        ):
            middle = start + np.arange(t) * framing.hop + framing.min_samples / 2
            rows = np.minimum(np.rint(middle / HOP).astype(int), self._frames[utterance] - 1)
            values = self._shards[self._of[utterance]][self._start[utterance] + rows].astype(np.float32)
            values[:, 2] += 2 * np.log(gain)
            values = (values - CENTRE) / SCALE
            values[values[:, 1] < 0, 0] = np.nan
            tracks[row, :t] = values
        return tracks


def _shard(pack: Pack, rows: np.ndarray, pcm: Path, pool: ThreadPoolExecutor) -> np.ndarray:
    """(frames, 3) float16 of a shard's utterances, mapped from a file that is there and whole, or made now."""
    path, about = pcm.with_suffix(".tracks"), pcm.with_suffix(".tracks.json")
    facts = {"version": VERSION, "prosody": Prosody().fingerprint()}
    try:
        whole = json.loads(about.read_text()) == {**facts, "sha256": hashing.of_file(path)}
    except (FileNotFoundError, ValueError):
        whole = False
    if not whole:
        measured = list(pool.map(lambda row: Prosody().frames(pack.samples(int(row)))[:, :3].astype("<f2"), rows))
        content = np.concatenate(measured or [np.zeros((0, 3), "<f2")]).tobytes()
        try:
            files.write(path, content)
            files.write(about, json.dumps({**facts, "sha256": hashlib.sha256(content).hexdigest()}))
        except OSError as error:
            raise UpstreamError(
                f"cannot write {path}: {error.strerror or error}; free space or name another folder with --cache; "
                "shards that are done are kept"
            ) from error
    return np.memmap(path, "<f2", "r").reshape(-1, 3) if len(rows) else np.zeros((0, 3), "<f2")
