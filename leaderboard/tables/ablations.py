"""The table of a pre-training ablation: its variants down, tasks across, the paper's figures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from commons.corridors.record import Record
from leaderboard.records import files
from leaderboard.tables import latex, markdown, spreadsheet, terminal
from leaderboard.tables.model import Cell, Table
from leaderboard.tables.runs import groups_of_runs, with_spread
from leaderboard.tables.views import of_record


def table(name: str, title: str, variants: Mapping[str, str], records: Sequence[Record]) -> Table:
    """Variants (each with the upstream it is) by tasks and heads, in the order given; below, the spread of seeds."""
    by_cell = {(r.cell.upstream, r.cell.task, r.cell.downstream): r for r in records}
    asked = {f"{r.cell.task} {r.cell.downstream}: {r.task.headline}": r for r in records
             if r.cell.upstream in variants.values()}  # fmt: skip
    cells = {
        (variant, column): of_record(record, record.task.headline)
        for variant, upstream in variants.items()
        for column, any_one in asked.items()
        if (record := by_cell.get((upstream, any_one.cell.task, any_one.cell.downstream)))
    }
    facts = [f"{title}; 95 % intervals over groups"]
    plain = Table(name, facts, list(variants), list(asked), cells, corner="variant")
    row_of = {upstream: variant for variant, upstream in variants.items()}
    return with_spread(plain, groups_of_runs([r for r in records if r.cell.upstream in row_of]), row_of)


def with_paper(made: Table, published: Mapping[str, float], measure: str, source: str) -> Table:
    """The table with the figures of a paper, in its own measure, in a further column."""
    column = f"paper: {measure}"
    cells = {(variant, column): Cell(text=f"{value:.2f}") for variant, value in published.items()}
    note = f"Paper: {source}; not the same data, model or protocol."
    return replace(made, columns=[*made.columns, column], cells=made.cells | cells, notes=[*made.notes, note])


def with_absent(made: Table, absent: Mapping[str, str]) -> Table:
    """The table with a note on each variant that was not trained."""
    return replace(made, notes=[*made.notes, *(f"{variant}: {why}" for variant, why in absent.items())])


def write(results: Path, name: str, made: Table) -> list[Path]:
    """Print the table and write `results/ablations/<name>` as CSV, Markdown and LaTeX; returns the files."""
    terminal.show([made])
    texts = {"csv": spreadsheet.of_table(made), "md": markdown.markdown([made]), "tex": latex.latex([made])}
    written = []
    for suffix, text in texts.items():
        path = results / "ablations" / f"{files.encode(name)}.{suffix}"
        files.put(path, text)
        written.append(path)
    return written
