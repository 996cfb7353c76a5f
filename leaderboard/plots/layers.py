"""What the layers hold: their figures, and the weights that a head gave them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import REFERENCE, Record
from commons.metrics import axis_label
from leaderboard.names import shown as called
from leaderboard.plots.style import distinct, figure, legend_below, line_style
from leaderboard.plots.style import title as heading
from leaderboard.questions import groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layers(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head: test figure of each layer, had every fold taken it; beside it learned weights.

    A weight says little where layers differ in size, so it is multiplied with the layer's mean L2 norm where the
    record holds that, and scaled to sum to one.
    """
    from matplotlib.ticker import MaxNLocator

    for measured, _ in groups(records):
        task, head = measured[0].task, measured[0].cell.downstream
        deep = [r for r in measured if head != REFERENCE and (r.upstream.depth or 1) > 1]
        curves = [r for r in deep if r.scores.by_layer]
        weighted = [r for r in deep if r.chosen.layer_weights]
        panels = [*(["figures"] * bool(curves)), *(["weights"] * bool(weighted))]
        if not panels:
            continue
        shown = [r for r in deep if r in curves or r in weighted]
        names = distinct([called(r) for r in shown], 40 if width == "page" else 30)
        across = len(panels) if width == "page" else 1
        down = len(panels) // across
        drawn, axes = figure(width, 1.9 * down + 0.5 + 0.13 * len(shown), down, across)
        for axis, panel in zip(axes, panels, strict=True):
            for index, (record, name) in enumerate(zip(shown, names, strict=True)):
                if panel == "figures" and record in curves:
                    values = [np.nan if v is None else v for v in record.scores.by_layer or []]
                    axis.plot(range(len(values)), values, label=name, **line_style(index))
                if panel == "weights" and record in weighted:
                    heights, _ = weights(record)
                    axis.plot(range(len(heights)), heights, label=name, **line_style(index))
            if panel == "weights":
                axis.set_ylim(0, 1.08 * axis.dataLim.y1)
            axis.set_xlabel("layer (0: input of the first block)")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if curves:
            axes[0].set_ylabel(axis_label(task.headline))
        if weighted:
            normed = all(weights(r)[1] for r in weighted)
            axes[-1].set_ylabel("weight x norm" if normed else "weight")
        heading(drawn, f"{task.name} · {head}", width)
        legend_below(drawn, axes[0], width)
        yield (task.name, head), drawn


def weights(record: Record) -> tuple[np.ndarray, bool]:
    """(L,) mean weight of each layer over folds and seeds, and whether it is multiplied with the layer's norm."""
    mean = np.mean(record.chosen.layer_weights or [], axis=0)
    norms = record.upstream.layer_norms
    if norms is None or len(norms) != len(mean):
        return mean, False
    scaled = mean * np.array(norms)
    return scaled / scaled.sum(), True
