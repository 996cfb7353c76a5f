"""A fitted linear model of `probe`, `probe_stats` or `last_four`: as plain arrays, and applied to features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features, Pooled
from commons.corridors.fitted import Answers, Fitted
from downstreams.checks import check_finite
from downstreams.cumulative import Cumulative
from downstreams.errors import DownstreamError
from downstreams.linear import Linear
from downstreams.own_classes import within

PARTS = ("weights", "bias", "centre", "scale")
DONE = torch.ones(1, dtype=torch.bool)
STATISTICS = {"mean": 0, "std": 1}


def fitted(
    fold: str, model: Linear | Cumulative, varies: np.ndarray, layers: Sequence[int], statistics: Sequence[str]
) -> Fitted:
    """The model of a fold, of rows with the `statistics` of the mean of `layers`.

    Args:
        varies: (D,) bool: the columns that it reads.
    """
    several = model.reaches if isinstance(model, Cumulative) else (model,)
    arrays = {
        f"{number}.{part}": getattr(one, part).cpu().numpy() for number, one in enumerate(several) for part in PARTS
    }
    kind = "cumulative" if isinstance(model, Cumulative) else "linear"
    facts: dict[str, JsonValue] = {
        "model": kind, "models": len(several), "layers": list(layers), "statistics": list(statistics)
    }  # fmt: skip
    return Fitted(fold, 0, facts, {"varies": varies, **arrays})


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fitted model; `settings` are not needed: all is in it.

    Raises:
        DownstreamError: a feature is not finite, or the features have other sizes.
    """
    assert features.pooled is not None
    layers, statistics = cast(list[int], own.facts["layers"]), cast(list[str], own.facts["statistics"])
    rows = rows_of(features.pooled, layers, [STATISTICS[name] for name in statistics])
    check_finite(rows, features.ids, "a layer")
    varies = own.arrays["varies"]
    if rows.shape[1] != len(varies):
        raise DownstreamError(f"the head reads {len(varies)} values of an utterance, and was given {rows.shape[1]}")
    models = [
        Linear(**{part: torch.tensor(own.arrays[f"{number}.{part}"], device=device) for part in PARTS}, converged=DONE)
        for number in range(cast(int, own.facts["models"]))
    ]
    model = Cumulative(tuple(models)) if own.facts["model"] == "cumulative" else models[0]
    return Answers(predicted(model, torch.as_tensor(rows[:, varies], device=device)))


def rows_of(pooled: Pooled, layers: Sequence[int], statistics: Sequence[int]) -> np.ndarray:
    """(n, D) statistics, side by side, of the mean of some layers; one layer at a time is read."""
    total = np.concatenate([pooled[:, one, layers[0]] for one in statistics], axis=1)
    for layer in layers[1:]:
        total = total + np.concatenate([pooled[:, one, layer] for one in statistics], axis=1)
    return total / len(layers) if len(layers) > 1 else total


def predicted(model: Linear | Cumulative, rows: torch.Tensor, allowed: torch.Tensor | None = None) -> np.ndarray:
    """Probabilities (n, C), or values (n,) of a model with one output, of rows (n, D).

    Args:
        allowed: (n, C) bool, the classes that each row may have; None: all.
    """
    outputs = within(model(rows)[..., 0], allowed)
    return (outputs[:, 0] if outputs.shape[1] == 1 else outputs.softmax(1)).cpu().numpy()
