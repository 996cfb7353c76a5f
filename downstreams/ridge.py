"""Many ridge regressions on the same rows: the probe's reading of values."""

from __future__ import annotations

import torch

from downstreams.linear import Linear, moments, standardised


def fit(
    rows: torch.Tensor,
    targets: torch.Tensor,
    members: torch.Tensor,
    strengths: torch.Tensor,
    factors: torch.Tensor | None = None,
) -> Linear:
    """Ridge regression of every training set with every strength, in closed form.

    Each problem minimises  |y - X w - b|^2 + |w|^2 / strength  over its members, with features standardised on them
    and an unpenalised intercept: scikit-learn's `Ridge(alpha=1 / strength)` behind a `StandardScaler`. One
    eigendecomposition of the smaller Gram matrix (D x D or n x n) gives the solutions of all strengths.

    Args:
        rows: (n, D) float32.
        targets: (n,) values.
        members: (Q, n) bool, the training sets.
        strengths: (S,).
        factors: (D,), by which standardised features are multiplied; None: 1.

    Returns:
        The values (C = 1) of P = Q * S problems, strengths running fastest.
    """
    x, centre, scale = standardised(rows, factors)
    mean, inverse = moments(x, members, factors)
    weights, bias = [], []
    for q, member in enumerate(members):
        z = ((x[member] - mean[:, q]) * inverse[:, q]).double()
        y = targets[member].double()
        residual = y - y.mean()
        dual = z.shape[1] > len(z)
        values, vectors = torch.linalg.eigh(z @ z.T if dual else z.T @ z)
        projected = vectors.T @ (residual if dual else z.T @ residual)
        solutions = vectors @ (projected[:, None] / (values.clamp_min(0)[:, None] + 1 / strengths.double()))
        w = (z.T @ solutions if dual else solutions).float() * inverse[:, q, None]
        weights.append(w)
        bias.append(y.mean().float() - mean[:, q] @ w)
    converged = torch.ones(len(members) * len(strengths), dtype=torch.bool)
    return Linear(torch.cat(weights, 1)[:, None], torch.cat(bias)[None], centre, scale, converged)
