"""Fitted heads (downstreams -> cells): what one fold and seed was trained to, as plain arrays, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from pydantic import JsonValue


class TunedEncoder(Protocol):
    """The encoder that was fine-tuned with a head."""

    def write(self, folder: Path, seen: Mapping[str, str]) -> str:
        """Write it into a new folder; returns what stands before the folder in the name of the upstream that it is,
        `hf:` or `emotion2vec@`; "" where no upstream reads it, and the folder has the trained values alone.

        Args:
            seen: corpora whose labels it was trained on -> "labels".
        """
        ...


@dataclass(frozen=True)
class Fitted:
    """The head of one fold with one seed, after its training.

    Attributes:
        facts: what its head needs to apply it, beside its settings: layers, sizes, precision.
        arrays: its weights, with the mean and deviation by which it standardises.
        encoder: of a fine-tuned one; None: the upstream stayed frozen.
    """

    fold: str
    seed: int
    facts: Mapping[str, JsonValue]
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    encoder: TunedEncoder | None = None


@dataclass(frozen=True)
class FurtherAnswers:
    """What a fitted head gives of a further target for n utterances.

    Attributes:
        name: of the target.
        classes: its classes, or levels from low to high; of a sequence its symbols.
        scores: (n, C) probabilities; None: it is a sequence.
        sequences: of a sequence, each utterance's symbols, with spaces between them.
    """

    name: str
    classes: tuple[str, ...]
    scores: np.ndarray | None = None
    sequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a fitted head gives for n utterances.

    Attributes:
        scores: (n, C) probabilities of classes or levels, or (n,) values.
        further: of a head that learnt further targets, its answers to each.
    """

    scores: np.ndarray
    further: tuple[FurtherAnswers, ...] = ()
