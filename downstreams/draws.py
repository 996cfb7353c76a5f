"""Problems of few labels: a seed is a draw of what trains, and each draw is a problem of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from downstreams.predictions import Predictions
from downstreams.registry import Head


def drawn(
    head: Head,
    features: Any,
    problem: Any,
    settings: dict[str, Any],
    seeds: Sequence[int],
    device: str,
    progress: Any = None,
) -> Predictions:
    """The head's predictions on each seed's draw; a head that draws as well starts from the same seed."""
    found = []
    for seed in seeds:
        alone = replace(problem, folds=problem.draws[seed], draws=())
        started = [0] if head.deterministic else [seed]
        found.append(_of(seed, head.load()(features, alone, settings, started, device, progress)))
    weights = [weight for part in found for weight in part.layer_weights or ()]
    return replace(
        found[0],  # what is told of layers, and what pictures need, is of the first seed alone
        table=pd.concat([part.table for part in found], ignore_index=True),
        choices=[one for part in found for one in part.choices],
        layer_weights=weights or None,
        marks=tuple(sorted({mark for part in found for mark in part.marks})),
        seconds=sum(part.seconds for part in found),
    )


def _of(seed: int, part: Predictions) -> Predictions:
    return replace(part, table=part.table.assign(seed=seed), choices=[one | {"seed": seed} for one in part.choices])
