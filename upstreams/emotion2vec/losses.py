"""The two losses, as sums to be divided by counts over the whole batch of a step, in all its processes."""

from __future__ import annotations

import math

from torch import Tensor

from upstreams.emotion2vec.recipe import Weighting


def squared(prediction: Tensor, target: Tensor, scale: float | None) -> Tensor:
    """Sum over all rows of (N, D) of the squared distance, times `scale` (None: 1/sqrt(D), data2vec 2.0)."""
    scale = 1 / math.sqrt(target.shape[-1]) if scale is None else scale
    return (prediction.float() - target.float()).square().sum() * scale


def utterance_weight(weighting: Weighting, utterances: int) -> float:
    """What the summed utterance loss is multiplied by, besides alpha.

    mean: 1 / utterances, L = mean over masked frames + alpha * mean over utterances (the paper).
    released: 1. data2vec 2.0's code multiplies the utterance loss by the number of masked frames before all losses
        are divided by it, which leaves the sum over the utterances of the batch.
    """
    return 1 / utterances if weighting == "mean" else 1.0
