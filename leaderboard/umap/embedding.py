"""UMAP of one task's utterances as several upstreams see them, from the vectors that records keep for pictures."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from commons.corridors.record import Record
from commons.errors import EmorepError
from leaderboard.errors import LeaderboardError, NoResult
from leaderboard.records import parquet
from leaderboard.records.comparable import called_class, groups, question
from leaderboard.records.files import encode, path_of, put
from leaderboard.records.labels import shown
from leaderboard.umap import LABELS
from leaderboard.umap.separation import NEIGHBOURS, distances, separation, standardised

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from leaderboard.umap.drawing import Document, Panel

SCHEMA = 1  # of the document
MOST = 4000  # points; UMAP searches neighbours exactly below 4,096, and a picture holds no more
MIN_DIST = 0.1  # UMAP's own default


@dataclass(frozen=True)
class Points:
    """Utterances of one task in the spaces of several upstreams.

    Attributes:
        records: a cell for each space, all of one head.
        fold: of the head's first-layer outputs; None for pooled features, which are the same in every fold.
        vectors: (N, D) float16 for each record.
        labels: indexed by utterance id, columns LABELS; None where unknown.
        total: utterances of which these N are a sample.
    """

    records: list[Record]
    fold: str | None
    vectors: list[np.ndarray]
    labels: pd.DataFrame
    total: int

    @property
    def space(self) -> str:
        head = self.records[0].cell.downstream
        return "pooled" if self.fold is None else f"first layer of {head}, fold {self.fold}"


def gather(
    results: Path, records: Sequence[Record], upstreams: Sequence[str], fold: str | None, seed: int, problems: list[str]
) -> Iterator[Points]:
    """The points of every task; of several heads, the one that read most upstreams.

    Args:
        upstreams: panels in this order; empty: all, the best figure first.
        fold: None: pooled features. A fold's name: the head's first layer on its test utterances; "" is the fold
            that tests most.
        seed: of the sample where there are more than MOST utterances.
        problems: gets a line for every one of `upstreams` that a task lacks, and for a task whose files are damaged.

    Raises:
        UnknownName: a task has no such fold.
    """
    column = "pooled" if fold is None else "output"
    asked: dict[tuple[object, ...], list[list[Record]]] = {}
    for measured, _ in groups(records):
        if measured[0].task.classes:  # a silhouette of values is not defined
            asked.setdefault(question(measured[0]), []).append(measured)
    for heads in asked.values():
        try:
            points = _points(results, heads, upstreams, column, fold, seed, problems)
        except NoResult:
            raise
        except EmorepError as error:
            problems.append(str(error))
        else:
            if points:
                yield points


def _lacking(upstream: str, task: str, column: str) -> str:
    head, what = ("probe", "pooled features") if column == "pooled" else ("emotion2vec", "a head's first layer")
    remedy = f"run_benchmark.py -u {shlex.quote(upstream)} -t {shlex.quote(task)} -d {head}"
    return f"{task}: no {what} of {upstream} in these results; `{remedy}` puts them there"


def _path(results: Path, record: Record) -> Path:
    return path_of(results, record.cell.upstream, record.cell.task, record.cell.downstream)


def _points(
    results: Path, heads: list[list[Record]], upstreams: Sequence[str], column: str, fold: str | None, seed: int,
    problems: list[str],
) -> Points | None:  # fmt: skip
    import pandas as pd

    def holds(record: Record) -> bool:
        try:
            return parquet.holds(_path(results, record), record, column)
        except EmorepError as error:
            problems.append(str(error))
            return False

    records = max(([record for record in head if holds(record)] for head in heads), key=len)
    for name in upstreams:
        if name not in {record.cell.upstream for record in records}:
            problems.append(_lacking(name, heads[0][0].cell.task, column))
    if not records:
        return None
    if upstreams:
        records.sort(key=lambda record: upstreams.index(record.cell.upstream))
    table = parquet.read(_path(results, records[0]), records[0])
    table = table[table["seed"] == table["seed"].min()].astype({"id": str, "fold": str})
    if fold is not None:
        sizes = table["fold"].value_counts()
        if fold and fold not in sizes:
            raise NoResult("fold", fold, sizes.index)
        fold = fold or min(sizes.index[sizes == sizes.max()])
        table = table[table["fold"] == fold]
    labels = table.rename(columns={"target": "emotion"}).drop_duplicates("id").set_index("id").sort_index()
    labels = labels.reindex(columns=list(LABELS)).astype(object)
    labels = labels.map(lambda value: None if pd.isna(value) else str(value))
    kept = labels.iloc[sample(labels["emotion"].to_numpy(), MOST, seed)]
    vectors = [parquet.vectors(_path(results, r), r, column, kept.index, fold) for r in records]
    return Points(records, fold, vectors, kept, len(labels))


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Ascending positions of at most `most` of N labels, every label in its share (to within one)."""
    import numpy as np

    n = len(labels)
    if n <= most:
        return np.arange(n)
    shuffled = np.lexsort((np.random.default_rng(seed).random(n), labels.astype(str)))
    return np.sort(shuffled[np.linspace(0, n - 1, most).round().astype(int)])


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
    """(N, 2) coordinates; the same each time, for a seed and one thread leave no order to chance."""
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

    UMAP's own position, size and turn mean nothing. The first is turned to its principal axes; the others follow it by
    orthogonal Procrustes (Schönemann 1966) over the same points, which changes no relation between points of a panel.
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
    """How its file is called, without ending: the task; of a head's first layer, the head too."""
    space = "" if document["panels"][0]["space"] == "pooled" else f"+{encode(document['downstream'])}"
    return encode(document["task"]) + space


