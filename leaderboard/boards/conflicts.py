"""Two records of one cell, compared: what was asked otherwise, how far predictions differ, and on what machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from commons.corridors.record import Record
from leaderboard.tables.model import figure

if TYPE_CHECKING:
    import pandas as pd

FEW = 0.01  # share of predictions that rounding may change; a changed weight, split or head changes more
NEAR = 1e-3  # of a score, or of the deviation of predicted values: nearer ones count as equal
AT = ["seed", "fold", "id"]


class Verdict(Enum):
    """How two records of one cell stand to each other; the value says it in words."""

    SAME = "the same predictions"
    MORE_SEEDS = "the same predictions, and further seeds"
    ROUNDING = "as rounding does"
    REAL = "more than rounding"
    OTHER = "asked otherwise"


@dataclass(frozen=True)
class Comparison:
    """A verdict, and lines on what differs and by how much, for people."""

    verdict: Verdict
    lines: tuple[str, ...] = ()


def compared(mine: Record, own: pd.DataFrame, theirs: Record, other: pd.DataFrame) -> Comparison:
    """How the record `theirs` stands to `mine`, of the same cell; `own` and `other` are their stored predictions."""
    if asked := _asked_otherwise(mine, theirs):
        return Comparison(Verdict.OTHER, (*asked, _figures(mine, theirs)))
    seeds = [seed for seed in mine.cell.seeds if seed in theirs.cell.seeds]
    if not seeds:
        said = f"seeds {_listed(mine.cell.seeds)} and {_listed(theirs.cell.seeds)}: none in common"
        return Comparison(Verdict.OTHER, (said, _figures(mine, theirs)))
    changed, total, furthest = _changed(own, other, seeds, classes=bool(mine.task.classes))
    machines = _machines(mine, theirs)
    if changed is None:
        said = "they predict other utterances, though task, version and audit are the same"
        return Comparison(Verdict.REAL, (said, *machines))
    if not changed and not furthest:
        more = set(theirs.cell.seeds) > set(mine.cell.seeds)
        return Comparison(Verdict.MORE_SEEDS if more else Verdict.SAME)
    lines = (
        _figures(mine, theirs),
        f"{changed} of {total} predictions differ, scores by up to {furthest:.1g}; seeds {_listed(seeds)}",
        *(machines or ("processor, device and versions are the same, as far as the records name them",)),
    )
    small = changed <= FEW * total
    only_digits = not changed and furthest < NEAR
    return Comparison(Verdict.ROUNDING if only_digits or (small and machines) else Verdict.REAL, lines)


def _asked_otherwise(mine: Record, theirs: Record) -> list[str]:
    """A line for each fact that decides the figures and differs."""
    facts = {
        "task version": lambda r: r.task.version,
        "audit": lambda r: r.task.audit[:8],
        "utterances of a smoke run": lambda r: r.cell.limit,
        "weights": lambda r: (r.upstream.fingerprint or "")[:8],
        "precision": lambda r: r.cell.precision,
        "weights of classes": lambda r: r.downstream.class_weights,
    }
    pairs = {name: (of(mine), of(theirs)) for name, of in facts.items()}
    ours, other = mine.downstream.settings, theirs.downstream.settings
    pairs |= {f"the head's {name}": (ours.get(name), other.get(name)) for name in {**ours, **other}}
    return [f"{name}: {_or_none(a)} here, {_or_none(b)} there" for name, (a, b) in pairs.items() if a != b]


def _or_none(value: object) -> str:
    return "none" if value in (None, "") else str(value)


def _machines(mine: Record, theirs: Record) -> list[str]:
    """A line for each fact of the machine, by which the last digits of a figure may differ."""
    ours, other = mine.run, theirs.run
    facts = {"processor": (ours.processor, other.processor), "device": (ours.device, other.device)}
    facts |= {name: (ours.versions.get(name), other.versions.get(name)) for name in {**ours.versions, **other.versions}}
    facts["emorep"] = (ours.emorep, other.emorep)
    return [f"{name}: {a or 'unknown'} here, {b or 'unknown'} there" for name, (a, b) in facts.items() if a != b]


def _changed(
    own: pd.DataFrame, other: pd.DataFrame, seeds: list[int], *, classes: bool
) -> tuple[int | None, int, float]:
    """Predictions of these seeds that differ, of how many, and the largest difference of a score or predicted value.

    The first is None where the rows are not of the same utterances, folds and seeds.
    """
    import numpy as np

    mine, theirs = (table[table["seed"].isin(seeds)].set_index(AT).sort_index() for table in (own, other))
    if not mine.index.equals(theirs.index):
        return None, len(mine), 0.0
    a, b = mine["prediction"].to_numpy(), theirs["prediction"].to_numpy()
    if not classes:
        apart = np.abs(a.astype(float) - b.astype(float))
        return int((apart > NEAR * (np.std(a.astype(float)) or 1.0)).sum()), len(a), float(apart.max())
    scores = [name for name in mine.columns if name.startswith("score:") and name in theirs]
    furthest = max((float(np.abs(mine[name] - theirs[name]).max()) for name in scores), default=0.0)
    return int((a != b).sum()), len(a), furthest


def _figures(mine: Record, theirs: Record) -> str:
    """`UA 74.8 here, 74.9 there, +0.1`."""
    metric = mine.task.headline
    a, b = (
        record.scores.metrics[metric].value if metric in record.scores.metrics else None for record in (mine, theirs)
    )
    said = f"{metric} {figure(a, metric)} here, {figure(b, metric)} there"
    return said if a is None or b is None else f"{said}, {b - a:+.2g}"


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))
