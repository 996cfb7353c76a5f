"""Weights of columns where features are those of several upstreams side by side, so that no part drowns another.

Standardised columns have one size, so of two parts with 6,373 and 384 columns the first would decide nearly all. Each
column of a part with w columns is therefore divided by sqrt(w): every part has the same sum of squares. One further
factor, sqrt(D / P) for P parts with D columns together, keeps that sum over all columns at D, the value that strengths
and learning rates are made for. Parts of one width, or a single part, keep factors of exactly 1.
"""

from __future__ import annotations

import numpy as np
import torch


def owners(widths: tuple[int, ...], blocks: int = 1) -> np.ndarray:
    """The part that each column belongs to, from 0; `blocks`: how often all parts' columns follow each other."""
    return np.tile(np.repeat(np.arange(len(widths)), widths), blocks)


def factors(owner: np.ndarray) -> torch.Tensor | None:
    """(D,) float32 factors of standardised columns, by the part that owns each; None where all of them are 1."""
    counts = np.bincount(owner) if len(owner) else np.zeros(0, dtype=np.int64)
    several = counts[counts > 0]
    if len(set(several.tolist())) < 2:
        return None
    return torch.as_tensor(np.sqrt(len(owner) / (len(several) * counts[owner])), dtype=torch.float32)
