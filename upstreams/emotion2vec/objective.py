"""What is minimised on a micro-batch: a student that gets half of the frames predicts a teacher that gets all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from upstreams.emotion2vec.masked_batch import Inputs
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.recipe import Recipe, UtteranceTarget, Weighting
from upstreams.emotion2vec.sides import Heads, side_loss, summary_loss
from upstreams.pretraining.meter import moments

EPS = 1e-5


class Terms(NamedTuple):
    """Sums over a micro-batch, not yet divided by the counts of the step."""

    frame: Tensor  # over masked frames
    utterance: Tensor  # over clones
    side: Tensor  # over masked frames
    visible: Tensor  # over frames that the student sees
    summary: Tensor  # over clones
    moments: Tensor  # (3, 2, D): see meter.moments, of frame targets, predictions, utterance targets


class Predicted(NamedTuple):
    """What the student makes of B utterances with C clones each."""

    frames: Tensor | None  # (B * C, T, D) predictions for all frames; None: no loss needs them
    embedding: Tensor  # (B * C, D) the mean of the tokens' outputs, or (global) of the encoded frames'
    visible: Tensor  # (B * C, K, D) the last layer, of the frames that it gets
    means: Tensor  # (B * C, D) their means


def terms(student: Emotion2vec, teacher: Emotion2vec, heads: Heads, inputs: Inputs, recipe: Recipe) -> Terms:
    """The losses of a micro-batch (emotion2vec, 3.2 and 3.3); those of side targets are ours.

    Where no loss needs the teacher, the decoder or the student's masked utterances, they are not computed, and their
    terms are 0.
    """
    loss, device = recipe.loss, inputs.waveforms.device
    frame = utterance = side = visible = summary = torch.zeros((), device=device)
    statistics = torch.zeros(3, 2, student.config.dim, dtype=torch.float64, device=device)
    if not loss.of_masked:
        return Terms(frame, utterance, side, visible, summary, statistics)
    features, _ = student.local(inputs.waveforms, inputs.lengths)
    made = predict(student, features, inputs, recipe)
    clone, t = inputs.masked_at
    predicted = None if made.frames is None else made.frames[clone, t]
    if loss.from_average:
        frame_y, utterance_y = targets(teacher, features.detach(), inputs, recipe)
        target = frame_y[clone // inputs.clones, t]
        utterance = squared(made.embedding, utterance_y.repeat_interleave(inputs.clones, 0), loss.scale)
        statistics[0], statistics[2] = moments(target), moments(utterance_y)
        if predicted is not None:
            frame = squared(predicted, target, loss.scale)
            statistics[1] = moments(predicted)
    if inputs.sides is not None:
        if predicted is not None:
            side = side_loss(heads, heads.frames, predicted, inputs.sides[clone // inputs.clones, t])
        if loss.visible:
            rows = torch.arange(len(inputs.kept), device=clone.device)[:, None] // inputs.clones
            wanted = inputs.sides[rows, inputs.kept]
            there = ... if inputs.kept_valid is None else inputs.kept_valid
            visible = side_loss(heads, heads.visible, made.visible[there], wanted[there])
        if loss.summary:
            pooled = made.means
            if loss.pooled == "mean_and_deviation":
                pooled = torch.cat([pooled, time_deviation(made.visible, pooled, inputs.kept_valid)], dim=1)
            summary = summary_loss(heads, pooled, inputs.sides, inputs.valid)
    return Terms(frame, utterance, side, visible, summary, statistics)


@torch.no_grad()
def targets(teacher: Emotion2vec, features: Tensor, inputs: Inputs, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Frame targets (B, T, D) and utterance targets (B, D) of the student's own local features (B, T, D)."""
    positions = torch.arange(features.shape[1], device=features.device)[None]
    ffn = teacher.encode(teacher.positioned(features, inputs.valid), positions, inputs.valid).ffn
    valid = inputs.valid
    if valid is None:
        valid = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    layers, kind = recipe.teacher.layers, recipe.loss.utterance_target
    return frame_targets(ffn, valid, layers), utterance_targets(ffn, valid, layers, kind)


