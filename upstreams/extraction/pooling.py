"""Which frames of an utterance pooled features are of: all, those of its louder segments, or those of speech.

    pooled             all frames
    pooled:segments    the louder half of its segments of half a second
    pooled:speech      the parts that a detector of voice activity takes for speech

What is chosen depends on the utterance's own samples alone. An utterance in which nothing is chosen, as in silence,
keeps all its frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.extraction import voice

if TYPE_CHECKING:
    from upstreams.identity import Identity

SEGMENT = 0.5  # s
SHARE = 0.5  # of the segments, the louder ones; rounded up

Chosen = np.ndarray  # (n,) bool, of samples


def loud(samples: np.ndarray, rate: int) -> Chosen:
    """The samples of the louder half of the segments; of equally loud ones the earlier count as louder.

    Segments follow each other from the first sample; a rest of less than half a segment belongs to the last one.
    """
    length = round(SEGMENT * rate)
    bounds = np.arange(max(1, math.floor(len(samples) / length + 0.5)) + 1) * length
    bounds[-1] = len(samples)
    energy = np.array([np.square(own, dtype=np.float64).mean() for own in np.split(samples, bounds[1:-1])])
    chosen = np.zeros(len(samples), dtype=np.bool_)
    if energy.max() > 0:
        for one in np.argsort(-energy, kind="stable")[: math.ceil(SHARE * len(energy))]:
            chosen[bounds[one] : bounds[one + 1]] = True
    return chosen


CHOOSE: dict[str, Callable[[np.ndarray, int], Chosen]] = {"pooled:segments": loud, "pooled:speech": voice.speech}


def rule(kind: str) -> str:
    """The rule by which frames are chosen; "" where none are. It is part of the keys of features and of cells.

    Raises UpstreamError: what the rule needs is not installed.
    """
    if kind == "pooled:segments":
        return f"segments of {SEGMENT} s; the louder {SHARE}; 1"
    return voice.rule() if kind == "pooled:speech" else ""


def rules(needs: Iterable[str]) -> dict[str, str]:
    """kind -> rule, of the kinds that have one; errors as in `rule`."""
    return {need: rule(need) for need in sorted(needs) if need in CHOOSE}


def refuse_absent(identity: Identity, needs: Iterable[str]) -> None:
    """Raise UpstreamError where frames are to be chosen of an upstream that has none to choose from."""
    asked = rules(needs)
    if not asked:
        return
    who = f"{identity.named.name}: the head chooses frames by the audio ({', '.join(asked)}), and"
    mend = "use the head with `pooling: all`"
    if identity.named.given:
        raise UpstreamError(f"{who} it holds features without audio; {mend}")
    if identity.modality == "text":
        raise UpstreamError(f"{who} it reads text; {mend}")
    if identity.step == math.inf:
        raise UpstreamError(f"{who} it gives one vector for each utterance; {mend}")


def chosen(kinds: Iterable[str], samples: np.ndarray, rate: int) -> dict[str, Chosen]:
    """For each kind the samples that are chosen; a kind that takes all is left out."""
    made = {kind: CHOOSE[kind](samples, rate) for kind in kinds if kind in CHOOSE}
    return {kind: own for kind, own in made.items() if own.any()}


def frames_of(samples: Chosen, frames: int, hop: int) -> np.ndarray:
    """(frames,) bool: the frames of a window in which a sample is chosen.

    A frame has the `hop` samples from its start on, the last one all up to the end; a frame that starts after the end
    has the last sample.
    """
    starts = np.minimum(np.arange(frames) * hop, len(samples) - 1)
    ends = np.append(np.minimum(np.arange(1, frames) * hop, len(samples)), len(samples))
    before = np.concatenate([[0], np.cumsum(samples)])
    return before[ends] > before[starts]
