"""UMAP panels side by side, from the document of a task."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.plots.style import TALLEST, WIDTHS, distinct, figure, legend_below, wrapped
from leaderboard.plots.style import title as heading
from leaderboard.text import NONE, plain
from leaderboard.umap.document import Document, Panel
from leaderboard.umap.looks import DISTINCT, UNKNOWN, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


ACROSS = {"column": 2, "page": 4}  # panels, at most
HIGHEST = 4.5  # inches of a panel: one panel alone leaves a page room for text
LEGEND = {"column": 3, "page": 7}  # labels in a row of the legend, roughly
EDGE = "#16191d"  # of points
TURNS = 8  # rounds in which points are drawn, so that the label drawn last does not hide the others


def scatter(document: Document, by: str, width: str, asked: str = "emotion") -> Iterator[Figure]:
    """A panel an upstream, coloured by `emotion`, `speaker` or `gender`; as many figures as it takes, none taller than
    a page. `asked`: what captions call the task's classes."""
    panels = document["panels"]
    across = min(len(panels), ACROSS[width])
    across = -(-len(panels) // -(-len(panels) // across))  # 5 panels stand as 3 and 2, not 4 and 1
    everything = np.concatenate([panel["xy"] for panel in panels])
    low, high = everything.min(0), everything.max(0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 0.1) * 1.05
    looking = looks(document["points"][by])
    under = _under(document, by, looking, width)
    rows = -(-len(looking) // LEGEND[width]) if listed(looking) else 0
    room = 0.7 + 0.1 * under.count("\n") + 0.14 * rows  # inches, of title, text and legend
    longest = int(WIDTHS[width] / across * 72 / 4.6)
    titles = wrapped([plain(panel["label"]) for panel in panels], longest)
    lines = 1 + max(caption(panel, asked).count("\n") for panel in panels) + max(t.count("\n") for t in titles)
    wide = WIDTHS[width] / across - 0.1
    height = min(wide * min(1.0, half[1] / half[0]), HIGHEST) + 0.3 + 0.11 * lines
    of_each = across * max(1, int((TALLEST - room) / height))
    for start in range(0, len(panels), of_each):
        shown = panels[start : start + of_each]
        rows = -(-len(shown) // across)
        drawn, axes = figure(width, rows * height + room, rows, across)
        for axis, panel, title in zip(axes, shown, titles[start:], strict=False):
            _points(axis, np.array(panel["xy"]), document["points"][by], looking, wide)
            axis.set_title(title, loc="left")
            axis.set_xlabel(caption(panel, asked), loc="left", fontsize=6, linespacing=1.3)
        for axis in axes[len(shown) :]:
            axis.remove()
        space = panels[0]["space"]
        head = f"time-means at {document['downstream']}'s layer" if space == "pooled" else space
        heading(drawn, plain(f"{document['task']} · {head}"), width)
        legend_below(drawn, axes[0], width, under)
        _fill(drawn, axes[: len(shown)], middle, half)
        yield drawn


def _fill(drawn: Figure, axes: list[Axes], middle: np.ndarray, half: np.ndarray) -> None:
    """Give all panels the same limits, one scale in x and y, and the whole box that the layout left them."""
    drawn.draw_without_rendering()
    box = axes[0].get_window_extent()
    reach = max(half[0] / box.width, half[1] / box.height) * np.array([box.width, box.height])
    (left, bottom), (right, top) = middle - reach, middle + reach
    for axis in axes:
        axis.set(xlim=(left, right), ylim=(bottom, top))


def _points(axis: Axes, xy: np.ndarray, labels: list[str | None], looking: dict[str, Look], wide: float) -> None:
    """Points in a panel `wide` inches wide: the fewer, the larger, so that shapes tell labels apart in grey print too.
    A thin edge keeps light points visible on white, and neighbours apart."""
    colours, markers = np.array([looking[UNKNOWN if label is None else label] for label in labels], dtype=object).T
    size = float(np.clip(9000 / len(xy), 3, 18)) * max(1.0, wide / 2.6)
    edge = min(0.3, size / 30)
    for turn in np.array_split(np.random.default_rng(0).permutation(len(xy)), TURNS):
        for marker in sorted(set(markers)):
            own = turn[markers[turn] == marker]
            axis.scatter(xy[own, 0], xy[own, 1], s=size, c=colours[own], marker=marker, alpha=0.8, linewidths=edge,
                         edgecolors=EDGE)  # fmt: skip
    if listed(looking):
        for (colour, marker), text in zip(
            looking.values(), distinct([plain(name) for name in looking], 24), strict=True
        ):
            axis.scatter([], [], s=14, color=colour, marker=marker, linewidths=0.3, edgecolors=EDGE, label=text)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("#c0c0c0")


def caption(panel: Panel, asked: str) -> str:
    """What stands under a panel: its layer, and for emotion and speaker purity (chance) and silhouette; of emotion the
    purity among neighbours of other speakers, where speakers are known.

    Of a task about something else, as `gender:emodb`, `asked` is `class`: what the document calls `emotion`.
    """
    names = {"emotion": asked}
    lines = []
    depth = panel["depth"] or 1
    if panel["layer"] is not None and depth > 1:
        lines.append(f"layer {panel['layer']} of {depth - 1}")
    for label, apart in panel["metrics"].items():
        label = names.get(label, label)
        if apart["purity"] is None or apart["chance"] is None:
            lines.append(f"{label}: {NONE}")
            continue
        if apart["chance"] == 1:
            lines.append(f"{label}: one alone")
            continue
        silhouette = NONE if apart["silhouette"] is None else f"{round(apart['silhouette'], 2) + 0.0:.2f}"
        purity, chance, whose = apart["purity"], apart["chance"], ""
        others, by_chance = apart.get("purity_others"), apart.get("chance_others")
        if others is not None and by_chance is not None:
            purity, chance, whose = others, by_chance, " of others"
        lines.append(f"{label}{whose}: {100 * purity:.0f} % ({100 * chance:.0f}), {silhouette}")
    return "\n".join(lines)


def listed(looking: dict[str, Look]) -> bool:
    """Whether the legend tells the labels apart."""
    return len(set(looking) - {UNKNOWN}) <= DISTINCT


def _under(document: Document, by: str, looking: dict[str, Look], width: str) -> str:
    """What the figures mean, and the settings."""
    settings, n = document["settings"], len(document["points"]["utterance"])
    turned = "; panels turned and mirrored onto the first" * (len(document["panels"]) > 1)
    count = f"{n:,}" if n == settings["utterances"] else f"{n:,} of {settings['utterances']:,}, stratified by class,"
    text = (
        f'Under each panel: share of the {settings["k"]} nearest neighbours with the same label (by chance; "of '
        'others": neighbours of other speakers), and silhouette, in the standardised features themselves (Euclidean), '
        "not in the picture. "
        f"{count} utterances. UMAP {settings['umap-learn']}: {settings['n_neighbors']} neighbours, minimal distance "
        f"{settings['min_dist']}, seed {settings['seed']}{turned}."
    )
    if not listed(looking):
        text += f" Coloured by {by}, {len(set(looking) - {UNKNOWN})} of them, not listed."
    return textwrap.fill(text, int(WIDTHS[width] * 72 / 3.2))
