"""Side targets: beside the teacher's output, the student predicts energy, pitch and spectrum, which are measured.

It predicts them for every masked frame. It also predicts their statistics over the utterance, from the time-mean of its
last layer: that mean is what most heads use, and instance-normalised frame targets teach nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from upstreams.emotion2vec.recipe import Loss, SideTarget
from upstreams.pretraining.batches import MEL_BINS

COLUMNS: dict[str, tuple[int, ...]] = {  # of the tracks: f0 with voicing
    "log_energy": (2,),
    "f0": (0, 1),
    "log_mel": tuple(range(3, 3 + MEL_BINS)),
}
SPREAD = (
    0.5,
    0.25,
    0.1,
)  # about how much means, deviations and changes vary over utterances: divided by it, all weigh alike


class Heads(nn.Module):
    """A linear layer for frames and one for utterances. Only training uses them: no checkpoint holds them."""

    def __init__(self, loss: Loss, dim: int) -> None:
        super().__init__()
        count = len(columns(loss.side_targets))
        if loss.side_targets:
            self.frames = nn.Linear(dim, count)
        if loss.side_targets and loss.summary:
            self.summary = nn.Linear(dim, 3 * count)


def columns(side_targets: Sequence[SideTarget]) -> list[int]:
    """Columns of the tracks that these targets take."""
    return [column for target in side_targets for column in COLUMNS[target]]


def weights(side_targets: Sequence[SideTarget], like: Tensor) -> Tensor:
    """(columns,): the columns of each target share a weight of 1."""
    return torch.tensor([1 / len(COLUMNS[t]) for t in side_targets for _ in COLUMNS[t]], device=like.device)


def side_loss(heads: Heads, predicted: Tensor, tracks: Tensor, side_targets: Sequence[SideTarget]) -> Tensor:
    """Weighted squared error summed over (M, D) predictions of masked frames, for (M, .) tracks; pitch where voiced."""
    wanted = tracks[:, columns(side_targets)]
    error = torch.where(wanted.isnan(), 0.0, heads.frames(predicted).float() - wanted.nan_to_num())
    return (error.square() * weights(side_targets, error)).sum()


def summary_loss(
    heads: Heads, means: Tensor, tracks: Tensor, valid: Tensor | None, side_targets: Sequence[SideTarget]
) -> Tensor:
    """Weighted squared error summed over (B * C, D) time-means of clones, for (B, T, .) tracks of whole utterances."""
    wanted = statistics(tracks[:, :, columns(side_targets)], valid)
    error = heads.summary(means).float() - wanted.repeat_interleave(len(means) // len(wanted), 0)
    return (error.square() * weights(side_targets, error).repeat(3)).sum() / 3


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
