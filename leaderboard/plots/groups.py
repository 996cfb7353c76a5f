"""Whom a system fails: UA of every group with its interval, and of every speaker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from commons.corridors.record import Record
from leaderboard.plots.style import COLOURS, GREY, MARKERS, TALLEST, figure, legend_below, pages, wrapped
from leaderboard.plots.style import title as heading
from leaderboard.records.comparable import guesses, unit
from leaderboard.records.display_names import shown
from leaderboard.text import plural
from leaderboard.trust import groups as by
from leaderboard.trust.systems import System, systems

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, LINE = 0.3, 0.09  # inches a system takes, at least, and each of its groups
REST = 1.8  # inches for title, axis and legend
SPREAD = 0.6  # of a row that the dots of its groups take


def groups(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head a picture for each column of groups, and one of speakers."""
    for several in systems(results, records, []):
        task, head = several[0].record.task, several[0].record.cell.downstream
        for column in by.COLUMNS:
            made = [(one, own) for one in several if (own := by.grouped(one.table, task, column))]
            for number, part in pages(made, _fitting(_row(made[0][1]))) if made else ():
                yield (task.name, head, column, *number), _of_groups(part, width)
        speakers = [(one, mine) for one in several if (mine := by.of_speakers(one.table, task))]
        for number, some in pages(speakers, _fitting(ROW)):
            yield (task.name, head, "speakers", *number), _of_speakers(some, width)


def _row(own: by.Groups) -> float:
    """Inches that a system takes in a picture of groups."""
    return max(ROW, LINE * len(own.names))


def _fitting(row: float) -> int:
    """How many systems fit into a picture, each of which takes `row` inches."""
    return max(1, int((TALLEST - REST) / row))


def _of_groups(made: Sequence[tuple[System, by.Groups]], width: str) -> Figure:
    record, first = made[0][0].record, made[0][1]
    drawn, (axis,) = figure(width, 1.15 + _row(first) * len(made))
    alone = False  # whether a figure has no interval
    for index, name in enumerate(first.names):
        places, values, ends = [], [], []
        for row, (_, own) in enumerate(made):
            score = by.scores(own)[own.names.index(name)] if name in own.names else None
            if score is not None and score.value is not None:
                places.append(row + SPREAD * ((index + 0.5) / len(first.names) - 0.5))
                values.append(score.value)
                ends.append((score.low, score.high))
        colour = COLOURS[index % len(COLOURS)]
        for place, value, (low, high) in zip(places, values, ends, strict=True):
            if low is not None and high is not None:
                axis.plot([low, high], [place, place], color=colour, linewidth=0.9, solid_capstyle="butt")
            else:
                alone = True
                axis.plot(value, place, marker="o", markersize=6, markerfacecolor="none", color=colour, linewidth=0)
        axis.plot(values, places, marker=MARKERS[index // len(COLOURS) % len(MARKERS)], color=colour, linewidth=0,
                  label=name)  # fmt: skip
    inside = plural(record.scores.counts.groups, unit(record))
    lacking = int((~first.classes).sum())
    over = f" over {int(first.classes.sum())} of {len(first.classes)} classes" if lacking else ""
    ring = "; ring: no interval" if alone else ""
    _dress(axis, [one for one, _ in made], guesses(record.task), width)
    axis.set_xlabel(f"UA (%), 95 % interval over {inside}")
    legend_below(drawn, axis, width, f"{first.column}{over}; dotted: chance{ring}")
    heading(drawn, f"{record.task.name} · {record.cell.downstream} · by {first.column}", width)
    return drawn


def _of_speakers(made: Sequence[tuple[System, by.Speakers]], width: str) -> Figure:
    record = made[0][0].record
    drawn, (axis,) = figure(width, 0.95 + ROW * len(made))
    for row, (_, own) in enumerate(made):
        below = own.values <= own.chance + 1e-9
        # Speakers stand in three lines, so that equal figures do not hide each other.
        places = row + 0.18 * (np.arange(len(own.values)) % 3 - 1)
        for inside, colour in ((~below, COLOURS[0]), (below, COLOURS[1])):
            axis.plot(
                own.values[inside], places[inside], marker="o", markersize=3, linewidth=0, color=colour, alpha=0.6
            )
        axis.plot([np.median(own.values)] * 2, [row - 0.33, row + 0.33], color="black", linewidth=1)
    _dress(axis, [one for one, _ in made], np.unique(made[0][1].chance), width)
    axis.set_xlabel("UA of each speaker (%); dotted: chance" if width == "page" else "UA of each speaker (%)")
    heading(drawn, f"{record.task.name} · {record.cell.downstream} · {len(made[0][1].names)} speakers", width)
    return drawn


def _dress(axis: Axes, several: Sequence[System], chances: Iterable[float], width: str) -> None:
    """Names of the systems, lines of chance, and room at both ends."""
    for chance in sorted(set(chances)):
        axis.axvline(chance, color=GREY, linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(several)), wrapped([shown(one.record) for one in several], 34 if width == "page" else 20))
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(several) - 0.5, -0.5)
    axis.set_xlim(0, 102)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", linewidth=0.4, alpha=0.4)
