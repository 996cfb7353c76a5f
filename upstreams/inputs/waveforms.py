"""Decoded audio that is kept, so that not every pass of a training decodes it again."""

from __future__ import annotations

import threading

import numpy as np

from upstreams.inputs.audio import Segment, decode

HELD = 2 << 30  # bytes


class Waveforms:
    """Waveforms by utterance and rate, of which the first ones that come are kept while there is room."""

    def __init__(self, room: int = HELD) -> None:
        """`room`: bytes."""
        self._left, self._held = room, dict[tuple[Segment, int], np.ndarray]()
        self._one_at_a_time = threading.Lock()

    def of(self, segment: Segment, rate: int) -> np.ndarray:
        """(samples,) float32 at `rate` Hz. Errors as of decode."""
        samples = self._held.get((segment, rate))
        if samples is not None:
            return samples
        samples = decode(segment, rate)
        with self._one_at_a_time:
            if (segment, rate) not in self._held and samples.nbytes <= self._left:
                self._held[segment, rate] = samples
                self._left -= samples.nbytes
        return samples
