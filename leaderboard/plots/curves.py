"""Curves over what a figure depends on: labels a class, steps of pre-training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commons.corridors.record import REFERENCE, Record
from commons.metrics import axis_label
from leaderboard.errors import LeaderboardError
from leaderboard.plots.style import distinct, figure, legend_below, line_style, short
from leaderboard.plots.style import title as heading
from leaderboard.records.comparable import question
from leaderboard.records.display_names import names as named
from leaderboard.records.random_weights import averaged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"loss": "loss", "var": "variance"}  # how a log's keys end, and the panel that shows them


def shots(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every task and head: figures over labels a class (`shots:TASK,K`); at the right all labels."""
    curves: dict[tuple[str, str], dict[str, dict[float, Record]]] = {}
    records = averaged(records)
    for record in records:
        base, few = record.task.base, record.task.shots
        if record.task.derived == "shots" and base and few and record.cell.downstream != REFERENCE:
            own = curves.setdefault((base, record.cell.downstream), {})
            own.setdefault(record.cell.upstream, {})[float(few)] = record
    called = named(records)
    for (base, head), upstreams in curves.items():
        for record in records:
            if (record.cell.task, record.cell.downstream) == (base, head) and record.cell.upstream in upstreams:
                upstreams[record.cell.upstream][float("inf")] = record
        counts = sorted({few for figures in upstreams.values() for few in figures})
        metric = next(iter(next(iter(upstreams.values())).values())).task.headline
        drawn, (axis,) = figure(width, 2.2 + 0.13 * len(upstreams))
        names = distinct([called[upstream] for upstream in upstreams], 40 if width == "page" else 30)
        for index, (name, figures) in enumerate(zip(names, upstreams.values(), strict=True)):
            at = [(counts.index(few), figures[few]) for few in sorted(figures)]
            offset = (index - (len(names) - 1) / 2) * min(0.06, 0.5 / len(names))  # intervals side by side
            _curve(axis, [(x + offset, record) for x, record in at], metric, name, index)
        axis.set_xticks(range(len(counts)), ["all" if few == float("inf") else f"{few:g}" for few in counts])
        axis.set_xlabel("labelled utterances a class")
        _finish(drawn, axis, metric, f"{base} · {head}", width)
        yield (base, head), drawn


def pretraining(results: Path, records: Sequence[Record], width: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """For every pre-training run and head: figures of its checkpoints over steps, a line a task."""
    runs: dict[tuple[str, str, str], dict[tuple[object, ...], list[tuple[float, Record]]]] = {}
    for record in records:
        run, step = record.upstream.run, record.upstream.step
        if run and step is not None and record.cell.downstream != REFERENCE:
            key = (run, record.cell.downstream, record.task.headline)
            runs.setdefault(key, {}).setdefault(question(record), []).append((float(step), record))
    for (run, head, metric), tasks in runs.items():
        drawn, (axis,) = figure(width, 2.2 + 0.13 * len(tasks))
        names = distinct([points[0][1].cell.task for points in tasks.values()])
        for index, (name, points) in enumerate(zip(names, tasks.values(), strict=True)):
            _curve(axis, sorted(points, key=lambda point: point[0]), metric, name, index)
        _steps(axis)
        _finish(drawn, axis, metric, f"{run} · {head}", width)
        yield (run, head, metric), drawn


def log(path: Path, width: str) -> Figure:
    """The log of a pre-training run: a line of JSON with `step` and numbers; losses and variances over steps.

    Raises:
        LeaderboardError: the file is absent, or holds no line with a step and a loss or variance.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LeaderboardError(f"{path}: cannot be read as a log ({error}); name a run's log.jsonl") from None
    series: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # a run that was killed leaves half a line
            continue
        if isinstance(entry, dict) and _is_number(entry.get("step")):
            for key, value in entry.items():
                if _is_number(value) and key.endswith(tuple(PANELS)):
                    series.setdefault(key, []).append((entry["step"], value))
    panels = {word: {k: v for k, v in series.items() if k.endswith(word)} for word in PANELS}
    panels = {word: own for word, own in panels.items() if own}
    if not panels:
        wanted = " or ".join(PANELS.values())
        raise LeaderboardError(f"{path}: no line has a `step` and a {wanted}; name the log.jsonl of a pre-training run")
    across = len(panels) if width == "page" else 1
    drawn, axes = figure(width, 2.7 * len(panels) / across, len(panels) // across, across)
    for axis, (word, own) in zip(axes, panels.items(), strict=True):
        for index, (key, points) in enumerate(own.items()):
            style = line_style(index)
            if len(points) > 1:  # a line of one point is unseen without its marker
                style["marker"] = ""
            axis.plot(*zip(*points, strict=True), label=short(key.replace("_", " ")), **style)
        _steps(axis)
        axis.set_ylabel(PANELS[word])
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24))  # below: no line runs through it
    return drawn


def _is_number(value: object) -> bool:
    """Whether a value of JSON is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _steps(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("step of pre-training")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _curve(axis: Axes, points: Sequence[tuple[float, Record]], metric: str, name: str, index: int) -> None:
    """A line with 95 % intervals."""
    style, at = line_style(index), []
    for x, record in points:
        score = record.scores.metrics[metric]
        if score.value is not None:
            at.append((x, score.value))
            if score.low is not None and score.high is not None:
                axis.plot([x, x], [score.low, score.high], color=style["color"], linewidth=0.6, alpha=0.6)
    if at:
        axis.plot(*zip(*at, strict=True), label=name, **style)


def _finish(drawn: Figure, axis: Axes, metric: str, title: str, width: str) -> None:
    axis.set_ylabel(axis_label(metric))
    heading(drawn, title, width)
    legend_below(drawn, axis, width)
