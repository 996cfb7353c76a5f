"""Matrices: confusions of classes, transfer from corpus to corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import REFERENCE, Record
from commons.metrics import METRICS
from leaderboard.plots.style import SEQUENTIAL, TALLEST, WIDTHS, figure, pages, short, wrapped
from leaderboard.plots.style import title as heading
from leaderboard.plots.upstreams import annotate
from leaderboard.records.comparable import groups
from leaderboard.records.display_names import names, shown
from leaderboard.records.random_weights import averaged
from leaderboard.tables import transfers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head a panel an upstream: percent of each true class (row) by what was predicted."""
    for measured, _ in groups(averaged(records)):
        task, head = measured[0].task, measured[0].cell.downstream
        several = [r for r in measured if r.scores.confusion and head != REFERENCE]
        if not several:
            continue
        panels = []
        for record, name in zip(several, _titles(several, width, len(task.classes)), strict=True):
            counts = np.array(record.scores.confusion, dtype=float)
            panels.append((name, 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)))
        title = f"{task.name} · {head}, % of the true class"
        labels = [short(name, 14) for name in task.classes]
        yield from _pages((task.name, head), panels, labels, ("predicted", "true"), title, width, "{:.0f}", (0, 100))


def transfer(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every variant, head and metric a panel an upstream: trained on the row's corpus, tested on the column's; on
    the diagonal the corpus's own folds, where they were measured."""
    cells: dict[tuple[str, str, str], dict[str, dict[tuple[str, str], float]]] = {}
    alone, called = {}, names(records)
    for record in averaged(records):
        value, metric = record.scores.metrics[record.task.headline].value, record.task.headline
        if record.cell.downstream == REFERENCE or value is None:
            continue
        alone[record.cell.upstream, record.cell.task, record.cell.downstream, metric] = value
        pair = transfers.pair(record.task)
        if pair and pair[0] != transfers.ACROSS:
            kind = (pair[0], record.cell.downstream, metric)
            cells.setdefault(kind, {}).setdefault(record.cell.upstream, {})[pair[1:]] = value
    for (variant, head, metric), upstreams in cells.items():
        for upstream, figures in upstreams.items():
            for name in {name for both in figures for name in both}:
                figures[name, name] = alone.get((upstream, name, head, metric), np.nan)
        corpora = sorted({name for figures in upstreams.values() for pair in figures for name in pair})
        panels = []
        titles = _short_titles([called[upstream] for upstream in upstreams], width, len(corpora))
        for name, figures in zip(titles, upstreams.values(), strict=True):
            panels.append((name, np.array([[figures.get((s, t), np.nan) for t in corpora] for s in corpora])))
        everything = np.concatenate([values.ravel() for _, values in panels])
        span = (float(np.nanmin(everything)), float(np.nanmax(everything)))
        labels = [short(name, 14) for name in corpora]
        form = f"{{:.{METRICS[metric].decimals - 1}f}}"  # a field holds one digit less than a table
        title = f"{variant} · {head}, {metric}"
        yield from _pages(
            (*filter(None, [variant.removeprefix("transfer").strip("-")]), head, metric),
            panels,
            labels,
            ("tested on", "trained on"),
            title,
            width,
            form,
            span,
        )


def _pages(
    name: tuple[str, ...], panels: Sequence[tuple[str, np.ndarray]], labels: Sequence[str], sides: tuple[str, str],
    title: str, width: str, form: str, span: tuple[float, float],
) -> Iterator[tuple[tuple[str, ...], Figure]]:  # fmt: skip
    """As many figures as it takes, none taller than a page."""
    beside = min(len(panels), _beside(width, len(labels)))
    beside = -(-len(panels) // -(-len(panels) // beside))  # 5 panels stand as 3 and 2, not 4 and 1
    height = min((WIDTHS[width] - 0.9) / max(beside, 1.6), 2.6) + 0.35
    room = beside * max(1, int((TALLEST - 0.8) / height))
    for number, some in pages(panels, room):
        yield (*name, *number), _panels(some, labels, sides, title, width, form, span, beside, height)


def _panels(
    panels: Sequence[tuple[str, np.ndarray]], labels: Sequence[str], sides: tuple[str, str], title: str, width: str,
    form: str, span: tuple[float, float], beside: int, height: float,
) -> Figure:  # fmt: skip
    rows = -(-len(panels) // beside)
    drawn, axes = figure(width, rows * height + 0.8, rows, beside, shared=True)
    for axis, (name, values) in zip(axes, panels, strict=False):
        image = axis.imshow(values, cmap=SEQUENTIAL, vmin=span[0], vmax=span[1])
        size = min(6.0, 30 * (height - 0.35) / len(labels))
        annotate(axis, image, [["" if np.isnan(v) else form.format(v) for v in row] for row in values], size)
        axis.set_title(name, loc="left")
        axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(labels)), labels)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.remove()
    for index, axis in enumerate(axes[: len(panels)]):  # the last panel of each column carries the labels
        axis.tick_params(labelbottom=index + beside >= len(panels))
    drawn.supxlabel(sides[0], fontsize=7)
    drawn.supylabel(sides[1], fontsize=7)
    heading(drawn, title, width)
    return drawn


def _beside(width: str, fields: int) -> int:
    """Panels side by side, so that a field keeps room for its figure."""
    return max(1, int((WIDTHS[width] - 0.9) / max(1.2, 0.21 * fields)))


def _titles(several: Sequence[Record], width: str, fields: int) -> list[str]:
    return _short_titles([shown(r) for r in several], width, fields)


def _short_titles(names: Sequence[str], width: str, fields: int) -> list[str]:
    beside = min(len(names), _beside(width, fields))
    return wrapped(names, max(12, int((WIDTHS[width] - 0.9) / beside * 72 / 4.6)))
