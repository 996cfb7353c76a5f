"""Energy, pitch and voicing of the packed speech every 10 ms: targets that are measured and need no labels.

CACHE/packs/<32 hex>.tracks   (frames, 3), see shard_files.py
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from commons.progress import Progress
from upstreams.pretraining.batches import Framing, MicroBatch
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.shard_files import mapped
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
        facts = {"version": VERSION, "prosody": Prosody().fingerprint()}
        self._shards = []
        self._start = np.zeros(len(pack), int)
        with ThreadPoolExecutor(jobs) as pool:
            for index, path in enumerate(pack.paths):
                rows = np.flatnonzero(pack.shard == index)
                self._start[rows] = np.cumsum(self._frames[rows]) - self._frames[rows]
                frames = _measured(pack, rows, pool)
                self._shards.append(mapped(path.with_suffix(".tracks"), facts, len(NAMES), len(rows), frames)[0])
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


def _measured(pack: Pack, rows: np.ndarray, pool: ThreadPoolExecutor) -> Iterator[np.ndarray]:
    """(frames, 3) of each utterance; begun when the first is asked for."""
    yield from pool.map(lambda row: Prosody().frames(pack.samples(int(row)))[:, : len(NAMES)], rows)
