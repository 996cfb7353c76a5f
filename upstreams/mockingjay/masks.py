"""Which frames are masked, and what the network gets in their place. numpy alone."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import numpy as np

from upstreams.mockingjay.recipe import Masking

ZEROED, COPIED = 0.8, 0.1  # share of utterances whose masked frames are zeros, or other frames; the rest keep theirs
ZERO = -1


class Mask(NamedTuple):
    """One utterance's.

    covered: (T,) True for frames to be reconstructed.
    source: (T,) the frame whose values the network gets at each place; ZERO: zeros.
    """

    covered: np.ndarray
    source: np.ndarray


def draw(masking: Masking, frames: int, rng: np.random.Generator, scores: np.ndarray | None = None) -> Mask:
    """The mask of an utterance of so many frames.

    scores: (frames,) by which spans are chosen; not used by `random`.
    """
    random = _covered(_random_starts(masking, frames, rng), masking.span, frames)
    if masking.kind == "random":
        return Mask(random, _source(random, rng))
    assert scores is not None
    if masking.kind == "intensity":
        covered = _covered(_high_starts(masking, scores, rng), masking.span, frames)
    else:
        wanted = -scores if masking.kind == "intensity_low" else scores
        covered = _equal(wanted, masking.span, int(random.sum()))
        covered = _moved(covered, scores) if masking.kind == "intensity_moved" else covered
    return Mask(covered, _source(covered, rng))


def spans(masking: Masking, frames: int) -> int:
    """How many spans are drawn. At least one: s3prl drops utterances that would get none."""
    return max(1, round(frames * masking.share / masking.span))


def stretches(covered: np.ndarray) -> np.ndarray:
    """(n, 2) first frame, and the one after the last, of each unbroken stretch that is masked."""
    return np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]))).reshape(-1, 2)


def _random_starts(masking: Masking, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Drawn without replacement; their spans may overlap."""
    return rng.permutation(max(frames - masking.span, 1))[: spans(masking, frames)]


def _high_starts(masking: Masking, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As published: of n spans, starts among the 2n frames of highest score, else random ones."""
    number, last = spans(masking, len(scores)), max(len(scores) - masking.span, 1)
    high = np.argsort(-scores, kind="stable")[: 2 * number]
    starts = high[high < last][:number]
    others = rng.permutation(np.setdiff1d(np.arange(last), starts))
    return np.concatenate([starts, others[: number - len(starts)]])


def _covered(starts: np.ndarray, span: int, frames: int) -> np.ndarray:
    covered = np.zeros(frames, bool)
    covered[np.minimum(starts[:, None] + np.arange(span), frames - 1)] = True
    return covered


def _equal(scores: np.ndarray, span: int, number: int) -> np.ndarray:
    """`number` frames in spans that do not overlap, of the highest mean score first; the last one is cut short."""
    covered, left = np.zeros(len(scores), bool), number
    span = min(span, len(scores))
    means = np.convolve(scores, np.ones(span) / span, "valid")
    for start in np.argsort(-means, kind="stable"):
        if left and not covered[start : start + span].any():
            covered[start : start + min(span, left)] = True
            left = number - int(covered.sum())
    free = np.flatnonzero(~covered)  # gaps between spans, where so many frames are masked that no span fits any more
    covered[free[np.argsort(-scores[free], kind="stable")[:left]]] = True
    return covered


def _moved(covered: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The same mask some frames later, what leaves the end coming back at the beginning.

    How many frames is a hash of the scores: so it has nothing to do with where they are high, and is the same in every
    epoch, as the places are that scores choose.
    """
    return np.roll(covered, np.random.default_rng(crc32(scores.tobytes())).integers(1, max(len(covered), 2)))


def _source(covered: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The dice are thrown once an utterance: masked frames are zeros, or a copy of frames elsewhere, or themselves."""
    frames, dice = len(covered), rng.random()
    source = np.arange(frames)
    if dice < ZEROED:
        source[covered] = ZERO
    elif dice < ZEROED + COPIED:
        for start, end in stretches(covered):
            source[start:end] = rng.integers(0, frames - (end - start) + 1) + np.arange(end - start)
    return source


def log_energy(waveform: np.ndarray, window: int, hop: int) -> np.ndarray:
    """(T,) log of the mean square of each frame."""
    views = np.lib.stride_tricks.sliding_window_view(np.square(waveform), window)[::hop]
    return np.log(views.mean(1) + 1e-10)
