"""Problems of few labels: a seed is a draw of what trains, and each draw is a problem of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from commons.corridors.features import Features
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Problem
from commons.marks import WITHOUT
from commons.progress import Progress
from downstreams.assembly import all_of, highest, joined
from downstreams.reader import Reader
from downstreams.registry import HEADS


def drawn(
    reader: Reader,
    features: Features,
    problem: Problem,
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
    work: Path | None = None,
    keep: Collection[str] = (),
) -> Predictions:
    """The head's predictions on each seed's draw; a head that draws random numbers starts from the same seed.

    Raises:
        DownstreamError: as the head.
    """
    evaluate = HEADS.find(reader.head).within(work, keep)  # a draw has a seed of its own, and so its own states
    parts = []
    for seed in seeds:
        alone = replace(problem, folds=problem.draws[seed], draws=())
        start = [0] if reader.deterministic else [seed]
        parts.append(_of_seed(seed, evaluate(features, alone, reader.settings, start, device, progress)))
    weights = [weight for part in parts for weight in part.layer_weights or ()]
    selected = [own for part in parts for own in part.features or ()]
    return replace(
        parts[0],  # figures of layers, and what pictures need, are of the first seed alone
        table=pd.concat([part.table for part in parts], ignore_index=True),
        choices=[choice for part in parts for choice in part.choices],
        layer_weights=weights or None,
        features=selected or None,
        held_out=all_of([part.held_out for part in parts]),
        curves=[entry for part in parts for entry in part.curves],
        training_seconds=sum(known) if (known := [p.training_seconds for p in parts if p.training_seconds]) else None,
        training_memory=highest(part.training_memory for part in parts),
        further=joined([part.further for part in parts]),
        fitted=[one for part in parts for one in part.fitted],
        marks=_marks(parts),
        seconds=sum(part.seconds for part in parts),
    )


def _marks(parts: Sequence[Predictions]) -> tuple[str, ...]:
    """The marks of any draw; that a branch is off, where it is so in all of them."""
    marks = {mark for part in parts for mark in part.marks}
    in_all = {mark for mark in marks if all(mark in part.marks for part in parts)}
    return tuple(sorted(mark for mark in marks if mark in in_all or not mark.startswith(f"{WITHOUT}:")))


def _of_seed(seed: int, part: Predictions) -> Predictions:
    """The same predictions, called those of `seed`."""
    choices, curves = ([entry | {"seed": seed} for entry in entries] for entries in (part.choices, part.curves))
    held_out = None if part.held_out is None else part.held_out.assign(seed=seed)
    return replace(
        part,
        table=part.table.assign(seed=seed),
        choices=choices,
        curves=curves,
        held_out=held_out,
        further=tuple(replace(one, table=one.table.assign(seed=seed)) for one in part.further),
        fitted=[replace(one, seed=seed) for one in part.fitted],
    )
