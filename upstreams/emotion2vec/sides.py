"""Side targets: beside the teacher's output, the student predicts energy, pitch and spectrum, which are measured,
and the frames of another upstream, which are given.

It predicts them for every masked frame, from the decoder's output, and may predict them for the frames that it sees,
from its last layer. It also predicts their statistics over the utterance, from the time-mean of its last layer (or mean
and deviation): these are what most heads use, and instance-normalised frame targets teach nothing about them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from upstreams.emotion2vec.recipe import Loss, SideTarget
from upstreams.pretraining.batches import MEL_BINS

WIDTHS: dict[SideTarget, int] = {"log_energy": 1, "f0": 2, "log_mel": MEL_BINS}  # f0 with voicing
SPREAD = (
    0.5,
    0.25,
    0.1,
)  # about how much means, deviations and changes vary over utterances: divided by it, all weigh alike


class Heads(nn.Module):
    """Linear layers for masked frames, for visible ones and for utterances. No checkpoint holds them."""

    def __init__(self, loss: Loss, dim: int, teacher: int = 0) -> None:
        """`teacher`: width of the frames of the upstream that is distilled."""
        super().__init__()
        self.widths = tuple(WIDTHS.get(target, teacher) for target in loss.side_targets)
        count = sum(self.widths)
        if loss.side_targets:
            self.frames = nn.Linear(dim, count)
        if loss.side_targets and loss.summary:
            self.summary = nn.Linear(dim * (1 if loss.pooled == "mean" else 2), 3 * count)
        if loss.visible:
            self.visible = nn.Linear(dim, count)


def weights(heads: Heads, like: Tensor) -> Tensor:
    """(columns,): the columns of each target share a weight of 1."""
    return torch.tensor([1 / width for width in heads.widths for _ in range(width)], device=like.device)


def side_loss(heads: Heads, layer: nn.Linear, frames: Tensor, wanted: Tensor) -> Tensor:
    """Weighted squared error of one of the heads' layers, summed over (M, D) frames, for (M, .) targets; those that are
    NaN do not count."""
    error = torch.where(wanted.isnan(), 0.0, layer(frames).float() - wanted.nan_to_num())
    return (error.square() * weights(heads, error)).sum()


def summary_loss(heads: Heads, pooled: Tensor, sides: Tensor, valid: Tensor | None) -> Tensor:
    """Weighted squared error summed over the (B * C, .) pooled frames of clones, for (B, T, .) targets of whole
    utterances."""
    wanted = statistics(sides, valid)
    error = heads.summary(pooled).float() - wanted.repeat_interleave(len(pooled) // len(wanted), 0)
    return (error.square() * weights(heads, error).repeat(3)).sum() / 3


def statistics(tracks: Tensor, valid: Tensor | None) -> Tensor:
    """(B, T, N) tracks, NaN where there is none -> (B, 3 N): mean, standard deviation, mean size of the change from
    frame to frame, each over what is there (0 where nothing is), divided by SPREAD."""
    there = ~tracks.isnan() if valid is None else ~tracks.isnan() & valid[:, :, None]
    values = torch.where(there, tracks.nan_to_num(), 0.0)
    count = there.sum(1).clamp(min=1)
    mean = values.sum(1) / count
    deviation = (torch.where(there, values - mean[:, None], 0.0).square().sum(1) / count).sqrt()
    pairs = there[:, 1:] & there[:, :-1]
    change = torch.where(pairs, values.diff(dim=1).abs(), 0.0).sum(1) / pairs.sum(1).clamp(min=1)
    return torch.cat([part / spread for part, spread in zip((mean, deviation, change), SPREAD, strict=True)], dim=1)
