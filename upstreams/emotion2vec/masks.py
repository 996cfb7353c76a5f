"""Which frames the student does not hear. Every draw follows from (seed, epoch, utterance, clone) alone."""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np


class Stream(enum.IntEnum):
    """What a draw is for, so that no two uses share their random numbers."""

    BATCHES = 0
    MASK = 1
    CROP = 2
    GAIN = 3
    TORCH = 4


class Masking(Protocol):
    """`share` of the frames is masked, in spans of `span`; `adjust`: how much more is drawn, since spans overlap."""

    share: float
    span: int
    adjust: float


def draws(stream: Stream, *key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone, wherever and whenever they are drawn (Philox, counter-based)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((int(stream), *key))))


def masked_count(frames: int, share: float) -> int:
    """How many of `frames` frames are masked: the share, rounded down, but never none and never all."""
    return min(max(int(frames * share), 1), frames - 1)


def span_masks(seed: int, epoch: int, utterance: int, frames: int, clones: int, masking: Masking) -> np.ndarray:
    """(clones, frames) bool, True where masked; clone c of it is the same for any number of clones.

    Spans lie around centres drawn with replacement and may overlap; then single frames are masked or unmasked at
    random until `masked_count` are left, so that utterances of one length keep equally many (data2vec 2.0).
    """
    centres = int(frames * (masking.share + masking.adjust) / masking.span)
    uniform = draws(Stream.MASK, seed, epoch, utterance).random((clones, centres + frames))
    first = (uniform[:, :centres] * frames).astype(int) - masking.span // 2
    covered = np.zeros((clones, frames), bool)
    spans = np.clip(first[:, :, None] + np.arange(masking.span), 0, frames - 1).reshape(clones, -1)
    np.put_along_axis(covered, spans, True, axis=1)
    order = np.argsort(uniform[:, centres:] + ~covered, axis=1)  # covered frames first, at random among themselves
    masks = np.zeros((clones, frames), bool)
    np.put_along_axis(masks, order[:, : masked_count(frames, masking.share)], True, axis=1)
    return masks
