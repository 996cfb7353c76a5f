"""Ordinal regression by binary ones: for every level but the lowest, whether an utterance reaches it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from downstreams import logistic
from downstreams.linear import Linear

SMALLEST = 1e-13  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class Cumulative:
    """P ordinal models of C levels; called with rows (n, D), it gives log-probabilities (n, C, P) of the levels.

    Attributes:
        reaches: C - 1 models of two classes: below a level, and at it or above.
    """

    reaches: tuple[Linear, ...]

    @property
    def converged(self) -> torch.Tensor:
        """(P,) bool."""
        return torch.stack([one.converged for one in self.reaches]).all(0)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        # Fitted apart, a higher level may seem more probable to be reached than a lower one; then it is as probable.
        logits = torch.stack([(two := one(rows).double())[:, 1] - two[:, 0] for one in self.reaches], 1)
        reached = logits.sigmoid().cummin(1).values
        ones, zeros = torch.ones_like(reached[:, :1]), torch.zeros_like(reached[:, :1])
        shares = torch.cat([ones, reached], 1) - torch.cat([reached, zeros], 1)
        return shares.clamp_min(SMALLEST).log().float()


def fit(
    rows: torch.Tensor,
    targets: torch.Tensor,
    members: torch.Tensor,
    strengths: torch.Tensor,
    n_levels: int,
    tolerance: float,
    balanced: bool,
    factors: torch.Tensor | None = None,
) -> Cumulative:
    """The ordinal model of every training set with every strength (Frank and Hall 2001): a logistic regression a level.

    With two levels it is the logistic regression of two classes. Arguments are those of logistic.fit; `balanced`
    weighs the utterances below a level and the others alike.
    """
    return Cumulative(
        tuple(
            logistic.fit(rows, (targets >= level).long(), members, strengths, 2, tolerance, balanced, factors)
            for level in range(1, n_levels)
        )
    )
