"""Reliability diagrams: accuracy in bins of equal mass against confidence, before and after correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import Record
from commons.errors import EmorepError
from leaderboard.plots.style import COLOURS, GREY, figure, legend_below, pages, wrapped
from leaderboard.plots.style import title as heading
from leaderboard.records.display_names import shown
from leaderboard.trust import calibration
from leaderboard.trust.calibration import Answers
from leaderboard.trust.systems import System, systems
from leaderboard.trust.variants import GIVEN, Variant, variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"column": 2, "page": 4}  # beside each other
MOST = 4  # rows of panels in one picture
HEIGHT = 1.8  # inches of a row


def reliability(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head a panel for each system, as many pictures as that takes."""
    for several in systems(results, records, []):
        made = [(system, own) for system in several if (own := _known(results, system))]
        for number, part in pages(made, PANELS[width] * MOST):
            task, head = part[0][0].record.task, part[0][0].record.cell.downstream
            yield (task.name, head, *number), _figure(part, f"{task.name} · {head}", width)


def _known(results: Path, system: System) -> list[Variant]:
    """As given, and the last correction; empty where nothing is known. Damage is told by `table --by calibration`."""
    try:
        own = variants(results, system)
    except EmorepError:
        return []
    return own if len(own) < 2 else [own[0], own[-1]]


def _figure(part: Sequence[tuple[System, list[Variant]]], words: str, width: str) -> Figure:
    columns = min(PANELS[width], len(part))
    rows = -(-len(part) // columns)
    drawn, axes = figure(width, 0.75 + HEIGHT * rows, rows, columns, shared=True)
    for axis, (system, own) in zip(axes, part, strict=False):
        axis.plot([0, 100], [0, 100], color=GREY, linewidth=0.7, linestyle=":")
        for index, variant in enumerate(own):
            confidence, accuracy = points(variant.answers)
            colour = COLOURS[0] if variant.name == GIVEN else COLOURS[1]
            axis.plot(confidence, accuracy, marker="os"[index], markersize=2.5, color=colour, label=variant.name,
                      linewidth=0.9)  # fmt: skip
        axis.set_title(wrapped([shown(system.record)], 20)[0], fontsize=6.5)
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        axis.set_xticks([0, 50, 100])
        axis.set_yticks([0, 50, 100])
        axis.set_aspect("equal")
    for axis in axes[len(part) :]:
        axis.set_visible(False)
    drawn.supylabel("accuracy (%)", fontsize=7)
    legend_below(drawn, _fullest(axes[: len(part)]), width, "across: confidence (%), bins of equal mass")
    heading(drawn, words, width)
    return drawn


def _fullest(axes: Sequence[Axes]) -> Axes:
    """The panel with most lines, whose legend serves all."""
    return max(axes, key=lambda axis: len(axis.get_lines()))


def points(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Mean confidence and accuracy of every bin, percent, means over seeds."""
    seeds = [
        [(own.confidence[rows].mean(), own.right[rows].mean()) for rows in calibration.bins(own)]
        for own in calibration.of_seeds(answers)
    ]
    confidence, accuracy = 100 * np.mean(seeds, axis=0).T
    return confidence, accuracy
