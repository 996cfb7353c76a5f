"""Features (upstreams -> downstreams): frozen features of a table's utterances, or the network itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from commons.corridors.utterances import Modality

# What a head may ask for; `pooled:...` is pooled over some frames of each utterance alone.
NEEDS = ("pooled", "pooled:segments", "pooled:speech", "frames:last", "frames:all", "live")
Index = int | slice | np.ndarray | tuple[int | slice | np.ndarray, ...]


class Pooled(Protocol):
    """Time-mean and time-standard-deviation of every layer, (N, 2, L, D) float32, read from disk when indexed."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: Index, /) -> np.ndarray: ...


class Frames(Protocol):
    """Features of every frame: `frames[i]` is (T_i, L', D) float16 of the L' kept layers, whose indices are `layers`.

    `offsets` is (N + 1,) int64, the cumulative numbers of frames.
    """

    layers: tuple[int, ...]
    offsets: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class Live(Protocol):
    """The network itself, with the inputs of the N utterances, for fine-tuning."""

    modality: Modality  # "audio" or "text"
    depth: int  # L
    width: int  # D
    widths: tuple[int, ...]  # of the parts that D consists of, of several networks side by side; empty: there is one
    untrained: bool  # its weights are random
    lengths: np.ndarray  # (N,) float64, of each utterance: seconds of audio, or characters of text

    def __len__(self) -> int: ...

    def costs(self, longest: float | None = None) -> np.ndarray:
        """(N,) what computing each utterance takes: seconds of audio, with what the network pads, or characters of
        text. `longest` as of `frames`."""
        ...

    def network(self) -> torch.nn.Module:
        """A new copy of the upstream's network on the CPU; its parameters take gradients, but for what stays fixed."""
        ...

    def front(self, network: torch.nn.Module) -> list[torch.nn.Parameter]:
        """The parameters of the network's convolutional front end, which fine-tuning freezes; often none."""
        ...

    def top(self, blocks: int) -> Live:
        """The network of the top blocks alone, whose frames are those of the last layer."""
        ...

    def adapt(self, network: torch.nn.Module, rank: int, draws: torch.Generator) -> None:
        """Put low-rank adapters on the network's feed-forward matrices; they alone take gradients then."""
        ...

    def merged(self, network: torch.nn.Module) -> torch.nn.Module:
        """A copy of the network in which such adapters are added to their matrices."""
        ...

    def checkpoint(self, network: torch.nn.Module) -> None:
        """From now on keep the inputs of the network's blocks alone, and compute the blocks again for gradients."""
        ...

    def write(self, network: torch.nn.Module, folder: Path, seen: Mapping[str, str]) -> str:
        """Write the network, without adapters, as an upstream into a new folder.

        Returns what stands before the folder in the upstream's name, `hf:` or `emotion2vec@`; "" where no upstream
        reads such a folder; then nothing is written.

        Args:
            seen: corpora that it was trained on since -> "labels".
        """
        ...

    def frames(self, network: torch.nn.Module, rows: Sequence[int], longest: float | None = None) -> list[torch.Tensor]:
        """Features (L, T_i, D) of some utterances, with gradients, computed by `network` on its device.

        `longest`: of audio, the first so many seconds; None: all of it. A text is always whole.
        """
        ...


@dataclass(frozen=True)
class Features:
    """Features of N utterances, in the order of their table. Arrays are read from disk when they are indexed.

    Attributes:
        ids: (N,) str.
        fingerprint: sha256 of everything that decides the upstream's features.
        precision: "fp32" for upstreams that have no other precision, whatever was asked.
        device: the device of the upstream, also where all features came from the store.
        depth, width: number of layers L, and of values in a layer D.
        counts: utterances computed now, reused (from the store or identical audio), padded, windowed.
        seconds: decode, forward and write, summed over workers; total: wall time.
        audio_seconds: audio of the utterances; None where the table has no audio.
        parameters: number of parameters of the upstream's networks; None where it has none, or all features came from
            the store.
        parts: widths of the parts that D consists of, where features of several upstreams stand side by side; empty:
            there is one.
        pooled_over: pooled features over some of the frames, by their name among NEEDS.
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
    audio_seconds: float | None
    parameters: int | None
    live: Live | None = None
    parts: tuple[int, ...] = ()
    pooled_over: Mapping[str, Pooled] = field(default_factory=dict)

    def pooled_for(self, needs: Iterable[str]) -> Pooled | None:
        """The pooled features that a head with these needs reads; None: they are not there."""
        own = next((need for need in needs if need.startswith("pooled:")), None)
        return self.pooled if own is None else self.pooled_over.get(own)


def together(parts: Iterable[tuple[int | None, Mapping[str, int]]]) -> int | None:
    """The number of parameters of several upstreams together, from that of each and the counts of its extraction.

    None where none has any, or one is not known because all of its features came from the store.
    """
    several = list(parts)
    if any(own is None and not counts.get("computed") for own, counts in several):
        return None
    return sum(own or 0 for own, _ in several) or None
