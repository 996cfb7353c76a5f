"""The table of an ablation: its variants down, tasks across, the paper's figures beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from leaderboard import files
from leaderboard.blocks import plain
from leaderboard.schema import Record
from tasks.metrics import METRICS

NONE = "–"
LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"–": "--", "~": r"\textasciitilde{}", "^": r"\^{}"})


def write(
    results: Path,
    name: str,
    title: str,
    variants: Mapping[str, str],
    published: Mapping[str, float],
    measure: str,
    source: str,
    records: Sequence[Record],
    absent: Mapping[str, str],
) -> list[Path]:
    """See leaderboard.ablation."""
    found = {(r.cell.upstream, r.cell.task, r.cell.downstream): r for r in records}
    asked = list(dict.fromkeys((r.cell.task, r.cell.downstream, r.task.headline) for r in records
                               if r.cell.upstream in variants.values()))  # fmt: skip
    head = ["variant", *(f"{task} {downstream}: {metric}" for task, downstream, metric in asked)]
    head += [f"paper: {measure}"] if published else []
    rows = []
    for variant, upstream in variants.items():
        row = [variant]
        for task, downstream, metric in asked:
            record = found.get((upstream, task, downstream))
            row.append(_figure(record, metric) if record else NONE)
        rows.append(row + ([f"{published[variant]:.2f}" if variant in published else NONE] if published else []))
    notes = [f"Paper: {source}; not the same data, model or protocol."] if published else []
    notes += [f"{variant}: {why}" for variant, why in absent.items()]
    _show(title, head, rows, notes)
    texts = {
        "csv": _csv(head, rows),
        "md": _markdown(title, head, rows, notes),
        "tex": _latex(title, head, rows, notes),
    }
    written = []
    for suffix, text in texts.items():
        path = results / "ablations" / f"{files.encode(name)}.{suffix}"
        with files.told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, text.encode())
        written.append(path)
    return written


def _figure(record: Record, metric: str) -> str:
    score = record.scores.metrics[metric]
    form = "{:.1f}" if METRICS[metric].scale == 100 else "{:.3f}"
    value, low, high = (NONE if v is None else form.format(v) for v in (score.value, score.low, score.high))
    return f"{value} [{low}, {high}]" if score.low is not None or score.high is not None else value


def _show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    console, table = Console(), Table(title=Text(title), box=None, title_justify="left")
    for name in head:
        table.add_column(Text(plain(name)))
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)
    for note in notes:
        console.print(Text(plain(note)))


def _csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([head, *rows])
    return stream.getvalue()


def _markdown(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    table = [head, ["---"] * len(head), *rows]
    lines = ["| " + " | ".join(plain(cell).replace("|", r"\|") for cell in row) + " |" for row in table]
    return "\n".join([f"### {title}", "", *lines, "", *(f"- {plain(note)}" for note in notes), ""])


def _latex(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    lines = [" & ".join(plain(cell).translate(LATEX) for cell in row) + r" \\" for row in (head, *rows)]
    return "\n".join([
        *(f"% {plain(note)}" for note in notes), rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule",
        lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}", f"% {plain(title)}", "",
    ])  # fmt: skip
