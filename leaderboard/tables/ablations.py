"""The table of an ablation: its variants down, tasks across, the paper's figures beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from commons.corridors.record import Record
from leaderboard.records import files
from leaderboard.tables import latex, terminal, views
from leaderboard.tables.results import Block
from leaderboard.tables.views import Entry, Grid


def grid(name: str, title: str, variants: Mapping[str, str], records: Sequence[Record]) -> Grid:
    """Variants (each with the upstream it is) by tasks and heads, in the order given."""
    found = {(r.cell.upstream, r.cell.task, r.cell.downstream): r for r in records}
    asked = {f"{r.cell.task} {r.cell.downstream}: {r.task.headline}": r for r in records
             if r.cell.upstream in variants.values()}  # fmt: skip
    cells = {
        (variant, column): views.of_record(record, record.task.headline)
        for variant, upstream in variants.items()
        for column, any_one in asked.items()
        if (record := found.get((upstream, any_one.cell.task, any_one.cell.downstream)))
    }
    return Grid(name, f"{title}; 95 % intervals over groups", list(variants), list(asked), cells)


def with_paper(made: Grid, published: Mapping[str, float], measure: str, source: str) -> Grid:
    """The grid with the figures of a paper, in its own measure, in a further column."""
    column = f"paper: {measure}"
    cells = {(variant, column): Entry(text=f"{value:.2f}") for variant, value in published.items()}
    note = f"Paper: {source}; not the same data, model or protocol."
    return replace(made, columns=[*made.columns, column], cells=made.cells | cells, notes=[*made.notes, note])


def with_absent(made: Grid, absent: Mapping[str, str]) -> Grid:
    """The grid with a note on each variant that was not trained."""
    return replace(made, notes=[*made.notes, *(f"{variant}: {why}" for variant, why in absent.items())])


def write(results: Path, name: str, made: Grid) -> list[Path]:
    """Print the grid and write `results/ablations/<name>` as CSV, Markdown and LaTeX."""
    block = views.block(made)
    terminal.show_blocks([block])
    texts = {"csv": _csv(block), "md": terminal.markdown_blocks([block]), "tex": latex.tables([made])}
    written = []
    for suffix, text in texts.items():
        path = results / "ablations" / f"{files.encode(name)}.{suffix}"
        files.put(path, text)
        written.append(path)
    return written


def _csv(block: Block) -> str:
    stream = io.StringIO()
    rows = [[row.cells[column] for column in block.columns] for row in block.rows]
    csv.writer(stream, lineterminator="\n").writerows([["variant", *block.columns[1:]], *rows])
    return stream.getvalue()
