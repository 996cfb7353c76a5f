"""What `RESULTS/umap/TASK.json` holds: the coordinates, labels and measures of a task's pictures."""

from __future__ import annotations

from typing import TypedDict

from leaderboard.umap.separation import Separation


class Panel(TypedDict):
    """One upstream: (N, 2) points, and how far labels are apart in the space they come from."""

    upstream: str
    label: str
    layer: int | None
    depth: int | None
    space: str
    xy: list[list[float]]
    metrics: dict[str, Separation]


class Document(TypedDict):
    """One task's picture as `RESULTS/umap/*.json` holds it; `points`: utterance ids and labels, a column each."""

    schema: int
    task: str
    version: int | str
    audit: str
    downstream: str
    panels: list[Panel]
    points: dict[str, list[str | None]]
    settings: dict[str, str | int | float]
