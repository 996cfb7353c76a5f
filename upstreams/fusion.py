"""Early fusion: `a+b` has the features of its parts side by side, and `a#9` one layer of a.

A fusion is a view of what the store holds of its parts; nothing is extracted for it. Its layers are those of the
deepest part. Layer l of L stands for the same relative depth in every part: for layer l (d - 1) / (L - 1), rounded, of
a part with d layers. So first layers meet first layers, and last ones last ones. Frames are those of the part with the
longest step between frames; each takes the mean of the frames of another part whose centres lie within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commons.errors import EmorepError, Refused
from upstreams import fingerprints, precomputed
from upstreams.errors import UpstreamError
from upstreams.extraction import pooling
from upstreams.identity import Identity, seen_by_any
from upstreams.named import Named

if TYPE_CHECKING:
    from commons.corridors.features import Features, Live
    from commons.corridors.utterances import Modality

PAIRING = 1  # of the rules by which layers and frames are paired; part of every fingerprint
Needs = frozenset[str]


def named(parts: Sequence[Named]) -> Named:
    """The fusion of several upstreams; it is a draw of random weights where all of its random parts have one seed."""
    draws = {part.draw for part in parts if part.draw is not None}
    return Named(
        name="+".join(part.name for part in parts),
        record_name="+".join(part.record_name for part in parts),
        target="",
        draw=draws.pop() if len(draws) == 1 else None,
        cite=tuple(dict.fromkeys(key for part in parts for key in part.cite)),
        parts=tuple(parts),
    )


def layer(whole: Named, number: int) -> Named:
    """One layer of an upstream, from 0."""
    if whole.layer is not None:
        raise Refused(f"upstream {whole.name}#{number}: {whole.name} is one layer already; name one layer")
    name, record_name = f"{whole.name}#{number}", f"{whole.record_name}#{number}"
    return Named(name, record_name, target="", draw=whole.draw, cite=whole.cite, parts=(whole,), layer=number)


def identity(named: Named, parts: Sequence[Identity]) -> Identity:
    """The facts of a fusion or a layer, from those of its parts. Raises UpstreamError: there is no such layer."""
    if named.layer is not None and named.layer >= parts[0].depth:
        raise UpstreamError(
            f"upstream {named.name}: {parts[0].named.name} has layers 0 to {parts[0].depth - 1}, and no layer "
            f"{named.layer}"
        )
    one = named.layer is not None
    steps = [part.step for part in parts]
    made = [(part.fingerprint, part.precision, part.depth, part.width) for part in parts]
    return Identity(
        named=named,
        title=" + ".join(part.title for part in parts) + (f", layer {named.layer}" if one else ""),
        display_name=_display_name(named, parts),
        depth=1 if one else max(part.depth for part in parts),
        width=sum(part.width for part in parts),
        seen="unknown" if any(part.seen == "unknown" for part in parts) else seen_by_any(parts),
        weights=_said(parts, lambda part: part.weights),
        licence=_said(parts, lambda part: part.licence),
        precision="bf16" if any(part.precision == "bf16" for part in parts) else "fp32",
        movable=any(part.movable for part in parts),
        takes=None,
        fingerprint=fingerprints.recipe(fusion=PAIRING, parts=made, layer=named.layer),
        modality=_modality(parts),
        step=None if None in steps else max(step for step in steps if step is not None),
        parts=tuple(parts),
    )


def _display_name(named: Named, parts: Sequence[Identity]) -> str:
    if not any(part.display_name for part in parts):
        return ""
    shown = "+".join(part.display_name or part.named.record_name for part in parts)
    return shown if named.layer is None else f"{shown}#{named.layer}"


def _said(parts: Sequence[Identity], fact: Callable[[Identity], str]) -> str:
    """What the parts say, each with its name; where all say the same, without names."""
    if len({fact(part) for part in parts}) == 1:
        return fact(parts[0])
    return "; ".join(dict.fromkeys(f"{part.named.record_name}: {fact(part)}" for part in parts if fact(part)))


def _modality(parts: Sequence[Identity]) -> Modality:
    kinds = {part.modality for part in parts}
    return kinds.pop() if len(kinds) == 1 else "audio+text"


def sources(identity: Identity, needs: Iterable[str]) -> list[tuple[Identity, Needs]]:
    """The upstreams whose features the store must hold for it, each once, and which of them.

    Raises:
        UpstreamError: it has no features of that kind.
    """
    wanted: dict[Named, tuple[Identity, Needs]] = {}
    for source, own in _sources(identity, frozenset(needs)):
        before = wanted.get(source.named, (source, frozenset[str]()))[1]
        wanted[source.named] = source, before | own
    return list(wanted.values())


def _sources(identity: Identity, needs: Needs) -> list[tuple[Identity, Needs]]:
    if not identity.parts:
        pooling.refuse_absent(identity, needs)
        if identity.named.given:
            precomputed.refuse_absent(identity, needs)
        return [(identity, needs)]
    if "live" in needs and identity.named.layer is not None:
        raise UpstreamError(
            f"{identity.named.name}: one layer is read of frozen features, and the head trains the network; use "
            f"another head, or {identity.parts[0].named.name} whole"
        )
    if "live" in needs:
        _alignable(identity)
    if frames := sorted(need for need in needs if need.startswith("frames")):
        _alignable(identity)
        number, part = identity.named.layer, identity.parts[0]
        if number is not None:
            own = "frames:last" if number == part.depth - 1 else "frames:all"
            needs = needs - set(frames) | {own}
    return [source for part in identity.parts for source in _sources(part, needs)]


def _alignable(identity: Identity) -> None:
    """Raise UpstreamError where the frames of the parts cannot be aligned in time."""
    for part in identity.parts if len(identity.parts) > 1 else ():
        who = f"{identity.named.name}: frames of its parts are aligned in time, and"
        if part.modality != "audio":
            raise UpstreamError(f"{who} those of {part.named.name} are pieces of text; use a head on pooled features")
        if part.step is None:
            raise UpstreamError(
                f"{who} the step between those of {part.named.name} is not known; give it as `hop`, in seconds, in "
                "about.yaml beside them, or use a head on pooled features"
            )


def features(identity: Identity, extracted: Callable[[Identity, Needs], Features], needs: Needs) -> Features:
    """The features of a fusion; `extracted` gives those of an upstream that is none.

    Raises:
        UpstreamError: a part has no features of these utterances; the message names the part.
    """
    from upstreams import side_by_side

    held: dict[Named, Features] = {}
    for source, own in sources(identity, needs):
        try:
            held[source.named] = extracted(source, own)
        except EmorepError as error:
            raise UpstreamError(f"{identity.named.name}: its part {source.named.name} fails: {error}") from error

    def view(one: Identity) -> Features:
        if not one.parts:
            return held[one.named]
        parts = [view(part) for part in one.parts]
        made = side_by_side.features(one, parts, needs)
        return replace(made, live=_live(one, parts)) if "live" in needs else made

    return view(identity)


def _live(identity: Identity, parts: Sequence[Features]) -> Live:
    """The networks of the parts, which decode audio of one rate once."""
    from upstreams.fused_live import FusedLive
    from upstreams.inputs.waveforms import Waveforms
    from upstreams.live import Live as OfOne

    steps = [part.step for part in identity.parts if part.step is not None]  # all are known, see _alignable
    several, waveforms = [part.live for part in parts if part.live is not None], Waveforms()
    for own in several:
        if isinstance(own, OfOne):
            own.waveforms = waveforms
    return FusedLive(several, steps)
