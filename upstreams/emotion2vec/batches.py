"""Which utterances a step sees: drawn from (seed, epoch) alone, whatever the number of processes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from upstreams.emotion2vec.config import MEL_HOP, MEL_WINDOW, ModelConfig
from upstreams.emotion2vec.masks import Stream, draws

JITTER = 0.05  # sorting lengths blurred by so much (standard deviation of their logarithm) mixes neighbours


@dataclass(frozen=True)
class MicroBatch:
    """Utterances that go through the model together; `samples` of each are heard, at the places `starts`."""

    epoch: int
    utterances: np.ndarray  # (B,) rows of the pack
    starts: np.ndarray  # (B,) samples
    samples: np.ndarray  # (B,)


def frames_of(network: ModelConfig, samples: np.ndarray) -> np.ndarray:
    """Frames that the local encoder makes of so many samples."""
    frames = (samples.astype(int) - MEL_WINDOW) // MEL_HOP + 1 if network.stem == "log_mel" else samples.astype(int)
    for _, kernel, stride in network.conv_layers:
        frames = (frames - kernel) // stride + 1
    return frames


def epoch_plan(
    lengths: np.ndarray, budget: int, micro_batches: int, seed: int, epoch: int, crop: int | None, equal: bool
) -> list[list[MicroBatch]]:
    """The steps of an epoch, each a list of micro-batches; every utterance is in exactly one.

    Args:
        lengths: (N,) samples of each utterance.
        budget: samples a micro-batch may hold, padding included.
        micro_batches: of one step, over all processes; steps of an epoch differ by one at most.
        crop: samples heard of a longer utterance, at a random place; None: all.
        equal: an utterance is cut, at a random place, to the shortest of its micro-batch, so that nothing is padded.
    """
    heard = lengths if crop is None else np.minimum(lengths, crop)
    rng = draws(Stream.BATCHES, seed, epoch)
    order = np.argsort(np.log(heard) + JITTER * rng.standard_normal(len(heard)), kind="stable")
    batches, batch, longest = [], list[int](), 0
    for utterance in order:
        longest = max(longest, int(heard[utterance]))
        if batch and longest * (len(batch) + 1) > budget:
            batches.append(np.array(batch))
            batch, longest = [], int(heard[utterance])
        batch.append(int(utterance))
    batches.append(np.array(batch))
    shuffled = [batches[i] for i in rng.permutation(len(batches))]
    steps = max(1, round(len(shuffled) / micro_batches))
    bounds = np.linspace(0, len(shuffled), steps + 1).astype(int)
    micro = [_cut(utterances, lengths, heard, seed, epoch, equal) for utterances in shuffled]
    return [micro[a:b] for a, b in pairwise(bounds)]


def _cut(
    utterances: np.ndarray, lengths: np.ndarray, heard: np.ndarray, seed: int, epoch: int, equal: bool
) -> MicroBatch:
    samples = heard[utterances]
    if equal:
        samples = np.full_like(samples, samples.min())
    spare = lengths[utterances] - samples
    starts = [int(draws(Stream.CROP, seed, epoch, int(u)).integers(0, s + 1)) if s else 0
              for u, s in zip(utterances, spare, strict=True)]  # fmt: skip
    return MicroBatch(epoch, utterances, np.array(starts), samples)
