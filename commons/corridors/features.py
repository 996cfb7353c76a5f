"""Features (upstreams -> downstreams): frozen features of a table's utterances, or the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

NEEDS = ("pooled", "frames:last", "frames:all", "live")  # what a head may ask for
Index = int | slice | np.ndarray | tuple[int | slice | np.ndarray, ...]


class Pooled(Protocol):
    """Time-mean and time-standard-deviation of every layer, (N, 2, L, D) float32, read from disk when indexed."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> np.ndarray: ...


class Frames(Protocol):
    """Features frame by frame: `frames[i]` is (T_i, L', D) float16; `layers` are the L' layers that were kept.

    `offsets` (N + 1,) int64 are the cumulated numbers of frames.
    """

    layers: tuple[int, ...]
    offsets: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class Live(Protocol):
    """The network itself, with the inputs of the N utterances: what fine-tuning trains."""

    hop: int | None  # samples between frames
    depth: int  # L
    width: int  # D

    def __len__(self) -> int: ...

    def network(self) -> torch.nn.Module:
        """A fresh copy of the upstream's network whose parameters take gradients, on the CPU."""
        ...

    def frames(self, network: torch.nn.Module, rows: Sequence[int]) -> list[torch.Tensor]:
        """Features (L, T_i, D) of some utterances through `network`, where it is, with gradients."""
        ...


@dataclass(frozen=True)
class Features:
    """Features of N utterances, in the order of their table. Nothing is in memory before it is indexed.

    Attributes:
        ids: (N,) str.
        fingerprint: sha256 of all that decides the upstream's features.
        precision: "fp32" for what cannot move, whatever was asked.
        device: where the upstream ran, or would have run had the store lacked anything.
        depth, width: layers L, values a layer D.
        counts: utterances computed now, reused (from the store or identical audio), padded, windowed.
        seconds: decode, forward and write, summed over workers; total, by the clock.
        parameters: of the upstream's networks; None where it has none or nothing had to be made.
    """

    ids: np.ndarray
    upstream: str
    fingerprint: str
    precision: str
    device: str
    depth: int
    width: int
    pooled: Pooled | None
    frames: Frames | None
    counts: dict[str, int]
    seconds: dict[str, float]
    audio_seconds: float
    parameters: int | None
    live: Live | None = None
