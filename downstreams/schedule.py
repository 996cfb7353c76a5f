"""Learning rates over the steps of a training, and which utterances each step takes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

from downstreams import chance


def factor(step: int, steps: int, warmup: float) -> float:
    """What the rate of a step is multiplied with: up to 1 in a share `warmup` of the steps, then down a cosine to 0.

    >>> [round(factor(step, 10, 0.2), 2) for step in range(1, 11)]
    [0.5, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04, 0.0]
    """
    rise = warmup * steps
    if step <= rise:
        return step / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def set_rates(optimiser: torch.optim.Optimizer, rates: Iterable[float]) -> None:
    """Set the learning rate of each group of parameters."""
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def batches(rows: np.ndarray, steps: int, batch: int, draws: torch.Generator) -> torch.Tensor:
    """(steps, batch) rows: pass after pass over all of them, each pass in a random order."""
    return chance.stream(rows, steps * batch, draws).view(steps, batch)


def one_pass(rows: np.ndarray, batch: int, draws: torch.Generator) -> list[np.ndarray]:
    """One pass over all rows in whole batches, at least one."""
    return [own.numpy() for own in batches(rows, max(1, len(rows) // batch), batch, draws)]


def rounds(steps: int, count: int) -> list[int]:
    """The steps after which dev is scored, `count` of them and the last step always.

    >>> rounds(10, 3)
    [3, 7, 10]
    """
    return sorted({max(1, round(steps * i / count)) for i in range(1, count + 1)})


def parts(rows: np.ndarray, lengths: np.ndarray, most: float) -> list[np.ndarray]:
    """Rows sorted by length and cut into parts of at most `most` lengths with their padding, or one row.

    >>> [part.tolist() for part in parts(np.array([0, 1, 2, 3]), np.array([5, 1, 9, 2]), 10)]
    [[1, 3, 0], [2]]
    """
    order = rows[np.argsort(lengths[rows], kind="stable")]
    cut: list[list[int]] = [[]]
    for row in order:
        if cut[-1] and (len(cut[-1]) + 1) * lengths[row] > most:
            cut.append([])
        cut[-1].append(row)
    return [np.array(part, dtype=np.int64) for part in cut]
