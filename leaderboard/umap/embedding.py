"""Embeds points by UMAP and measures how far their labels are apart; the result is a picture's document."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from leaderboard.errors import LeaderboardError
from leaderboard.records.display_names import shown
from leaderboard.records.files import encode
from leaderboard.umap import LABELS
from leaderboard.umap.points import Points
from leaderboard.umap.separation import NEIGHBOURS, distances, separation, standardised

if TYPE_CHECKING:
    import numpy as np

    from leaderboard.umap.document import Document, Panel

SCHEMA = 1  # of the document
MIN_DIST = 0.1  # UMAP's own default


def embed(points: Points, neighbours: int, seed: int) -> Document:
    """The document of a picture: coordinates, labels, and how far the labels are apart in the spaces themselves.

    Every space is standardised column by column over these points and embedded with the same settings (McInnes et al.
    2018); see `aligned` for what makes the panels comparable.

    Raises:
        LeaderboardError: umap-learn is not installed.
    """
    task = points.records[0].task
    spaces = [standardised(vectors) for vectors in points.vectors]
    speakers = points.labels["speaker"].to_numpy()
    coordinates = aligned([_umap(space, neighbours, seed) for space in spaces])
    panels: list[Panel] = []
    for record, space, xy in zip(points.records, spaces, coordinates, strict=True):
        apart = distances(space)
        panels.append(
            {
                "upstream": record.cell.upstream,
                "label": shown(record),
                "layer": record.chosen.layer if points.fold is None else None,
                "depth": record.upstream.depth,
                "space": points.space,
                "xy": (xy.round(3) + 0.0).tolist(),  # no -0.0
                "metrics": {
                    "emotion": separation(apart, points.labels["emotion"].to_numpy(), speakers),
                    "speaker": separation(apart, speakers),
                },
            }
        )
    return {
        "schema": SCHEMA,
        "task": task.name,
        "version": task.version,
        "audit": task.audit,
        "downstream": points.records[0].cell.downstream,
        "panels": panels,
        "points": {"utterance": points.labels.index.tolist()}
        | {label: points.labels[label].tolist() for label in LABELS},
        "settings": {
            "n_neighbors": neighbours,
            "min_dist": MIN_DIST,
            "seed": seed,
            "k": NEIGHBOURS,
            "metric": "euclidean, standardised columns",
            "utterances": points.total,
            "umap-learn": metadata.version("umap-learn"),
        },
    }


def _umap(space: np.ndarray, neighbours: int, seed: int) -> np.ndarray:
    """(N, 2) coordinates by UMAP; a seed and a single thread make them the same each time."""
    try:
        from umap import UMAP
    except ImportError as error:
        raise LeaderboardError(f"umap-learn cannot be imported ({error}); `pip install umap-learn`") from None
    model = UMAP(n_neighbors=neighbours, min_dist=MIN_DIST, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on graphs of several parts, which it treats by itself
        return model.fit_transform(space).astype("float64")


def aligned(embeddings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Embeddings (N, 2) centred, scaled to a root-mean-square radius of 1, and turned or mirrored onto the first.

    Position, size and rotation of a UMAP have no meaning. The first is turned to its principal axes; the others are
    turned onto it by orthogonal Procrustes (Schönemann 1966) over the same points, which changes no relation between
    points of a panel.
    """
    import numpy as np

    panels: list[np.ndarray] = []
    for embedding in embeddings:
        centred = embedding - embedding.mean(0)
        centred /= np.sqrt((centred**2).sum(1).mean()) or 1.0
        if not panels:
            axes = np.linalg.svd(centred, full_matrices=False)[2]
            turn = axes.T * np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])
        else:
            left, _, right = np.linalg.svd(centred.T @ panels[0])
            turn = left @ right
        panels.append(centred @ turn)
    return panels


def name(document: Document) -> str:
    """The name of the picture's file without ending: the task, and for a head's first layer the head too."""
    space = "" if document["panels"][0]["space"] == "pooled" else f"+{encode(document['downstream'])}"
    return encode(document["task"]) + space


def dumps(document: Document) -> bytes:
    """The document as ASCII JSON; the same document gives the same bytes."""
    return (json.dumps(document, separators=(",", ":")) + "\n").encode()
