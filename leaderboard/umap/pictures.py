"""Writes the UMAP pictures of a results folder: JSON for the page, PDF and PNG for papers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from commons.corridors.record import Record
from leaderboard.errors import LeaderboardError
from leaderboard.records.comparable import called_class
from leaderboard.records.files import path_of, put
from leaderboard.records.parquet import holds
from leaderboard.records.record_store import load
from leaderboard.umap.embedding import dumps, embed, name
from leaderboard.umap.points import gather

if TYPE_CHECKING:
    from leaderboard.umap.document import Document

SHORTENED = 40  # letters of a name that another document has


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
            few = f"{n} utterances; UMAP needs more than --neighbours {options.neighbours}, so choose a smaller number"
            problems.append(f"{where}: {few}")
            continue
        document = embed(points, options.neighbours, options.seed)
        stem, again = name(document), 2
        while file_name(stem) in done:  # another version of the task, or a name that looks like this one
            # Names of pictures are cut: the number has to be in what is left.
            stem, again = f"{name(document)[:SHORTENED]}-{again}", again + 1
        done.add(file_name(stem))
        path = out / f"{stem}.json"
        put(path, dumps(document))
        yield path
        yield from _draw(document, out, stem, called_class(points.records[0].task), options, problems)
    if not done:
        what = "pooled features" if options.fold is None else f"a head's first layer ({_keepers(results)})"
        raise LeaderboardError(
            "\n".join(problems) or f"{results}: none of these results is of a task with classes and keeps {what}"
        )


def _keepers(results: Path) -> str:
    """Which heads of these results keep their first layer, by their records; or where that is written."""
    records, _ = load(results)
    places = ((path_of(results, r.cell.upstream, r.cell.task, r.cell.downstream), r) for r in records)
    heads = set()
    for path, record in places:
        with suppress(LeaderboardError):
            heads |= {record.cell.downstream} if holds(path, record, "output") else set()
    return f"here {', '.join(sorted(heads))} kept it" if heads else "docs/heads.md says which heads keep it"


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
