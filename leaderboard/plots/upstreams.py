"""Upstreams side by side: bars with intervals, a heat map over tasks, rank intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import REFERENCE, Record
from commons.metrics import METRICS, axis_label
from leaderboard.plots.style import COLOURS, GREY, SEQUENTIAL, figure, short, wrapped
from leaderboard.plots.style import title as heading
from leaderboard.records.comparable import aspect, groups, is_floor, unit
from leaderboard.records.display_names import names, shown
from leaderboard.records.random_weights import averaged
from leaderboard.tables.model import figure as number
from leaderboard.tables.views import by_tasks
from leaderboard.text import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

ROW = 0.17  # inches a row of text


def bars(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head the upstreams, best first, with 95 % intervals; floors in grey."""
    for measured, references in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        shown_rows = sorted([*measured, *references], key=is_floor)
        everyone = [r for r in shown_rows if r.scores.metrics[task.headline].value is not None]
        if head == REFERENCE or not everyone:
            continue
        drawn, (axis,) = figure(width, 0.75 + ROW * len(everyone))
        top = METRICS[task.headline].limits[1]
        for row, record in enumerate(everyone):
            score = record.scores.metrics[task.headline]
            colour = GREY if is_floor(record) else COLOURS[0]
            value = score.value or 0.0
            axis.barh(row, value, height=0.62, color=colour, alpha=0.75, linewidth=0)
            low, high = (value if bound is None else bound for bound in (score.low, score.high))
            axis.plot([low, high], [row, row], color="black", linewidth=0.9, solid_capstyle="butt")
            axis.annotate(number(value, task.headline), (max(high, value), row), (3, 0), textcoords="offset points",
                          va="center", fontsize=6)  # fmt: skip
        highest = max(max(s.high or 0.0, s.value or 0.0) for s in (r.scores.metrics[task.headline] for r in everyone))
        lowest = min(0.0, *(s.low or 0.0 for s in (r.scores.metrics[task.headline] for r in everyone)))
        room = 1.13 if width == "page" else 1.28  # for the figure beside the longest bar
        axis.set_xlim(lowest, highest * room if not np.isfinite(top) else min(highest, top) * room)
        axis.set_xticks([tick for tick in axis.get_xticks() if lowest <= tick <= min(top, highest * room)])
        _names(axis, [shown(r) for r in everyone], width)
        over = plural(measured[0].scores.counts.groups, unit(measured[0]))
        drawn_interval = any(r.scores.metrics[task.headline].low is not None for r in everyone)
        axis.set_xlabel(axis_label(task.headline) + (f", 95 % interval over {over}" if drawn_interval else f", {over}"))
        heading(drawn, f"{task.name} · {head}", width)
        yield (task.name, head), drawn


def heatmap(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """Upstreams by tasks for every head, headline metric and aspect; the figure stands in each field."""
    for table in by_tasks(results, records)[0]:
        metric = next(iter(table.cells.values())).metric or ""
        values = np.array(
            [[np.nan if (e := table.cells.get((row, c))) is None or e.value is None else e.value for c in table.columns]
             for row in table.rows]
        )  # fmt: skip
        if np.isnan(values).all():
            continue
        drawn, (axis,) = figure(width, 1.15 + 0.19 * len(table.rows))
        image = axis.imshow(values, cmap=SEQUENTIAL, aspect="auto")
        annotate(axis, image, [[number(None if np.isnan(v) else v, metric) for v in row] for row in values])
        _names(axis, [table.name(row) for row in table.rows], width, invert=False)
        wanted = [short(column, 24) for column in table.columns]
        axis.set_xticks(range(len(wanted)), wanted, rotation=30, ha="right", rotation_mode="anchor")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        heading(drawn, table.title.replace("all tasks", axis_label(metric)), width)
        drawn.colorbar(image, ax=axis, fraction=0.05, pad=0.02).outline.set_visible(False)
        yield (*table.title.split(" · ")[1:], metric), drawn


def ranks(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head, and over corpora, the ranks that each upstream may have; a dot is its rank."""
    from leaderboard.comparison.answers import answers, kinds
    from leaderboard.comparison.corpora import across
    from leaderboard.comparison.standings import standing

    (parts, _), called = answers(results, records), names(records)
    for part in parts:
        if len(part) > 1:
            place, record = standing(part), part[0].record
            drawn = _rank_figure([shown(a.record) for a in place.answers], place.ranks, place.last, width,
                                 f"{record.cell.task} · {record.cell.downstream}")  # fmt: skip
            yield (record.cell.task, record.cell.downstream), drawn
    for several in kinds(parts)[0]:
        if len(several) < 2:
            continue
        over, record = across(several), several[0][0].record
        if len(over.upstreams) > 1:
            votes = len(over.families)
            about = tuple(filter(None, (aspect(record.task), record.cell.downstream, over.metric)))
            words = " · ".join((f"{votes} corpus {'family' if votes == 1 else 'families'}", *about))
            drawn = _rank_figure([called[u] for u in over.upstreams], over.ranks, over.last, width, words)
            yield ("over-corpora", *about), drawn


def annotate(axis: Axes, image: AxesImage, texts: Sequence[Sequence[str]], size: float = 6) -> None:
    """Write into every field of a matrix, black or white, whichever reads better on its colour."""
    values = np.asarray(image.get_array(), dtype=float)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            red, green, blue, _ = image.cmap(image.norm(values[row, column]))
            dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45 and np.isfinite(values[row, column])
            axis.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")


def _rank_figure(rows: Sequence[str], first: Sequence[int], last: Sequence[int], width: str, words: str) -> Figure:
    drawn, (axis,) = figure(width, 0.75 + ROW * len(rows))
    ranked = any(low > 1 for low in first)  # else every dot would be at rank 1, as if all were best
    for row, (low, high) in enumerate(zip(first, last, strict=True)):
        axis.plot([low, high], [row, row], color=COLOURS[0], linewidth=2.2, solid_capstyle="round", alpha=0.55)
        if ranked:
            axis.plot(low, row, marker="o", color=COLOURS[0])
    axis.set_xlim(0.5, len(rows) + 0.5)
    step = -(-len(rows) // (6 if width == "column" else 20))
    axis.set_xticks(range(1, len(rows) + 1, step))
    axis.grid(axis="x", linewidth=0.4, alpha=0.4)
    _names(axis, rows, width)
    axis.set_xlabel("rank (dot) and possible ranks" if ranked else "possible ranks; no significant difference")
    heading(drawn, words, width)
    return drawn


def _names(axis: Axes, rows: Sequence[str], width: str, *, invert: bool = True) -> None:
    texts = axis.set_yticks(range(len(rows)), wrapped(rows, 34 if width == "page" else 22))
    for tick in texts:
        if "\n" in tick.label1.get_text():
            tick.label1.set(fontsize=5, linespacing=0.95)  # two lines in the height of one
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    if invert:
        axis.spines["left"].set_visible(False)
