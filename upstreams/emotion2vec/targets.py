"""What the student shall predict, made of what the teacher's blocks compute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from upstreams.emotion2vec.recipe import UtteranceTarget

EPS = 1e-5


def instance_norm(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, D) with mean 0 and variance 1 over the valid frames of every utterance and channel; 0 elsewhere."""
    weight = valid.unsqueeze(-1).to(x.dtype)
    count = weight.sum(1, keepdim=True)
    centred = (x - (x * weight).sum(1, keepdim=True) / count) * weight
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / count + EPS)


def time_mean(x: Tensor, valid: Tensor) -> Tensor:
    """(B, D): the mean of (B, T, D) over the valid frames."""
    weight = valid.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)


def frame_targets(ffn: Sequence[Tensor], valid: Tensor, layers: int) -> Tensor:
    """(B, T, D): the FFN outputs (before the residual) of the top `layers` blocks, each instance-normalised over
    time, averaged; no norm after averaging (emotion2vec, 3.2; data2vec 2.0's code)."""
    top = ffn[-layers:]
    total = instance_norm(top[0].float(), valid)
    for output in top[1:]:
        total += instance_norm(output.float(), valid)
    return total / len(top)


def utterance_targets(ffn: Sequence[Tensor], valid: Tensor, layers: int, kind: UtteranceTarget) -> Tensor:
    """(B, D): what the utterance embedding shall predict.

    as_published: the time-mean of the frame targets. These are instance-normalised, so it is 0 for every utterance:
        nothing can be learnt from it but to output 0.
    raw_mean: the time-mean of the same FFN outputs as they are, averaged over the layers.
    layer_norm: the same, with each layer's time-mean first brought to mean 0 and variance 1 over its channels, so
        that all layers weigh alike and the scale is that of the frame targets.
    """
    if kind == "as_published":
        return time_mean(frame_targets(ffn, valid, layers), valid)
    means = torch.stack([time_mean(output.float(), valid) for output in ffn[-layers:]])
    if kind == "layer_norm":
        means = torch.nn.functional.layer_norm(means, means.shape[-1:], eps=EPS)
    return means.mean(0)
