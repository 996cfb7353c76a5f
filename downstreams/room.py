"""How much of a training is computed at once: less, once the GPU's memory ran out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from commons.device import out_of_memory
from commons.errors import EmorepError
from downstreams import schedule
from downstreams.errors import DownstreamError

Made = TypeVar("Made")


class Room:
    """`most`: what is computed at once costs so much, with padding: seconds of audio, or characters of text."""

    def __init__(self, most: float) -> None:
        self.most = self._begun = most

    def parts(self, rows: np.ndarray, costs: np.ndarray) -> list[np.ndarray]:
        """Rows, those of least cost first, in parts for which there is room; see schedule.parts."""
        return schedule.parts(rows, costs, self.most)

    def each(
        self, rows: np.ndarray, costs: np.ndarray, do: Callable[[np.ndarray], Made]
    ) -> Iterator[tuple[np.ndarray, Made]]:
        """Parts of the rows, and what `do` gives for each; errors as those of `tried`."""
        waiting = self.parts(rows, costs)
        while waiting:
            made = self.tried(partial(do, waiting[0]), [costs[waiting[0]]])
            if made is None:
                waiting = self.parts(np.concatenate(waiting), costs)
            else:
                yield waiting.pop(0), made

    def tried(
        self, do: Callable[[], Made], parts: Sequence[np.ndarray], save: Callable[[], bool] | None = None
    ) -> Made | None:
        """What `do` gives; None where the GPU's memory did not hold it: now there is less room, for smaller parts.

        Where no part costs more than the costliest utterance alone, smaller ones would not help that one: then memory
        is saved, if it can be, and there is as much room as in the beginning.

        Args:
            parts: costs of the utterances that `do` computes at once, of each part.
            save: whether `do` takes less memory from now on; it may raise EmorepError, which says why it does not.

        Raises:
            DownstreamError: all parts are single utterances, and nothing can be saved.
        """
        try:
            return do()
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if fault := self._less(parts, save):
                raise DownstreamError(fault) from error
        torch.cuda.empty_cache()  # out of the `except`, whose traceback keeps what was computed
        return None

    def _less(self, parts: Sequence[np.ndarray], save: Callable[[], bool] | None) -> str:
        """Make parts smaller, or save memory; what to say where neither can be done."""
        largest = min(self.most, max(len(part) * float(part.max()) for part in parts))
        costliest, why = max(float(part.max()) for part in parts), ""
        if largest > costliest:
            self.most = max(largest / 2, costliest)
            return ""
        try:
            if save is not None and save():
                self.most = self._begun
                return ""
        except EmorepError as error:
            why = f"; gradients cannot be checkpointed: {error}"
        if any(len(part) > 1 for part in parts):
            self.most = largest / 2
            return ""
        return (
            "the GPU's memory does not hold the training with a single utterance at once; set `precision: bf16` in a "
            f"settings file, free some of it, or use --device cpu{why}"
        )
