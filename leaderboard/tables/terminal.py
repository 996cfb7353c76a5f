"""Tables for people, on a terminal and as Markdown; blocks.py says what stands in them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commons import places
from commons.corridors.record import Record
from leaderboard.tables.results import Block, Row, blocks, plain

Failure = tuple[str, str, str, str]
WIDE = 10_000  # characters of a line where nobody looks at it: a file, a pipe
COMMANDS = ("python -m ", "run_benchmark.py", "hf download", "pip install")  # what people copy from a line


def terminal(width: int | None = None) -> Console:
    """Standard output: of that width, else of the terminal's; of COLUMNS, else without an end, where it is none."""
    if width is None and not sys.stdout.isatty():
        width = places.columns() or WIDE
    return Console(width=width)


def show_blocks(several: Sequence[Block], console: Console | None = None, *, published: bool = False) -> None:
    """Print tables with what is said above and below them; `published` figures in full, or only that there are."""
    console = console or terminal()
    for block in several:
        console.print(Text(block.title, style="bold"))
        for line in block.facts:
            _print(line, console)
        console.print()
        for table in _terminal_tables(block, console.width - 2):
            console.print(_indented(table))
            console.print()
        if block.published and not published:
            sources = f"{len(block.published)} source{'s' * (len(block.published) > 1)}"
            _print(f"published figures of {sources}: table --published", console, style="dim")
        for line, matches in block.published if published else ():
            _print(line, console, style="" if matches else "dim")
        for line in block.notes:
            _print(line, console)
        console.print()


def show_failures(failures: Sequence[Failure], console: Console | None = None) -> None:
    """Print the cells that failed, each with its message; nothing where there are none."""
    console = console or terminal()
    if failures:
        console.print(Text("Not measured", style="bold red"))
        for first, *more in _failure_lines(failures):
            _print(first, console)
            for line in more:
                _print(line, console, 4)


def markdown(records: Sequence[Record], failures: Sequence[Failure] = ()) -> str:
    """See leaderboard.markdown."""
    parts = [markdown_blocks(blocks(records))] if records else []
    if failures:
        items = ("<br>".join(map(escape, lines)) for lines in _failure_lines(failures))
        parts.append("\n".join(["### Not measured", "", *(f"- {item}" for item in items)]) + "\n")
    return "\n".join(parts)


def markdown_blocks(several: Sequence[Block]) -> str:
    """The same tables as Markdown."""
    parts = []
    for block in several:
        head = [f"### {escape(block.title)}", "", *(f"{escape(line)}  " for line in block.facts), ""]
        table = [[escape(c.strip()) for c in block.columns], ["---"] * len(block.columns)]
        table += [[_styled(row, column) for column in block.columns] for row in block.rows]
        below = [f"- {escape(line)}" for line, _ in block.published] + [f"- {escape(line)}" for line in block.notes]
        parts.append("\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in table), "", *below]).rstrip())
    return "\n\n".join(parts) + "\n"


def _print(line: str, console: Console, by: int = 2, style: str = "") -> None:
    """A line below or above a table. One with a command is not broken, so that it can be copied."""
    if any(command in line for command in COMMANDS):
        console.print(Text(" " * by + line, style=style), soft_wrap=True)
    else:
        console.print(_indented(Text(line, style=style), by))


def _indented(content: Text | Table, by: int = 2) -> Padding:
    return Padding(content, (0, 0, 0, by), expand=False)


def _terminal_tables(block: Block, width: int) -> list[Table]:
    """The block's table without what does not fit, and if need be in several parts, each with the first column."""
    columns = list(block.columns)
    for column, instead in block.narrower:
        if _width(block, columns) <= width:
            break
        if column in columns:
            columns[columns.index(column)] = instead or ""
            columns = [c for c in columns if c]
    parts = [columns[:1]]
    for column in columns[1:]:
        if len(parts[-1]) > 1 and _width(block, [*parts[-1], column]) > width:
            parts.append(columns[:1])
        parts[-1].append(column)
    return [_terminal_table(block, part) for part in parts]


def _terminal_table(block: Block, columns: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column.strip()), no_wrap=True, overflow="ellipsis")
    for row in block.rows:
        if row.reference and table.rows and not table.rows[-1].style:
            table.add_section()
        table.add_row(*(Text(row.cells[c]) for c in columns), style="dim" if row.reference else None)
    return table


def _width(block: Block, columns: list[str]) -> int:
    return sum(max(cell_len(c.strip()), *(cell_len(row.cells[c]) for row in block.rows)) + 2 for c in columns) - 2


def _failure_lines(failures: Sequence[Failure]) -> list[list[str]]:
    """The lines of every failure: the cell with the first of its message, then the others."""
    found = []
    for upstream, task, downstream, message in failures:
        first, *more = message.splitlines() or [""]
        cell = " · ".join(filter(None, (upstream, task, downstream)))  # no head is known of a task that is absent
        lines = [plain(f"{cell}: {first}"), *map(plain, more)]
        found.append([line for line in lines if line])
    return found


def escape(text: str) -> str:
    """Markdown that shows the text as it is; the brackets of an interval need nothing."""
    return re.sub(r"([\\`*|<>~]|\[(?!-?\d)|\](?=[(\[:]))", r"\\\1", text)


def _styled(row: Row, column: str) -> str:
    text = escape(row.cells[column].strip())
    return f"*{text}*" if row.reference and text else text
