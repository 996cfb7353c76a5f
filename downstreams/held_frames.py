"""Frames of all utterances as heads take them: in memory where they fit, else from disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from commons.corridors.features import Frames
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
    ) -> None:
        """Raises DownstreamError where an utterance has no frames, or one that is not finite."""
        self.widths = widths
        self.device, self._frames, self._layers = torch.device(device), frames, slice(-1, None) if last else slice(None)
        self.lengths = np.diff(frames.offsets)
        if not self.lengths.all():
            raise DownstreamError(f"utterance '{ids[self.lengths == 0][0]}' has no frames, and the head reads frames.")
        self.depth, self.width = frames[0][:, self._layers].shape[1:]
        total = int(frames.offsets[-1])
        fits = total * self.depth * self.width * 2 <= resident
        self._held: torch.Tensor | None = None
        held = np.empty((total, self.depth, self.width), np.float16) if fits else None
        for i in range(len(frames)):
            own = frames[i][:, self._layers]
            check_finite(own[None], ids[i : i + 1], "the last layer" if last else "a layer")
            if held is not None:
                held[frames.offsets[i] : frames.offsets[i + 1]] = own
        if held is not None:
            self._held = torch.as_tensor(held, device=self.device)

    def each(self, rows: np.ndarray) -> Iterator[torch.Tensor]:
        """The frames (T, L', D) float16 of some utterances, one after another."""
        offsets = self._frames.offsets
        for i in rows:
            if self._held is None:
                yield torch.as_tensor(self._frames[i][:, self._layers], device=self.device)
            else:
                yield self._held[offsets[i] : offsets[i + 1]]
