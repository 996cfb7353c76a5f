"""Tables on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Drawn
from rich.text import Text

from commons import places
from leaderboard.tables.failures import Failure, lines_of
from leaderboard.tables.model import Look, Table
from leaderboard.text import plain, plural

WIDE = 10_000  # characters of a line where nobody looks at it: a file, a pipe
COMMANDS = ("python -m ", "run_benchmark.py", "hf download", "pip install")  # what people copy from a line


def terminal(width: int | None = None) -> Console:
    """Standard output, `width` characters wide; by default as wide as the terminal, or COLUMNS where it is none."""
    if width is None and not sys.stdout.isatty():
        width = places.columns() or WIDE
    return Console(width=width)


def print_tables(tables: Sequence[Table], look: Look) -> None:
    """Print tables on standard output."""
    show(tables, terminal(look.width), published=look.published)


def show(tables: Sequence[Table], console: Console | None = None, *, published: bool = False) -> None:
    """Print tables with the lines above and below them.

    Args:
        published: list the published figures; else say only that there are some.
    """
    console = console or terminal()
    for table in tables:
        console.print(Text(plain(table.heading), style="bold"))
        for line in table.facts:
            _print(plain(line), console)
        console.print()
        for part in _parts(table, console.width - 2):
            console.print(_indented(part))
            console.print()
        if table.published and not published:
            _print(f"published figures of {plural(len(table.published), 'source')}: table --published", console,
                   style="dim")  # fmt: skip
        for line, matches in table.published if published else ():
            _print(plain(line), console, style="" if matches else "dim")
        for line in table.below():
            _print(line, console)
        console.print()


def show_failures(failures: Sequence[Failure], console: Console | None = None) -> None:
    """Print the cells that failed, each with its message; nothing where there are none."""
    console = console or terminal()
    if failures:
        console.print(Text("Not measured", style="bold red"))
        for first, *more in lines_of(failures):
            _print(first, console)
            for line in more:
                _print(line, console, 4)


def _print(line: str, console: Console, by: int = 2, style: str = "") -> None:
    """A line below or above a table. One with a command is not broken, so that it can be copied."""
    if any(command in line for command in COMMANDS):
        console.print(Text(" " * by + line, style=style), soft_wrap=True)
    else:
        console.print(_indented(Text(line, style=style), by))


def _indented(content: Text | Drawn, by: int = 2) -> Padding:
    return Padding(content, (0, 0, 0, by), expand=False)


def _parts(table: Table, width: int) -> list[Drawn]:
    """The table without what does not fit, and if need be in several parts, each with the heads of the rows."""
    heads = (plain(table.corner), [plain(table.name(row)) for row in table.rows])
    columns = {column: (plain(column), table.texts(column)) for column in table.columns}
    for column, left_out in table.narrower:
        if _width([heads, *columns.values()]) <= width:
            break
        if column not in columns:
            continue
        if left_out == "interval":
            columns[column] = (plain(column), table.texts(column, interval=False))
        else:
            del columns[column]
    parts = [[heads]]
    for drawn in columns.values():
        if len(parts[-1]) > 1 and _width([*parts[-1], drawn]) > width:
            parts.append([heads])
        parts[-1].append(drawn)
    return [_drawn(table, part) for part in parts]


def _drawn(table: Table, columns: Sequence[tuple[str, list[str]]]) -> Drawn:
    drawn = Drawn(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for title, _ in columns:
        drawn.add_column(Text(title), no_wrap=True, overflow="ellipsis")
    for index, row in enumerate(table.rows):
        reference = row in table.references
        if reference and drawn.rows and not drawn.rows[-1].style:
            drawn.add_section()
        drawn.add_row(*(Text(cells[index]) for _, cells in columns), style="dim" if reference else None)
    return drawn


def _width(columns: Sequence[tuple[str, list[str]]]) -> int:
    return sum(max(cell_len(title), *map(cell_len, cells), 0) + 2 for title, cells in columns) - 2
