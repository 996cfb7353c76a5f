"""The plain facts of an upstream: enough to find its features in the store without building its model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from commons.corridors.utterances import Modality

if TYPE_CHECKING:
    from commons.corridors.record import Seen
    from upstreams.frozen import Frozen
    from upstreams.inputs import Format
    from upstreams.named import Named

Corpora = dict[str, Literal["audio", "labels"]]


@dataclass(frozen=True)
class Identity:
    """The facts of an upstream. Its values are plain, so that it can go to another process as it is.

    Attributes:
        named: what its name stands for.
        title: what it is, in one line.
        display_name: what tables and pictures call it instead of its name; "" for nothing.
        depth, width: layers L, values a frame D.
        seen: corpora it was trained on -> "audio" or "labels"; "unknown".
        weights: where they came from: a repository and its revision; "" where there are none, or it is not known.
        licence: of the weights or the library, in words; "" where it is not known.
        precision: the one it runs in: always "fp32" for an upstream that cannot move to a GPU.
        movable: whether it can run on a GPU.
        takes: what it takes: of audio the rate, hop, receptive field and longest window; None where it takes nothing
            itself, as a fusion.
        fingerprint: sha256 (hex) over all that decides its features.
        modality: what it reads of an utterance.
        step: seconds between frames; infinite where it has one frame for each utterance; None: not known.
        parts: what it is made of, see `Named.parts`.
    """

    named: Named
    title: str
    display_name: str
    depth: int
    width: int
    seen: Seen
    weights: str
    licence: str
    precision: str
    movable: bool
    takes: Format | None
    fingerprint: str
    modality: Modality = "audio"
    step: float | None = None
    parts: tuple[Identity, ...] = ()

    @property
    def known_seen(self) -> Corpora:
        """What it, or a part of it, is known to be trained on, also where `seen` of another part is unknown."""
        if self.parts:
            return seen_by_any(self.parts)
        return {} if self.seen == "unknown" else self.seen


def seen_by_any(parts: Iterable[Identity]) -> Corpora:
    """What any of several upstreams is known to be trained on; with labels where one saw those."""
    merged: Corpora = {}
    for part in parts:
        merged |= {corpus: how for corpus, how in part.known_seen.items() if merged.get(corpus) != "labels"}
    return merged


def identify(named: Named, upstream: Frozen, fingerprint: str) -> Identity:
    """The facts of an upstream that was built from a name, with its fingerprint."""
    return Identity(
        named=named,
        title=upstream.title,
        display_name=upstream.display_name,
        depth=upstream.depth,
        width=upstream.width,
        seen=upstream.seen,
        weights=upstream.weights,
        licence=upstream.licence,
        precision=upstream.precision,
        movable=upstream.movable,
        takes=upstream.takes,
        fingerprint=fingerprint,
        modality=upstream.modality,
        step=_step(upstream.takes),
    )


def _step(takes: Format) -> float | None:
    """Seconds between frames; infinite: one frame for each utterance; None: frames are pieces of text."""
    from upstreams.inputs.audio import AudioFormat

    if isinstance(takes, AudioFormat):
        return takes.hop / takes.sample_rate if takes.hop else math.inf
    return math.inf if takes.one_frame else None
