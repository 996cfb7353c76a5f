"""Which utterances a step takes, and which of their frames are masked.

Every draw follows from the seed, the epoch and the utterance alone, whatever the number of processes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from upstreams.pretraining.recipe_sections import Recipe

SAMPLE_RATE = 16000  # Hz, of the pack and of every method
MEL_WINDOW, MEL_HOP, MEL_FFT, MEL_BINS = 400, 160, 512, 80  # of log-mel energies (mel.py): 25 ms every 10 ms
JITTER = 0.05  # sorting lengths blurred by so much (standard deviation of their logarithm) mixes neighbours


@dataclass(frozen=True)
class Position:
    """Steps done, and the place of the next one: step `index` of epoch `epoch`."""

    step: int = 0
    epoch: int = 0
    index: int = 0


@dataclass(frozen=True)
class MicroBatch:
    """Utterances that go through the model together: `samples` of each, from the places `starts` on."""

    epoch: int
    utterances: np.ndarray  # (B,) rows of the pack
    starts: np.ndarray  # (B,) samples
    samples: np.ndarray  # (B,)


class Framing(Protocol):
    """Which frames a network makes of samples: one of `min_samples` samples every `hop`."""

    @property
    def hop(self) -> int: ...

    @property
    def min_samples(self) -> int: ...

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """How many it makes of so many samples."""
        ...


class Masking(Protocol):
    """`share` of the frames is masked, in spans of `span`; `adjust`: how much more is drawn, since spans overlap."""

    @property
    def share(self) -> float: ...

    @property
    def span(self) -> int: ...

    @property
    def adjust(self) -> float: ...


class Stream(enum.IntEnum):
    """What a draw is for, so that no two uses share their random numbers."""

    BATCHES = 0
    MASK = 1
    CROP = 2
    GAIN = 3
    TORCH = 4
    VIEWS = 5


def generator(stream: Stream, *key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone, wherever and whenever they are drawn (Philox, counter-based)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((int(stream), *key))))


def gain(recipe: Recipe, epoch: int, utterance: int) -> float:
    """What an utterance is multiplied by in this epoch: up to `audio.gain_db` up or down."""
    if not (limit := recipe.audio.gain_db):
        return 1.0
    return 10 ** (generator(Stream.GAIN, recipe.seed, epoch, utterance).uniform(-limit, limit) / 20)


def gains(recipe: Recipe, micro: MicroBatch) -> np.ndarray:
    """(B,) float32: what each utterance of a micro-batch is multiplied by."""
    return np.array([gain(recipe, micro.epoch, int(utterance)) for utterance in micro.utterances], np.float32)


def batches(recipe: Recipe, lengths: np.ndarray, at: Position) -> Iterator[tuple[Position, list[MicroBatch], Position]]:
    """What is left of a run: where each step is, its micro-batches, and where the next one will be.

    lengths: (N,) samples of each utterance.
    """
    while at.step < recipe.optimiser.steps:
        plan = epoch_plan(recipe, lengths, at.epoch)
        for index in range(at.index, len(plan)):
            last = index + 1 == len(plan)
            after = Position(at.step + 1, at.epoch + last, 0 if last else index + 1)
            yield at, plan[index], after
            at = after
            if at.step == recipe.optimiser.steps:
                return


def epoch_plan(recipe: Recipe, lengths: np.ndarray, epoch: int) -> list[list[MicroBatch]]:
    """The steps of an epoch, each a list of micro-batches; every utterance is in exactly one of these.

    A micro-batch holds up to `batch.seconds`, padding included. An epoch's micro-batches are shared evenly among so
    many steps that each has about `batch.micro_batches`.
    """
    audio, batch = recipe.audio, recipe.batch
    taken = lengths if audio.crop_seconds is None else np.minimum(lengths, round(audio.crop_seconds * SAMPLE_RATE))
    rng = generator(Stream.BATCHES, recipe.seed, epoch)
    order = np.argsort(np.log(taken) + JITTER * rng.standard_normal(len(taken)), kind="stable")
    groups = _groups(order, taken, round(batch.seconds * SAMPLE_RATE))
    shuffled = [groups[i] for i in rng.permutation(len(groups))]
    steps = max(1, round(len(shuffled) / batch.micro_batches))
    bounds = np.linspace(0, len(shuffled), steps + 1).astype(int)
    micro = [_cut(utterances, lengths, taken, recipe, epoch) for utterances in shuffled]
    return [micro[a:b] for a, b in pairwise(bounds)]


def _groups(order: np.ndarray, samples: np.ndarray, budget: int) -> list[np.ndarray]:
    """Utterances in this order, as many in a group as the budget of samples allows when all are padded alike."""
    groups, group, longest = [], list[int](), 0
    for utterance in order:
        longest = max(longest, int(samples[utterance]))
        if group and longest * (len(group) + 1) > budget:
            groups.append(np.array(group))
            group, longest = [], int(samples[utterance])
        group.append(int(utterance))
    return [*groups, np.array(group)]


def _cut(utterances: np.ndarray, lengths: np.ndarray, taken: np.ndarray, recipe: Recipe, epoch: int) -> MicroBatch:
    """A micro-batch; where a part of an utterance is taken, it begins at a random place."""
    samples = taken[utterances]
    if recipe.batch.equal_lengths:
        samples = np.full_like(samples, samples.min())
    spare = lengths[utterances] - samples
    starts = [int(generator(Stream.CROP, recipe.seed, epoch, int(u)).integers(0, s + 1)) if s else 0
              for u, s in zip(utterances, spare, strict=True)]  # fmt: skip
    return MicroBatch(epoch, utterances, np.array(starts), samples)


def masked_count(frames: int, share: float) -> int:
    """How many of `frames` frames are masked: the share, rounded down, but never none and never all."""
    return min(max(int(frames * share), 1), frames - 1)


def span_masks(seed: int, epoch: int, utterance: int, frames: int, clones: int, masking: Masking) -> np.ndarray:
    """(clones, frames) bool, True where masked; clone c is the same for any number of clones.

    Spans lie around centres drawn with replacement and may overlap; then single frames are masked or unmasked at
    random until `masked_count` are left, so that utterances of one length keep equally many (data2vec 2.0).
    """
    centres = int(frames * (masking.share + masking.adjust) / masking.span)
    uniform = generator(Stream.MASK, seed, epoch, utterance).random((clones, centres + frames))
    first = (uniform[:, :centres] * frames).astype(int) - masking.span // 2
    covered = np.zeros((clones, frames), bool)
    spans = np.clip(first[:, :, None] + np.arange(masking.span), 0, frames - 1).reshape(clones, -1)
    np.put_along_axis(covered, spans, True, axis=1)
    order = np.argsort(uniform[:, centres:] + ~covered, axis=1)  # covered frames first, at random among themselves
    masks = np.zeros((clones, frames), bool)
    np.put_along_axis(masks, order[:, : masked_count(frames, masking.share)], True, axis=1)
    return masks
