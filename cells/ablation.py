"""Ablations: variants are trained if they are missing, measured as ordinary cells, and shown in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import leaderboard
import upstreams

if TYPE_CHECKING:
    from cells.request import Request
    from commons.corridors.record import Record


def trained(request: Request) -> tuple[Request, dict[str, str]]:
    """The request plus an upstream for each variant; and absent variants, each with the reason.

    Variants that are not trained yet are trained here. A request without an ablation is returned as it is.

    Raises:
        EmorepError: no variant can be trained.
    """
    ablation = request.ablation
    if ablation is None:
        return request, {}
    absent = upstreams.train(
        ablation, request.speech, request.places, request.device, request.jobs, request.seen, dict(request.files)
    )
    variants = [
        upstreams.resolve(ablation.upstream(variant), request.places)
        for variant in ablation.variants
        if variant not in absent
    ]
    return replace(request, upstreams=tuple(dict.fromkeys([*request.upstreams, *variants]))), absent


def show(request: Request, records: Sequence[Record], absent: dict[str, str]) -> list[Path]:
    """Print the table of the ablation with the paper's figures; returns the files to which it was written."""
    ablation = request.ablation
    if ablation is None:
        return []
    upstream = {variant: ablation.upstream(variant) for variant in ablation.variants}
    facts = (ablation.name, ablation.title, upstream, ablation.published, ablation.measure, ablation.source)
    return leaderboard.ablation(request.results, *facts, records, absent)
