"""Derivation: how a task came from others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Derivation:
    """How a task came from others: what a table must know of it.

    Attributes:
        kind: transfer, shots, gender ...
        aspect: what it asks, so that only figures alike are averaged: `gender`, `shots 4`, `labels anger+sadness`.
        base: the task that it is made of; of a transfer the tested one.
        sources: what it trains on in place of its base, as its name says it: a task, or the suite of across-languages.
        source_corpora: the corpora of these.
        shots: training utterances a class, of few labels.
    """

    kind: str
    aspect: str
    base: str
    sources: tuple[str, ...] = ()
    source_corpora: tuple[str, ...] = ()
    shots: int | None = None
