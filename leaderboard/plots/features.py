"""Which features carry a task: those that a head selected, how often, and their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import Record
from leaderboard.plots.style import COLOURS, GREY, figure, short
from leaderboard.plots.style import title as heading
from leaderboard.records.display_names import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 20  # features in a picture


def features(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """A picture for every cell whose head selected features: how often each was, its weight, and that of families.

    A weight is the norm over classes for one deviation of the feature, as a share of all weights of its fold; figures
    are means over folds and draws, in which a feature that is not selected has 0. Features of one family have one
    colour, and behind a family stands how many of its features a fold selects; where names tell no families, that panel
    is left out.
    """
    for record in records:
        selected = record.chosen.features
        if not selected:
            continue
        often, weights = carried(selected)
        names = sorted(weights, key=lambda name: (-often[name], -weights[name], name))[:MOST][::-1]
        families = by_family(weights)
        colours = dict(zip(sorted(families), [*COLOURS, *[GREY] * len(families)], strict=False))
        panels = 2 + bool(families)
        down, across = (1, panels) if width == "page" else (panels, 1)
        height = 0.6 + 0.13 * len(names)
        drawn, axes = figure(width, height if width == "page" else 2 * height + 1.4 * bool(families), down, across)
        shades = [colours.get(family(name), COLOURS[0]) for name in names]
        labels = [short(name.removeprefix(f"{family(name)}: "), 34) for name in names]
        _bars(axes[0], labels, [100 * often[name] for name in names], shades, "selected, % of folds")
        _bars(axes[1], labels, [100 * weights[name] for name in names], shades, "weight, % of a fold's")
        if width == "page":
            axes[1].set_yticklabels([])
        if families:
            ordered = list(families)[::-1]
            sizes = [100 * families[name] for name in ordered]
            numbered = [f"{short(name, 20)} ({members(often, name):.0f})" for name in ordered]
            _bars(axes[2], numbered, sizes, [colours[name] for name in ordered], "weight of the family, %")
        counts = sorted(len(own) for own in selected)
        numbers = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
        words = f"{shown(record)} · {record.cell.task} · {record.cell.downstream} · {numbers} features a fold"
        heading(drawn, words, width)
        yield (record.cell.upstream, record.cell.task, record.cell.downstream), drawn


def carried(selected: Sequence[dict[str, float]]) -> tuple[Counter[str], dict[str, float]]:
    """Of each feature the share of folds that selected it, and its mean share of a fold's weights; these sum to 1."""
    often: Counter[str] = Counter()
    weights: dict[str, float] = {}
    for own in selected:
        whole = sum(own.values()) or 1.0
        for name, size in own.items():
            often[name] += 1
            weights[name] = weights.get(name, 0.0) + size / whole / len(selected)
    return Counter({name: count / len(selected) for name, count in often.items()}), weights


def family(name: str) -> str:
    """The family that a name begins with, before a colon; "" where it names none."""
    return name.partition(": ")[0] if ": " in name else ""


def members(often: Counter[str], family_name: str) -> float:
    """How many features of a family a fold selects, in the mean."""
    return sum(share for name, share in often.items() if family(name) == family_name)


def by_family(weights: dict[str, float]) -> dict[str, float]:
    """The weight of each family, largest first; empty where a name tells none."""
    if not all(map(family, weights)):
        return {}
    total: dict[str, float] = {}
    for name, size in weights.items():
        total[family(name)] = total.get(family(name), 0.0) + size
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _bars(axis: Axes, labels: Sequence[str], sizes: Sequence[float], colours: Sequence[str], about: str) -> None:
    axis.barh(range(len(labels)), sizes, color=colours)
    axis.set_yticks(range(len(labels)), labels, fontsize=5.5)
    axis.set_ylim(-0.7, len(labels) - 0.3)
    axis.set_xlabel(about)
