"""Few of many features: those of which the classes explain most, chosen anew on every training set.

The criterion is the share of a feature's variance that lies between classes, by which features come in the order of
their F ratios; for values it is the squared correlation. Each feature is judged alone, so that several may tell the
same. Rows outside a training set are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from downstreams.cumulative import Cumulative
from downstreams.linear import Linear, standardised


def explained(x: Tensor, y: Tensor) -> Tensor:
    """(D,) the share of the variance of each column that y explains, 0 for a constant one.

    Args:
        x: (n, D).
        y: (n,) class indices, (n, C) shares of classes, or (n,) float values.
    """
    own = x.double()
    own = own - own.mean(0)
    total = own.square().sum(0)
    if y.ndim == 1 and y.is_floating_point():
        values = y.double() - y.double().mean()
        between = (values @ own).square() / values.square().sum().clamp_min(1e-300)
    else:
        members = y.double() if y.ndim > 1 else torch.nn.functional.one_hot(y).double()
        between = ((members.T @ own).square() / members.sum(0).clamp_min(1e-300)[:, None]).sum(0)
    return torch.where(total > 0, between / total.clamp_min(1e-300), 0.0)


def best(x: Tensor, y: Tensor, count: int) -> Tensor:
    """Indices, ascending, of the columns of which y explains most; of equals the first."""
    return explained(x, y).argsort(descending=True, stable=True)[:count].sort().values


def fit(
    solve: Callable[..., Linear | Cumulative],
    count: int,
    x: Tensor,
    y: Tensor,
    members: Tensor,
    strengths: Tensor,
    tolerance: float,
    factors: Tensor | None = None,
) -> Linear | Cumulative:
    """As `solve` of probe.py fits, with weights of exactly 0 but for the `count` best columns of each training set.

    Args:
        members: (Q, n) bool, the training sets.
    """
    parts = []
    for own in members:
        columns = best(x[own], y[own], count)
        scales = None if factors is None else factors[columns]
        parts.append((columns, solve(x[:, columns], y, own[None], strengths, tolerance, factors=scales)))
    if all(isinstance(part, Cumulative) for _, part in parts):
        several = [[(columns, one) for one in _models(part)] for columns, part in parts]
        return Cumulative(tuple(_whole(list(level), x, factors) for level in zip(*several, strict=True)))
    return _whole([(columns, *_models(part)) for columns, part in parts], x, factors)


def importance(model: Linear | Cumulative, factors: Tensor | None = None) -> Tensor:
    """(D,) norm of each column's weights over classes, for a deviation of the column; of the first problem.

    Args:
        factors: by which standardised columns were multiplied, see part_weights.py.
    """
    norms = torch.cat([one.weights[..., 0] for one in _models(model)], 1).norm(dim=1)
    return norms if factors is None else norms * factors


def _models(model: Linear | Cumulative) -> tuple[Linear, ...]:
    return model.reaches if isinstance(model, Cumulative) else (model,)


def _whole(parts: list[tuple[Tensor, Linear]], x: Tensor, factors: Tensor | None) -> Linear:
    """The functions of some columns as functions of all, one problem after another."""
    _, centre, scale = standardised(x, factors)
    weights = []
    for columns, part in parts:
        own = part.weights.new_zeros(x.shape[1], *part.weights.shape[1:])
        own[columns] = part.weights
        weights.append(own)
    first = parts[0][1]
    return replace(
        first,
        weights=torch.cat(weights, -1),
        bias=torch.cat([part.bias for _, part in parts], -1),
        centre=centre,
        scale=scale,
        converged=torch.cat([part.converged for _, part in parts]),
    )
