"""The settings of a training, and the file that ships. Imports no torch, so that --help can name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).parent / "weights" / "strength.safetensors"  # weights/README.md


@dataclass(frozen=True)
class Settings:
    """How it is trained: USUAL, or with the rate, batch, patience and dropout of the paper, PUBLISHED.

    Attributes:
        patience: epochs without a smaller error on held-out speakers, after which training ends, and the best epoch
            is taken; None: no epoch is chosen, and the rate falls to zero.
        varied: each epoch gets other voices (`variation.py`).
        dropout: of values before and after the LSTMs; dropped: of the channels of convolutions.
    """

    epochs: int = 8
    rate: float = 5e-4
    decay: float = 1e-2  # of weights
    batch: int = 32
    patience: int | None = None
    varied: bool = True
    dropout: float = 0.4
    dropped: float = 0.1
    channels: tuple[int, ...] = (16, 32, 64, 128)
    seed: int = 1


USUAL = Settings()
PUBLISHED = Settings(epochs=500, rate=1e-4, decay=0.0, batch=64, patience=30, varied=False, dropout=0.3, dropped=0.0)
