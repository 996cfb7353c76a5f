"""Figures of changed test audio: over the level of noise, and what each change does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commons.metrics import axis_label
from commons.perturbations import KINDS
from leaderboard.plots.style import GREY, distinct, figure, legend_below, line_style, pages
from leaderboard.plots.style import title as heading
from leaderboard.records.changed_audio import Changes, by_question, place
from leaderboard.records.comparable import guesses
from leaderboard.records.display_names import names as named

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from commons.corridors.record import Record

    Upstreams = Mapping[str, Changes]

MOST = 12  # upstreams in one picture


def robustness(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head: a picture of figures over the level of noise, and one of what each change does."""
    called = named(records)
    for asked, upstreams in by_question(records).items():
        base, head, metric = asked.base, asked.head, asked.metric
        every = distinct([called[upstream] for upstream in upstreams], 40 if width == "page" else 30)
        title = " · ".join(filter(None, (base, head, asked.apart)))
        for number, part in pages(list(zip(every, upstreams, strict=True)), MOST):
            labels, some = [label for label, _ in part], {upstream: upstreams[upstream] for _, upstream in part}
            noises = [kind for kind in KINDS if KINDS.find(kind).unit == "dB SNR" and _levels(some, kind) > 1]
            if noises:
                yield (base, head, "levels", *number), _over_levels(some, labels, noises, metric, title, width)
            yield (base, head, "changes", *number), _changes(some, labels, metric, title, width)


def _levels(upstreams: Upstreams, kind: str) -> int:
    """How many levels of a kind any upstream has at most."""
    return max(sum(change.kind == kind for change in own) for own in upstreams.values())


def _of_kind(own: Changes, kind: str) -> dict[float, Record]:
    """An upstream's records of one kind of noise by their levels."""
    return {c.level: record for c, record in own.items() if c.kind == kind and c.level is not None}


def _over_levels(
    upstreams: Upstreams, labels: Sequence[str], noises: Sequence[str], metric: str, title: str, width: str
) -> Figure:
    """A panel for each noise: the figure over its level, and at the right the one on clean audio."""
    across = len(noises) if width == "page" else 1
    drawn, axes = figure(width, 0.4 + 2.0 * len(noises) / across + 0.13 * len(labels), len(noises) // across, across)
    for axis, kind in zip(axes, noises, strict=True):
        several = [_of_kind(own, kind) for own in upstreams.values()]
        levels = sorted({level for own in several for level in own})
        for index, (label, own) in enumerate(zip(labels, several, strict=True)):
            style = line_style(index)
            offset = (index - (len(labels) - 1) / 2) * min(0.06, 0.5 / len(labels))  # intervals side by side
            at = []
            for level in sorted(own):
                x, score = levels.index(level) + offset, own[level].scores.metrics[metric]
                if score.value is not None:
                    at.append((x, score.value))
                    if score.low is not None and score.high is not None:
                        axis.plot([x, x], [score.low, score.high], color=style["color"], linewidth=0.6, alpha=0.6)
            against = next(iter(own.values())).scores.against_clean if own else None
            if against and against.clean is not None:
                axis.plot(len(levels) + offset, against.clean, marker=style["marker"], color=style["color"], mfc="w")
            if at:
                axis.plot(*zip(*at, strict=True), label=label, **style)
        axis.set_xticks(range(len(levels) + 1), [*(f"{level:g}" for level in levels), "clean"])
        axis.set_xlabel(f"{kind}, dB SNR")
        _chance(axis, upstreams, metric)
    top = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(0, top)
    for axis in axes[::across]:
        axis.set_ylabel(axis_label(metric))
    heading(drawn, title, width)
    said = "bars: 95 % intervals; hollow: clean" + ("; dotted: chance" if metric == "UA" else "")
    legend_below(drawn, max(axes, key=lambda axis: len(axis.get_legend_handles_labels()[1])), width, said)
    return drawn


def _chance(axis: Axes, upstreams: Upstreams, metric: str) -> None:
    """A line where guessing lies, for UA; of joined corpora two, of the most and of the fewest classes."""
    if metric == "UA":
        task = next(iter(next(iter(upstreams.values())).values())).task
        for line in set(guesses(task)):
            axis.axhline(line, color=GREY, linewidth=0.8, linestyle=":")


def _changes(upstreams: Upstreams, labels: Sequence[str], metric: str, title: str, width: str) -> Figure:
    """A row for each change: the difference from clean of each upstream, with its 95 % interval."""
    rows = sorted({change for own in upstreams.values() for change in own}, key=place)
    step = min(0.22, 0.8 / len(labels))
    drawn, (axis,) = figure(width, min(8.5, 0.9 + len(rows) * max(0.14, 0.09 * len(labels)) + 0.13 * len(labels)))
    axis.axvline(0, color=GREY, linewidth=0.8)
    for index, (label, own) in enumerate(zip(labels, upstreams.values(), strict=True)):
        style = line_style(index)
        at = []
        for change, record in own.items():
            against, y = record.scores.against_clean, rows.index(change) + (index - (len(labels) - 1) / 2) * step
            if against is None or against.change.value is None:
                continue
            at.append((against.change.value, y))
            if against.change.low is not None and against.change.high is not None:
                ends = [against.change.low, against.change.high]
                axis.plot(ends, [y, y], color=style["color"], linewidth=0.8, alpha=0.7)
        if at:
            axis.plot(*zip(*at, strict=True), label=label, linestyle="", marker=style["marker"], color=style["color"])
    axis.set_yticks(range(len(rows)), [change.name for change in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", linewidth=0.3, color=GREY, alpha=0.3)
    axis.set_xlabel(f"{axis_label(metric)}: changed less clean, 95 % intervals")
    heading(drawn, title, width)
    legend_below(drawn, axis, width)
    return drawn
