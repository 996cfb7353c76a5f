"""Frames of all utterances as heads take them: in memory where they fit, else from disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from commons.corridors.features import Frames
from commons.device import out_of_memory
from downstreams.checks import check_finite
from downstreams.errors import DownstreamError

RESIDENT = 4 << 30  # bytes; frames that need more stay on disk and are read batch by batch


class HeldFrames:
    """The frames of the last layer, or of all layers, float16.

    Attributes:
        lengths: (N,) frames of each utterance.
        depth, width: L' layers and D.
        widths: of the parts of D, see part_weights.py; empty: there is one.
    """

    def __init__(
        self,
        frames: Frames,
        ids: np.ndarray,
        device: str,
        last: bool = True,
        widths: tuple[int, ...] = (),
        resident: int = RESIDENT,
        rows: np.ndarray | None = None,
    ) -> None:
        """Frames that are held in memory are a copy; the given ones are not kept beside it.

        Args:
            rows: the utterances that are read, the others may have no frames; None: all.

        Raises:
            DownstreamError: an utterance that is read has no frames, or one has a frame that is not finite.
        """
        self.widths, self._layers = widths, slice(-1, None) if last else slice(None)
        self.device, self._offsets = torch.device(device), frames.offsets
        self.lengths = np.diff(frames.offsets)
        asked = np.arange(len(ids)) if rows is None else rows
        empty = asked[self.lengths[asked] == 0]
        if len(empty):
            raise DownstreamError(f"utterance '{ids[empty[0]]}' has no frames, and the head reads frames.")
        self.depth, self.width = frames[0][:, self._layers].shape[1:]
        total = int(frames.offsets[-1])
        fits = total * self.depth * self.width * 2 <= resident
        held = np.empty((total, self.depth, self.width), np.float16) if fits else None
        for i in range(len(frames)):
            own = frames[i][:, self._layers]
            check_finite(own[None], ids[i : i + 1], "the last layer" if last else "a layer")
            if held is not None:
                held[frames.offsets[i] : frames.offsets[i + 1]] = own
        self._held = None if held is None else self._placed(held)
        self._frames = frames if held is None else None

    def _placed(self, held: np.ndarray) -> torch.Tensor:
        """On the device, or, where its memory does not hold them, in that of the process."""
        own = torch.as_tensor(held)
        try:
            return own.to(self.device)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        return own

    def each(self, rows: np.ndarray) -> Iterator[torch.Tensor]:
        """The frames (T, L', D) float16 of some utterances, one after another."""
        for i in rows:
            if self._frames is not None:
                yield torch.as_tensor(self._frames[i][:, self._layers], device=self.device)
            elif self._held is not None:
                yield self._held[self._offsets[i] : self._offsets[i + 1]].to(self.device)
