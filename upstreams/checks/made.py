"""Checks of upstreams that are made of features: those of files, and fusions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from upstreams import fusion, precomputed
from upstreams.checks.comparing import counted
from upstreams.errors import UpstreamError
from upstreams.extraction.models import Models
from upstreams.given_files import opened
from upstreams.identity import Identity, identify
from upstreams.named import Named
from upstreams.side_by_side import paired
from upstreams.training_check import BARRED


def of_files(named: Named) -> Iterator[str]:
    """The facts of features from files, after every array was read. Raises UpstreamError: the first bad array."""
    who = precomputed.identify(named)
    yield f"{named.name}: {who.title}"
    files = opened(precomputed.path_of(named))
    counts = [precomputed.sized(array, files.place(name), who).shape[1] for name, array in files.read(files.names)]
    what = f"{counted(who.depth, 'layer')} x {who.width}"
    if who.step == math.inf:
        yield f"  {counted(len(counts), 'array')}, one vector of {who.width} each, seen {who.seen}"
    else:
        step = "at a step that about.yaml does not say" if who.step is None else f"every {who.step:g} s"
        frames = (
            counted(min(counts), "frame") if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} frames"
        )
        yield f"  {counted(len(counts), 'array')}, {what}, {frames} {step}, seen {who.seen}"
    if who.licence:
        yield f"  licence: {who.licence}"
    yield f"  fingerprint {who.fingerprint}"
    yield "  all are numbers, finite and of one size"


def of_parts(named: Named, barred: str) -> Iterator[str]:
    """The facts of a fusion or a layer, which layers stand beside each other, and whether it can be fine-tuned.

    `barred`: a part that cannot be; empty: all can.
    """
    who = _identity(named, Models())
    yield f"{named.name}: {who.title}"
    yield f"  {counted(who.depth, 'layer')} x {who.width}, reads {who.modality}, seen {who.seen}"
    if who.licence:
        yield f"  licence: {who.licence}"
    if len(who.parts) > 1:
        rows = ["+".join(str(paired(layer, who.depth, p.depth)) for p in who.parts) for layer in range(who.depth)]
        yield f"  layers, those of the parts side by side: {', '.join(rows)}"
    yield f"  fingerprint {who.fingerprint}"
    yield _training(who, barred)


def _training(who: Identity, barred: str) -> str:
    """Whether a fusion can be fine-tuned, or why not; `barred`: as in `of_parts`."""
    try:
        fusion.sources(who, {"live"})
    except UpstreamError as error:
        return f"{BARRED}{str(error).removeprefix(f'{who.named.name}: ')}"
    if barred:
        return f"{BARRED}its part {barred} cannot be"
    return "  fine-tuning: its parts can be trained together"


def _identity(named: Named, models: Models) -> Identity:
    if named.parts:
        return fusion.identity(named, [_identity(part, models) for part in named.parts])
    return precomputed.identify(named) if named.given else identify(named, *models.current(named))