def predict(student: Emotion2vec, features: Tensor, inputs: Inputs, recipe: Recipe) -> Predicted:
    """What the student predicts: the local features are computed once an utterance; each clone masks them and encodes
    the others."""
    valid = None if inputs.valid is None else inputs.valid.repeat_interleave(inputs.clones, 0)
    x = student.positioned(features.repeat_interleave(inputs.clones, 0), valid, inputs.masked)
    where = inputs.kept[:, :, None].expand(-1, -1, x.shape[-1])
    encoded = student.encode(x.gather(1, where), inputs.kept, inputs.kept_valid)
    frames = encoded.hidden[-1]
    means = frames.mean(1) if inputs.kept_valid is None else time_mean(frames, inputs.kept_valid)
    embedding = means if recipe.loss.utterance_loss == "global" else encoded.tokens.mean(1)
    if not recipe.loss.decodes:
        return Predicted(None, embedding, frames, means)
    known = F.dropout(frames, student.config.decoder_dropout, student.training)
    noise = recipe.masking.noise * torch.randn(x.shape, dtype=known.dtype, device=x.device)
    if inputs.kept_valid is not None:
        known = torch.where(inputs.kept_valid[:, :, None], known, noise[:, : known.shape[1]])
    return Predicted(student.decode(noise.scatter(1, where, known), valid), embedding, frames, means)


def instance_norm(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, D) with mean 0 and variance 1 over the valid frames, for each utterance and channel; 0 elsewhere."""
    weight = valid.unsqueeze(-1).to(x.dtype)
    count = weight.sum(1, keepdim=True)
    centred = (x - (x * weight).sum(1, keepdim=True) / count) * weight
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / count + EPS)


def time_mean(x: Tensor, valid: Tensor) -> Tensor:
    """(B, D): the mean of (B, T, D) over the valid frames."""
    weight = valid.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)


def time_deviation(x: Tensor, means: Tensor, valid: Tensor | None) -> Tensor:
    """(B, D): the standard deviation of (B, T, D) over the valid frames, whose (B, D) means are known."""
    squares = (x - means[:, None]).square()
    return ((squares.mean(1) if valid is None else time_mean(squares, valid)) + EPS).sqrt()


def frame_targets(ffn: Sequence[Tensor], valid: Tensor, layers: int) -> Tensor:
    """(B, T, D): the average of the FFN outputs (before the residual) of the top `layers` blocks.

    Each output is instance-normalised over time before averaging; there is no norm afterwards (emotion2vec, 3.2;
    data2vec 2.0's code).
    """
    top = ffn[-layers:]
    total = instance_norm(top[0].float(), valid)
    for output in top[1:]:
        total += instance_norm(output.float(), valid)
    return total / len(top)


def utterance_targets(ffn: Sequence[Tensor], valid: Tensor, layers: int, kind: UtteranceTarget) -> Tensor:
    """(B, D): what the utterance embedding has to predict.

    as_published: the time-mean of the frame targets. These are instance-normalised, so the mean is 0 for every
        utterance, and the network can only learn to give 0.
    raw_mean: the time-mean of the same FFN outputs as they are, averaged over the layers.
    layer_norm: the same, but each layer's time-mean first gets mean 0 and variance 1 over its channels, so that all
        layers have equal weight and the scale is that of the frame targets.
    """
    if kind == "as_published":
        return time_mean(frame_targets(ffn, valid, layers), valid)
    means = torch.stack([time_mean(output.float(), valid) for output in ffn[-layers:]])
    if kind == "layer_norm":
        means = torch.nn.functional.layer_norm(means, means.shape[-1:], eps=EPS)
    return means.mean(0)


def squared(prediction: Tensor, target: Tensor, scale: float | None) -> Tensor:
    """Sum over all rows of (N, D) of the squared distance, times `scale` (None: 1/sqrt(D), data2vec 2.0)."""
    scale = 1 / math.sqrt(target.shape[-1]) if scale is None else scale
    return (prediction.float() - target.float()).square().sum() * scale


def utterance_weight(weighting: Weighting, utterances: int, share: float) -> float:
    """The factor of a micro-batch's summed utterance loss, besides alpha.

    mean: 1 / utterances of the step, L = mean over masked frames + alpha * mean over utterances (the paper).
    released: the micro-batch's share of the step's masked frames. data2vec 2.0's code multiplies the sum over the
        utterances of a micro-batch by its number of masked frames, n_m; fairseq adds up the micro-batches of a step
        and divides by the sum of all n_m.
    """
    return 1 / utterances if weighting == "mean" else share