def dumps(document: Document) -> bytes:
    """The document as ASCII JSON, always the same bytes."""
    return (json.dumps(document, separators=(",", ":")) + "\n").encode()


@dataclass(frozen=True)
class Options:
    """What is drawn, and how.

    Attributes:
        upstreams: panels in this order; empty: all, the best figure first.
        tasks: of these, one without classes is a problem; of others it is passed over.
        fold: None: pooled features; else the fold of the head's first layer (see `gather`).
        neighbours: UMAP's n_neighbors.
        seed: of the sample of points and of UMAP.
        by: what points are coloured by, of LABELS: a picture each.
        widths: `column` and `page`.
    """

    upstreams: Sequence[str] = ()
    tasks: Sequence[str] = ()
    fold: str | None = None
    neighbours: int = 15
    seed: int = 0
    by: Sequence[str] = ("emotion",)
    widths: Sequence[str] = ("column", "page")


def write(results: Path, records: Sequence[Record], out: Path, options: Options, problems: list[str]) -> Iterator[Path]:
    """Embed and draw every task of the records, and yield the files: `<task>.json`, `<task>-<by>.pdf`, `.png`.

    Args:
        problems: gets a line for everything that could not be drawn.

    Raises:
        LeaderboardError: nothing could be drawn, or a file cannot be written.
    """
    from leaderboard.plots import file_name

    done: set[str] = set()
    for task in sorted({record.cell.task for record in records if not record.task.classes} & set(options.tasks)):
        problems.append(f"{task}: its targets are values; UMAP pictures show classes")
    for points in gather(results, records, options.upstreams, options.fold, options.seed, problems):
        if (n := len(points.labels)) <= options.neighbours:
            where = points.records[0].task.name + ("" if points.fold is None else f", fold {points.fold}")
            few = f"{n} utterances; UMAP wants more than --neighbours {options.neighbours}, so name fewer"
            problems.append(f"{where}: {few}")
            continue
        document = embed(points, options.neighbours, options.seed)
        stem, again = name(document), 2
        while file_name(stem) in done:  # another version of the task, or a name that looks like this one
            stem, again = f"{name(document)}-{again}", again + 1
        done.add(file_name(stem))
        path = out / f"{stem}.json"
        put(path, dumps(document))
        yield path
        yield from _draw(document, out, stem, called_class(points.records[0].task), options, problems)
    if not done:
        what = "pooled features" if options.fold is None else "a head's first layer (superb and emotion2vec keep it)"
        raise LeaderboardError(
            "\n".join(problems) or f"{results}: no result asked for, of a task with classes, keeps {what}"
        )


def _draw(
    document: Document, out: Path, stem: str, asked: str, options: Options, problems: list[str]
) -> Iterator[Path]:
    """Draw it in every colouring and width, and yield the files. `asked`: what its task's classes are called."""
    from leaderboard.plots import file_name
    from leaderboard.plots.style import save, styled
    from leaderboard.umap.drawing import scatter

    known = [label for label in options.by if any(document["points"][label])]
    for label in options.by:
        if label not in known:
            problems.append(f"{document['task']}: no {label} is known of its utterances")
    for label, width in product(known, options.widths):
        with styled():
            pages = list(scatter(document, label, width, asked))
        for number, page in enumerate(pages, 1):
            parts = [unquote(stem), label] + [str(number)] * (len(pages) > 1) + ["column"] * (width == "column")
            yield from save(page, out / file_name(*parts))
