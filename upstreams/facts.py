"""The facts that an upstream states of itself, each checked. All functions raise UpstreamError for a wrong value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard

from commons.corridors.utterances import Modality
from upstreams.errors import UpstreamError
from upstreams.inputs import MODALITIES, Format
from upstreams.inputs.audio import AudioFormat
from upstreams.inputs.text import TextFormat

if TYPE_CHECKING:
    from commons.corridors.record import Seen

SEEN = ("audio", "labels")
UNKNOWN = "unknown"  # among corpora: it was trained on others as well, which nobody names


def modality(model: object, name: str) -> Modality:
    """What it reads of an utterance; "audio" where it does not say."""
    value = words(model, "modality") or "audio"
    for known in MODALITIES:
        if value == known:
            return known
    raise UpstreamError(
        f"{name}: its modality is {value!r}; expected {' or '.join(MODALITIES)}. Leave `modality` out where it takes "
        "waveforms"
    )


def takes(model: object, name: str) -> Format:
    """What it takes."""
    if modality(model, name) == "text":
        return _text_format(model, name)
    return _audio_format(model, name)


def _text_format(model: object, name: str) -> TextFormat:
    hop = getattr(model, "hop", 0)
    if hop:
        raise UpstreamError(
            f"{name}: a text has no samples between frames, so an upstream of texts has no `hop` {hop!r}; say hop = "
            "None where it gives one frame for each text, and leave it out otherwise"
        )
    return TextFormat(one_frame=hop is None)


def _audio_format(model: object, name: str) -> AudioFormat:
    """The audio that it takes."""
    none = getattr(model, "hop", 0) is None
    audio = AudioFormat(
        count(model, name, "sample_rate"),
        None if none else count(model, name, "hop"),
        count(model, name, "min_samples", default=1),
        getattr(model, "max_seconds", 30.0),
    )
    limit = audio.max_seconds
    if limit is None:
        return audio
    if not _finite(limit):
        raise UpstreamError(f"{name}: max_seconds is a number, or None for audio of any length; it is {limit!r}")
    if limit * audio.sample_rate < 2 * audio.min_samples:
        raise UpstreamError(f"{name}: max_seconds {limit} is less than two times min_samples")
    return audio


def padded_to(model: object, name: str) -> float:
    """Seconds to which it pads every input itself; 0 where it pads none."""
    value = getattr(model, "padded_to", 0.0)
    if _finite(value) and value >= 0:
        return float(value)
    raise UpstreamError(f"{name}: padded_to is a number of seconds, 0 where no input is padded; it is {value!r}")


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def count(model: object, name: str, fact: str, default: int | None = None) -> int:
    """A whole number of at least 1."""
    value = getattr(model, fact, default)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    given = "it has none" if value is None else f"it is {value!r}"
    raise UpstreamError(f"{name}: needs `{fact}`, a whole number of at least 1; {given}")


def value_names(model: object, name: str, width: int) -> list[str] | None:
    """What its values are called; None where it does not say."""
    value = getattr(model, "value_names", None)
    if value is None:
        return None
    several = list(value) if isinstance(value, list | tuple) else []
    if len(several) == width == len({own for own in several if isinstance(own, str) and own}):
        return several
    raise UpstreamError(f"{name}: `value_names` is a list of {width} names that differ, one of each value")


def seen(model: object, name: str) -> Seen:
    """The corpora that it was trained on, in lower case."""
    value = getattr(model, "seen", None)
    if value is None or value == "unknown":
        return "unknown"
    if isinstance(value, Mapping) and all(isinstance(c, str) and how in SEEN for c, how in value.items()):
        return {corpus.casefold(): "labels" if how == "labels" else "audio" for corpus, how in value.items()}
    raise UpstreamError(
        f"{name}: `seen` names the corpora it was trained on, such as {{'iemocap': 'audio'}} or, where their "
        f"labels were used, {{'iemocap': 'labels'}}; {{}} for none, 'unknown' if not known; it is {value!r}"
    )


def seen_of(corpora: Sequence[str] | None) -> dict[str, str] | None:
    """Of corpora that a user names: corpus -> "audio", "none" left out; None where the user did not say."""
    if corpora is None:
        return None
    return {name.casefold(): "audio" for name in corpora if name.casefold() != "none"}


def words(model: object, fact: str) -> str:
    """The fact if it is a text, else "": a network may have another attribute of that name, such as a layer."""
    value = getattr(model, fact, "")
    return str(value) if isinstance(value, str) else ""
