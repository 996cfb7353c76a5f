"""The two losses, as sums to be divided by counts over the whole batch of a step, in all its processes."""

from __future__ import annotations

import math

from torch import Tensor

from upstreams.emotion2vec.recipe import Weighting


def squared(prediction: Tensor, target: Tensor, scale: float | None) -> Tensor:
    """Sum over all rows of (N, D) of the squared distance, times `scale` (None: 1/sqrt(D), data2vec 2.0)."""
    scale = 1 / math.sqrt(target.shape[-1]) if scale is None else scale
    return (prediction.float() - target.float()).square().sum() * scale


def utterance_weight(weighting: Weighting, utterances: int, share: float) -> float:
    """What a micro-batch's summed utterance loss is multiplied by, besides alpha.

    mean: 1 / utterances of the step, L = mean over masked frames + alpha * mean over utterances (the paper).
    released: the micro-batch's share of the step's masked frames. data2vec 2.0's code multiplies the sum over the
        utterances of a micro-batch by its number of masked frames, n_m; fairseq adds up the micro-batches of a step
        and divides by the sum of all n_m.
    """
    return 1 / utterances if weighting == "mean" else share
