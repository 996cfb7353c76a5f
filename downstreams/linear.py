"""Linear functions of features standardised on their training sets, many at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

CONSTANT = 1e-10  # variance on a training set, as a share of that on all rows, below which a column is constant


@dataclass(frozen=True)
class Linear:
    """P linear functions of raw features with C outputs each: (rows - centre) / scale @ weights + bias.

    Attributes:
        weights: (D, C, P).
        bias: (C, P); -inf for a class that the training set lacks.
        centre, scale: (D,), float64: features may lie far from 0 for their scale.
        converged: (P,) bool.
    """

    weights: torch.Tensor
    bias: torch.Tensor
    centre: torch.Tensor
    scale: torch.Tensor
    converged: torch.Tensor

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Outputs (n, C, P) for rows (n, D)."""
        x = ((rows.double() - self.centre) / self.scale).float()
        return (x @ self.weights.flatten(1)).view(len(rows), *self.bias.shape) + self.bias


def standardised(
    rows: torch.Tensor, factors: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows (n, D) with mean 0 and deviation 1 (a constant column: 0), and the centre and scale (D,) that did it.

    With `factors` (D,), these are the deviations.
    """
    wide = rows.double()
    centre = wide.mean(0)
    scale = (wide - centre).square().mean(0).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    if factors is not None:
        scale = scale / factors
    return ((wide - centre) / scale).float(), centre, scale


def moments(
    x: torch.Tensor, members: torch.Tensor, factors: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D, Q) and inverse standard deviation (D, Q; 0 for constant columns) of every training set.

    With `factors` (D,), it is the factor of a column divided by its standard deviation.

    Args:
        x: (n, D) of unit scale, or of the scale `factors`.
        members: (Q, n) bool.
    """
    share = members.double() / members.sum(1, keepdim=True)
    wide = x.double()
    mean = (share @ wide).T
    variance = (share @ wide.square()).T - mean.square()
    inverse = torch.where(variance > CONSTANT, variance.clamp_min(CONSTANT).rsqrt(), 0.0)
    if factors is not None:
        inverse = inverse * factors[:, None]
    return mean.float(), inverse.float()
