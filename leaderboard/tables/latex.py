"""Tables in LaTeX (booktabs), ready to be \\input."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from leaderboard.tables.model import Cell, Look, Table, figure, footnote
from leaderboard.text import NONE

HEADER = "% Made by emorep from result records. Needs \\usepackage{booktabs,xcolor} and UTF-8 input.\n"
COLUMN, PAGE = 219.0, 345.0  # pt: the narrowest column and text of the usual classes (acl, article)
GLYPH, GAP = 0.46, 12.0  # em of a character on average, pt between columns
SMALLER = (r"\small", r"\footnotesize", r"\scriptsize", r"\scriptsize\tabcolsep3pt")  # 9, 8, 7 pt in an article
BOLD = "Bold: the best figure of a column; underlined: the second best; no test stands behind either."
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"$\mathdollar$", "#": r"\#",
    "_": r"\_", "~": r"$\sim$", "^": r"\^{}", "<": "$<$", ">": "$>$", "|": r"$|$", "`": r"\`{}", '"': "{''}", "–": "--",
    "·": r"$\cdot$", "[": "{[}", "]": "{]}",
    "→": r"$\to$", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "≤": r"$\le$", "≥": r"$\ge$", "≈": r"$\approx$",
    "…": r"\dots{}", "—": "---", "„": ",,", "“": "``", "”": "{''}", "’": "'",
}  # fmt: skip
# What LaTeX's default fonts (OT1) can set: these letters, and these accents over ASCII ones.
_LETTERS = frozenset("ßæÆøØœŒłŁ")
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def print_tables(tables: Sequence[Table], look: Look) -> None:
    """Print `latex` of tables."""
    print(latex(tables, look.spread), end="")


def latex(tables: Sequence[Table], spread: str = "interval") -> str:
    """One `table` environment a table, `table*` where a column of a paper is too narrow for it.

    Best figures are bold, second ones underlined, equal ones (as shown) alike; references are italic. A table that is
    too wide is set in smaller print, never below \\scriptsize (7 pt), and beyond that in parts below one another.

    Args:
        spread: `interval` (95 %), `std` (over seeds, where there are several) or `none`, beside each figure.
    """
    return HEADER + "\n".join(_table(table, spread, label) for table, label in zip(tables, labels(tables), strict=True))


def labels(tables: Sequence[Table]) -> list[str]:
    """The \\label of every table, no two alike: its title, with its metric where several have that title."""
    slugs = [_slug(table.title) for table in tables]
    made: list[str] = []
    for table, slug in zip(tables, slugs, strict=True):
        metric = next((cell.metric for cell in table.cells.values() if cell.metric), "")
        label = "-".join(filter(None, (slug, _slug(metric)))) if slugs.count(slug) > 1 and metric else slug
        again = sum(label == re.sub(r"\.\d+$", "", other) for other in made)
        made.append(f"{label}.{again + 1}" if again else label)
    return [f"tab:{label}" for label in made]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def escape(text: str) -> str:
    """The text as LaTeX shows it; what its default fonts lack becomes a question mark."""
    text = re.sub(r"\s+", " ", text).strip()
    return "".join(_SPECIAL.get(c, c if _can_be_set(c) else "?") for c in unicodedata.normalize("NFC", text))


def _can_be_set(character: str) -> bool:
    if character in _LETTERS or " " <= character <= "~":
        return True
    parts = unicodedata.normalize("NFD", character)
    return len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS


def _table(table: Table, spread: str, label: str) -> str:
    letters = table.letters()
    parts, caption = _parts(table, spread), f"{'; '.join(filter(None, [*table.facts, table.interpretation]))}."
    if any(first for first, _ in map(table.best, table.columns)):
        caption += f" {BOLD}"
    star = "*" if len(parts) > 1 or _width(table, table.columns, spread, 8) > COLUMN else ""
    below = [escape(line) for line in table.notes]
    below += [rf"$^{{{letter}}}$\,{escape(footnote(mark))}" for mark, letter in letters.items()]
    notes = rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {'; '.join(below)}\end{{minipage}}"
    return "\n".join(
        [
            rf"\begin{{table{star}}}[t]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{{label}}}",
            "\n\\par\\medskip\n".join(_tabular(table, columns, spread) for columns in parts),
            *([notes] if below else []),
            rf"\end{{table{star}}}",
            "",
        ]
    )


def _tabular(table: Table, columns: Sequence[str], spread: str) -> str:
    """Some columns of a table, in the largest print that fits: LaTeX measures it."""
    letters = table.letters()
    lines = [" & ".join([_corner(table), *map(escape, columns)]) + r" \\", r"\midrule"]
    places = {column: table.best(column) for column in columns}
    before = False
    for row in table.rows:
        floor = row in table.references
        if floor and not before and row != table.rows[0]:
            lines.append(r"\midrule")
        before, name = floor, escape(table.name(row))
        cells = [rf"\textit{{{name}}}" if floor else name]
        for column in columns:
            first, second = places[column]
            cells.append(_cell(table.cell(row, column), letters, spread, bold=row in first, underlined=row in second))
        lines.append(" & ".join(cells) + r" \\")
    smaller = (rf"\ifdim\wd0>\linewidth\sbox0{{{size}\emorepbody}}\fi" for size in SMALLER)
    return "\n".join(
        [
            r"\def\emorepbody{%",
            rf"\begin{{tabular}}{{l{'l' * len(columns)}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\sbox0{\emorepbody}%",
            *(f"{line}%" for line in smaller),
            r"\usebox0",
        ]
    )


def _corner(table: Table) -> str:
    """What stands above the heads of the rows, with a capital."""
    return escape(table.corner[:1].upper() + table.corner[1:])


def _parts(table: Table, spread: str) -> list[list[str]]:
    """The columns, in parts of which each fits a page's width in \\scriptsize; mostly there is one."""
    if _width(table, table.columns, spread, 7) <= PAGE or len(table.columns) < 2:
        return [list(table.columns)]
    parts: list[list[str]] = [[]]
    for column in table.columns:
        if parts[-1] and _width(table, [*parts[-1], column], spread, 7) > PAGE:
            parts.append([])
        parts[-1].append(column)
    # 7 columns stand as 2, 2, 3, not 3, 3, 1
    ends = [len(table.columns) * i // len(parts) for i in range(len(parts) + 1)]
    even = [list(table.columns[start:end]) for start, end in itertools.pairwise(ends)]
    return even if all(_width(table, own, spread, 7) <= PAGE for own in even) else parts


def _width(table: Table, columns: Sequence[str], spread: str, size: int) -> float:
    """About how wide these columns are in a print of `size` pt, pt; intervals are never smaller than 7 pt."""
    names = max([len(table.corner), *(len(table.name(row)) for row in table.rows)])
    width = names * GLYPH * size + GAP
    for column in columns:
        cells = [cell for row in table.rows if (cell := table.cells.get((row, column)))]
        figures = [len(column) * GLYPH * size]
        for cell in cells:
            beside = _beside(cell, spread)
            small = len(re.sub(r"\\[a-z]+|[{}$\\]", "", beside)) + len(cell.marks)
            figures.append((len(cell.shown) * size + small * 7) * GLYPH)
        width += max(figures) + GAP
    return width


def _cell(cell: Cell, letters: dict[str, str], spread: str, *, bold: bool, underlined: bool) -> str:
    text = escape(cell.shown)
    if bold:
        text = rf"\textbf{{{text}}}"
    elif underlined:
        text = rf"\underline{{{text}}}"
    text += _beside(cell, spread)
    if cell.marks and cell.shown != NONE:
        text += rf"$^{{{','.join(letters[m] for m in cell.marks)}}}$"
    return rf"\textcolor{{gray}}{{{text}}}" if cell.grey else text


def _beside(cell: Cell, spread: str) -> str:
    """What stands beside a figure: its deviation over seeds (of draws always), its interval, or nothing."""
    beside = []
    if (spread == "std" or cell.drawn) and cell.metric and cell.std is not None:
        beside.append(rf"$\pm$\,{figure(cell.std, cell.metric)}")
    if spread == "interval" and cell.metric and cell.low is not None and cell.high is not None:
        beside.append(f"[{figure(cell.low, cell.metric)}, {figure(cell.high, cell.metric)}]")
    return rf"\,{{\scriptsize{' '.join(beside)}}}" if beside else ""
