"""Whether an upstream keeps the contract; if not, what is wrong with it and how to repair it."""

from __future__ import annotations

from collections.abc import Iterator

from commons.places import Places
from upstreams.build import build
from upstreams.checks import audio, made, text
from upstreams.composed import resolve
from upstreams.errors import Unsteady
from upstreams.training_check import BARRED


def check(name: str, places: Places | None = None) -> Iterator[str]:
    """The facts of an upstream and the results of the checks, one line each.

    Raises:
        UnknownName: there is no upstream of that name.
        UpstreamError: the first fault.
    """
    named = resolve(name, places or Places())
    if named.given:
        yield from made.of_files(named)
        return
    if named.parts:
        barred = ""
        for part in dict.fromkeys(named.parts):
            for line in check(part.name, places):
                barred = barred or part.name * line.startswith(BARRED)
                yield line
        yield from made.of_parts(named, barred)
        return
    upstream = build(named)
    parts = text if upstream.modality == "text" else audio
    yield f"{upstream.name}: {upstream.title}"
    yield parts.facts(upstream)
    if upstream.weights:
        yield f"  weights {upstream.weights}"
    if upstream.licence:
        yield f"  licence: {upstream.licence}"
    if upstream.normalisation:
        yield f"  {'text' if upstream.modality == 'text' else 'waveform'}: {upstream.normalisation}"
    if build(named).fingerprint() != upstream.fingerprint():
        raise Unsteady(name)
    yield f"  fingerprint {upstream.fingerprint()}"
    yield from parts.check(named, upstream)
