"""Side targets: beside the teacher, masked frames predict energy and pitch, which are measured and need no labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from upstreams.emotion2vec.recipe import SideTarget

COLUMNS: dict[str, tuple[int, ...]] = {"log_energy": (2,), "f0": (0, 1)}  # of the tracks: f0 with voicing


def columns(side_targets: Sequence[SideTarget]) -> list[int]:
    return [column for target in side_targets for column in COLUMNS[target]]


def heads(side_targets: Sequence[SideTarget], dim: int) -> nn.Module:
    """One linear layer for all of them, training's own: no checkpoint holds it. Without side targets, nothing."""
    return nn.Linear(dim, len(columns(side_targets))) if side_targets else nn.Identity()


def side_loss(heads: nn.Module, predicted: Tensor, tracks: Tensor, side_targets: Sequence[SideTarget]) -> Tensor:
    """Squared error summed over (M, D) predictions of masked frames, for (M, 3) tracks; pitch where it is voiced."""
    wanted = tracks[:, columns(side_targets)]
    error = torch.where(wanted.isnan(), 0.0, heads(predicted).float() - wanted.nan_to_num())
    return error.square().sum()
