"""Other voices: the log-mel energies of an utterance as another speaker might have them, with gaps.

Few speakers have labels; without this the network learns who they are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

WARP = 0.15  # bands and tempo are stretched by up to e to this power
MASKS, BANDS, FRAMES = 2, 15, 20  # gaps of bands and of frames, each, and the widest of them


def varied(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """(T, F) relative to the speaker -> (T', F): bands and tempo stretched, some bands and frames at the mean.

    Stretched bands are roughly those of a longer or shorter vocal tract (Jaitly and Hinton 2013), which stretches Hz,
    not mel bands; gaps are those of SpecAugment (Park et al., Interspeech 2019, without its warping of time).
    """
    bands, tempo = np.exp(WARP * rng.uniform(-1, 1, 2))
    mel = _read(mel.T, torch.arange(mel.shape[1]) * bands).T
    mel = _read(mel, torch.arange(max(2, round(len(mel) * tempo))) / tempo)
    for _ in range(MASKS):
        for rows, widest in ((mel, FRAMES), (mel.T, BANDS)):
            width = int(rng.integers(min(widest, len(rows) // 5) + 1))
            start = int(rng.integers(len(rows) - width + 1))
            rows[start : start + width] = 0
    return mel


def _read(rows: Tensor, at: Tensor) -> Tensor:
    """The rows at fractional places, between two of them by a line; behind the last, the last."""
    at = at.clamp(max=len(rows) - 1)
    low = at.long()
    high, part = (low + 1).clamp(max=len(rows) - 1), (at - low)[:, None].to(rows.dtype)
    return rows[low] * (1 - part) + rows[high] * part
