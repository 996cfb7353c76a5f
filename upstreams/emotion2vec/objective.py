"""What is minimised on a micro-batch: the student, hearing half of the frames, predicts the teacher, hearing all."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from upstreams.emotion2vec.heard import Heard
from upstreams.emotion2vec.losses import squared
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.sides import Heads, side_loss, summary_loss
from upstreams.emotion2vec.targets import frame_targets, time_mean, utterance_targets


class Terms(NamedTuple):
    """Sums over a micro-batch, not yet divided by the counts of the step."""

    frame: Tensor  # over masked frames
    utterance: Tensor  # over clones
    side: Tensor  # over masked frames
    summary: Tensor  # over clones
    moments: Tensor  # (3, 2, D): see `moments`, of frame targets, predictions, utterance targets


def terms(student: Emotion2vec, teacher: Emotion2vec, heads: Heads, heard: Heard, recipe: Recipe) -> Terms:
    """The losses of a micro-batch (emotion2vec, 3.2 and 3.3); those of side targets are ours."""
    features, _ = student.local(heard.waveforms, heard.lengths)
    frame_y, utterance_y = targets(teacher, features.detach(), heard, recipe)
    prediction, embedding, means = predict(student, features, heard, recipe)
    clone, t = heard.masked_at
    predicted, target = prediction[clone, t], frame_y[clone // heard.clones, t]
    scale, wanted = recipe.loss.scale, recipe.loss.side_targets
    side = summary = torch.zeros((), device=predicted.device)
    if heard.tracks is not None:
        side = side_loss(heads, predicted, heard.tracks[clone // heard.clones, t], wanted)
        if recipe.loss.summary:
            summary = summary_loss(heads, means, heard.tracks, heard.valid, wanted)
    return Terms(
        squared(predicted, target, scale),
        squared(embedding, utterance_y.repeat_interleave(heard.clones, 0), scale),
        side,
        summary,
        torch.stack([moments(target), moments(predicted), moments(utterance_y)]),
    )


@torch.no_grad()
def targets(teacher: Emotion2vec, features: Tensor, heard: Heard, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Frame targets (B, T, D) and utterance targets (B, D) of the student's own local features (B, T, D)."""
    positions = torch.arange(features.shape[1], device=features.device)[None]
    ffn = teacher.encode(teacher.positioned(features, heard.valid), positions, heard.valid).ffn
    valid = heard.valid
    if valid is None:
        valid = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    layers, kind = recipe.teacher.layers, recipe.loss.utterance_target
    return frame_targets(ffn, valid, layers), utterance_targets(ffn, valid, layers, kind)


def predict(student: Emotion2vec, features: Tensor, heard: Heard, recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions (B * C, T, D) for all frames, utterance embeddings and means of the encoded frames, both (B * C, D).

    The local features are computed once an utterance; each clone masks them, and encodes what is left. The
    embedding is the mean of the tokens' outputs, or (global) of the encoded frames'.
    """
    valid = None if heard.valid is None else heard.valid.repeat_interleave(heard.clones, 0)
    x = student.positioned(features.repeat_interleave(heard.clones, 0), valid, heard.masked)
    where = heard.kept[:, :, None].expand(-1, -1, x.shape[-1])
    encoded = student.encode(x.gather(1, where), heard.kept, heard.kept_valid)
    frames = encoded.hidden[-1]
    means = frames.mean(1) if heard.kept_valid is None else time_mean(frames, heard.kept_valid)
    embedding = means if recipe.loss.utterance_loss == "global" else encoded.tokens.mean(1)
    visible = F.dropout(frames, student.config.decoder_dropout, student.training)
    noise = recipe.masking.noise * torch.randn(x.shape, dtype=visible.dtype, device=x.device)
    if heard.kept_valid is not None:
        visible = torch.where(heard.kept_valid[:, :, None], visible, noise[:, : visible.shape[1]])
    return student.decode(noise.scatter(1, where, visible), valid), embedding, means


@torch.no_grad()
def moments(x: Tensor) -> Tensor:
    """(2, D) float64: sums of the rows of (N, D) and of their squares."""
    return torch.stack([x.sum(0, dtype=torch.float64), x.float().square().sum(0, dtype=torch.float64)])


def spread(sums: Tensor, count: int) -> float:
    """data2vec's measure of collapse: the standard deviation over `count` rows, averaged over channels."""
    total, squares = sums
    variance = (squares - total.square() / count) / max(count - 1, 1)
    return float((variance.clamp(min=0) + 1e-6).sqrt().mean())
