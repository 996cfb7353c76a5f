"""Random numbers of heads that draw them: they follow from the fold and the seed alone."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch


def generator(fold: str, seed: int) -> torch.Generator:
    """A generator whose state follows from the fold and the seed, on the CPU, so that every device draws the same."""
    digest = hashlib.sha256(f"{seed}\n{fold}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def stream(rows: np.ndarray, wanted: int, chance: torch.Generator) -> torch.Tensor:
    """`wanted` rows: epoch after epoch, each of them all rows in random order."""
    epochs = [torch.randperm(len(rows), generator=chance) for _ in range(math.ceil(wanted / len(rows)))]
    return torch.as_tensor(rows)[torch.cat(epochs)[:wanted]]
