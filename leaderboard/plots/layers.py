"""What the layers hold: their figures, and the weights that a head gave them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import REFERENCE, Record, Task
from commons.metrics import METRICS, axis_label
from leaderboard.errors import LeaderboardError
from leaderboard.plots.style import GREY, distinct, figure, legend_below, line_style
from leaderboard.plots.style import title as heading
from leaderboard.records.comparable import groups, guesses
from leaderboard.records.display_names import shown as called
from leaderboard.records.intervals import jackknife, shares
from leaderboard.records.random_weights import averaged, draws_of
from leaderboard.records.record_store import predictions
from leaderboard.records.scoring import by_group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def layers(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """A picture for every task and head: the test figure of each layer, and the weights that a head learned for layers.

    The figure of a layer is what test would give if every fold had chosen that layer; bars are 95 % intervals over
    groups. A line shows chance, and the axis begins there, or lower where an interval is lower. A learned weight is
    multiplied by the layer's mean L2 norm if the record holds it, since layers differ in size; weights are then scaled
    to sum to one.
    """
    from matplotlib.ticker import MaxNLocator

    for measured, _ in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        deep = [r for r in measured if head != REFERENCE and (r.upstream.depth or 1) > 1]
        curves = [r for r in deep if any(v is not None for v in r.scores.by_layer or ())]  # test may lack a class
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
                    offset = (index - (len(shown) - 1) / 2) * min(0.06, 0.5 / len(shown))  # intervals side by side
                    _curve(axis, by_layer(results, record), offset, name, index)
                if panel == "weights" and record in weighted:
                    heights, _ = weights(record)
                    axis.plot(range(len(heights)), heights, label=name, **line_style(index))
            if panel == "weights":
                axis.set_ylim(0, 1.08 * axis.dataLim.y1)
            axis.set_xlabel("layer (0: input of the first block)")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if curves:
            axes[0].set_ylabel(axis_label(task.headline))
            _from_chance(axes[0], task)
        if weighted:
            normed = all(weights(r)[1] for r in weighted)
            axes[-1].set_ylabel("weight x norm" if normed else "weight")
        heading(drawn, f"{task.name} · {head}", width)
        legend_below(drawn, axes[0], width)
        yield (task.name, head), drawn


def by_layer(results: Path, record: Record) -> np.ndarray:
    """(3, L): of every layer the test figure of the first seed, and the ends of its interval; NaN where there is none.

    Intervals are computed from the stored predictions; where these are damaged, and of a mean over draws of random
    weights, there are none.
    """
    task, metric = record.task, METRICS[record.task.headline]
    values = np.array([np.nan if v is None else v for v in record.scores.by_layer or []])
    figures = np.full((3, len(values)), np.nan)
    figures[0] = values
    if draws_of(record):
        return figures
    try:
        table = predictions(results, record)
    except (OSError, LeaderboardError):
        return figures
    first = table[table["seed"] == table["seed"].min()]
    for layer in range(len(values)):
        if f"layer:{layer}" in first:
            statistics, _ = by_group(first.assign(prediction=first[f"layer:{layer}"]), task)
            _, low, high, _ = jackknife(statistics, metric, metric.limits, shares(statistics[0], metric))
            figures[1:, layer] = low, high
    return figures


def _curve(axis: Axes, figures: np.ndarray, offset: float, name: str, index: int) -> None:
    """A line over layers with its intervals."""
    style, at = line_style(index), np.arange(figures.shape[1]) + offset
    axis.plot(at, figures[0], label=name, **style)
    axis.vlines(at, figures[1], figures[2], color=style["color"], linewidth=0.6, alpha=0.6)


def _from_chance(axis: Axes, task: Task) -> None:
    """Let the axis begin at chance, with a line there, or say where it begins where chance is not known.

    Of joined corpora there are two lines: chance where the classes are most, and where they are fewest.
    """
    least = max(0.0, METRICS[task.headline].limits[0])
    chance = sorted(set(guesses(task))) if task.headline == "UA" else [least]
    low, high = axis.dataLim.y0, max(axis.dataLim.y1, *chance)
    bottom = min(*chance, low)
    room = 0.04 * ((high - bottom) or 1.0)
    axis.set_ylim(bottom - room * (bottom < chance[0] or chance[0] > 0), high + room)
    if task.headline == "UA" or bottom < chance[0]:
        words = "chance" if task.headline in ("UA", "CCC", "Pearson") else "0"
        for line in chance:
            axis.axhline(line, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        axis.annotate(words, (1, chance[-1]), (0, 1.5), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", fontsize=5.5, color=GREY)  # fmt: skip


def weights(record: Record) -> tuple[np.ndarray, bool]:
    """(L,) mean weight of each layer over folds and seeds, and whether it is multiplied with the layer's norm."""
    mean = np.mean(record.chosen.layer_weights or [], axis=0)
    norms = record.upstream.layer_norms
    if norms is None or len(norms) != len(mean):
        return mean, False
    scaled = mean * np.array(norms)
    return scaled / scaled.sum(), True
