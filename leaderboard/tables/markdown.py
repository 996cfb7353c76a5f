"""Tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaderboard.tables.failures import Failure, lines_of
from leaderboard.tables.model import Look, Table
from leaderboard.text import plain


def print_tables(tables: Sequence[Table], look: Look) -> None:
    """Print tables; one look fits all."""
    print(document(tables), end="")


def document(tables: Sequence[Table], failures: Sequence[Failure] = ()) -> str:
    """Tables, then the cells that failed."""
    parts = [markdown(tables)] if tables else []
    if failures:
        items = ("<br>".join(map(escape, lines)) for lines in lines_of(failures))
        parts.append("\n".join(["### Not measured", "", *(f"- {item}" for item in items)]) + "\n")
    return "\n".join(parts)


def markdown(tables: Sequence[Table]) -> str:
    """The tables below one another, each with its lines above and below it; references are italic."""
    return "\n\n".join(map(_table, tables)) + "\n"


def _table(table: Table) -> str:
    head = [f"### {escape(plain(table.heading))}", "", *(f"{escape(plain(line))}  " for line in table.facts), ""]
    columns = [(table.corner, [table.name(row) for row in table.rows])]
    columns += [(column, table.texts(column)) for column in table.columns]
    lines = [[escape(plain(title)) for title, _ in columns], ["---"] * len(columns)]
    for index, row in enumerate(table.rows):
        cells = [escape(plain(column[index])) for _, column in columns]
        lines.append([f"*{text}*" if row in table.references and text else text for text in cells])
    below = [f"- {escape(plain(line))}" for line, _ in table.published]
    below += [f"- {escape(line)}" for line in table.below()]
    return "\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in lines), "", *below]).rstrip()


def escape(text: str) -> str:
    """Markdown that shows the text as it is; the brackets of an interval need nothing."""
    return re.sub(r"([\\`*|<>~]|\[(?!-?\d)|\](?=[(\[:]))", r"\\\1", text)
