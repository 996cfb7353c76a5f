"""Tables in LaTeX (booktabs), ready to be \\input."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence

from leaderboard.tables.results import NONE, figure
from leaderboard.tables.views import Entry, Grid, note

HEADER = "% Made by emorep from result records. Needs \\usepackage{booktabs,xcolor} and UTF-8 input.\n"
COLUMN, PAGE = 219.0, 345.0  # pt: the narrowest column and text of the usual classes (acl, article)
GLYPH, GAP = 0.46, 12.0  # em of a character on average, pt between columns
SMALLER = (r"\small", r"\footnotesize", r"\scriptsize", r"\scriptsize\tabcolsep3pt")  # 9, 8, 7 pt in an article
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"$\mathdollar$", "#": r"\#",
    "_": r"\_", "~": r"$\sim$", "^": r"\^{}", "<": "$<$", ">": "$>$", "|": r"$|$", "`": r"\`{}", '"': "{''}", "–": "--",
    "·": r"$\cdot$", "[": "{[}", "]": "{]}",
}  # fmt: skip
# What LaTeX's default fonts (OT1) can set: these letters, and these accents over ASCII ones.
_LETTERS = frozenset("ßæÆøØœŒłŁ")
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def tables(grids: Sequence[Grid], spread: str = "interval") -> str:
    """One `table` environment a grid, `table*` where a column of a paper is too narrow for it.

    Best figures are bold, second ones underlined, equal ones (as shown) alike; references are italic. A table that is
    too wide is set in smaller print, never below \\scriptsize (7 pt), and beyond that in parts below one another.

    Args:
        spread: `interval` (95 %), `std` (over seeds, where there are several) or `none`, beside each figure.
    """
    return HEADER + "\n".join(_table(grid, spread, label) for grid, label in zip(grids, labels(grids), strict=True))


def labels(grids: Sequence[Grid]) -> list[str]:
    """The \\label of every grid, no two alike: its title, with its metric where several have that title."""
    slugs = [_slug(grid.title) for grid in grids]
    found: list[str] = []
    for grid, slug in zip(grids, slugs, strict=True):
        metric = next((entry.metric for entry in grid.cells.values() if entry.metric), "")
        label = "-".join(filter(None, (slug, _slug(metric)))) if slugs.count(slug) > 1 and metric else slug
        again = sum(label == re.sub(r"\.\d+$", "", other) for other in found)
        found.append(f"{label}.{again + 1}" if again else label)
    return [f"tab:{label}" for label in found]


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


def _table(grid: Grid, spread: str, label: str) -> str:
    letters = grid.letters()
    parts = _parts(grid, spread)
    star = "*" if len(parts) > 1 or _width(grid, grid.columns, spread, 8) > COLUMN else ""
    below = [escape(line) for line in grid.notes]
    below += [rf"$^{{{letter}}}$\,{escape(note(mark))}" for mark, letter in letters.items()]
    notes = rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {'; '.join(below)}\end{{minipage}}"
    return "\n".join(
        [
            rf"\begin{{table{star}}}[t]",
            r"\centering",
            rf"\caption{{{escape(grid.caption)}.}}",
            rf"\label{{{label}}}",
            "\n\\par\\medskip\n".join(_tabular(grid, columns, spread) for columns in parts),
            *([notes] if below else []),
            rf"\end{{table{star}}}",
            "",
        ]
    )


def _tabular(grid: Grid, columns: Sequence[str], spread: str) -> str:
    """Some columns of a grid, in the largest print that fits: LaTeX measures it."""
    letters = grid.letters()
    lines = [" & ".join(["Upstream", *map(escape, columns)]) + r" \\", r"\midrule"]
    places = {column: grid.best(column) for column in columns}
    before = False
    for row in grid.rows:
        floor = row in grid.references
        if floor and not before and row != grid.rows[0]:
            lines.append(r"\midrule")
        before, name = floor, escape(grid.name(row))
        cells = [rf"\textit{{{name}}}" if floor else name]
        for column in columns:
            first, second = places[column]
            entry = grid.cells.get((row, column), Entry())
            cells.append(_cell(entry, letters, spread, bold=row in first, underlined=row in second))
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


def _parts(grid: Grid, spread: str) -> list[list[str]]:
    """The columns, in parts of which each fits a page's width in \\scriptsize; mostly there is one."""
    if _width(grid, grid.columns, spread, 7) <= PAGE or len(grid.columns) < 2:
        return [list(grid.columns)]
    parts: list[list[str]] = [[]]
    for column in grid.columns:
        if parts[-1] and _width(grid, [*parts[-1], column], spread, 7) > PAGE:
            parts.append([])
        parts[-1].append(column)
    # 7 columns stand as 2, 2, 3, not 3, 3, 1
    ends = [len(grid.columns) * i // len(parts) for i in range(len(parts) + 1)]
    even = [list(grid.columns[start:end]) for start, end in itertools.pairwise(ends)]
    return even if all(_width(grid, own, spread, 7) <= PAGE for own in even) else parts


def _width(grid: Grid, columns: Sequence[str], spread: str, size: int) -> float:
    """About how wide these columns are in a print of `size` pt, pt; intervals are never smaller than 7 pt."""
    names = max([len("Upstream"), *(len(grid.name(row)) for row in grid.rows)])
    found = names * GLYPH * size + GAP
    for column in columns:
        entries = [entry for row in grid.rows if (entry := grid.cells.get((row, column)))]
        figures = [len(column) * GLYPH * size]
        for entry in entries:
            beside = _beside(entry, spread)
            small = len(re.sub(r"\\[a-z]+|[{}$\\]", "", beside)) + len(entry.marks)
            figures.append((len(entry.shown) * size + small * 7) * GLYPH)
        found += max(figures) + GAP
    return found


def _cell(entry: Entry, letters: dict[str, str], spread: str, *, bold: bool, underlined: bool) -> str:
    text = escape(entry.shown)
    if bold:
        text = rf"\textbf{{{text}}}"
    elif underlined:
        text = rf"\underline{{{text}}}"
    text += _beside(entry, spread)
    if entry.marks and entry.shown != NONE:
        text += rf"$^{{{','.join(letters[m] for m in entry.marks)}}}$"
    return rf"\textcolor{{gray}}{{{text}}}" if entry.grey else text


def _beside(entry: Entry, spread: str) -> str:
    """What stands beside a figure: its interval, its deviation over seeds, or nothing."""
    if spread == "interval" and entry.metric and entry.low is not None and entry.high is not None:
        return rf"\,{{\scriptsize[{figure(entry.low, entry.metric)}, {figure(entry.high, entry.metric)}]}}"
    if spread == "std" and entry.metric and entry.std is not None:
        return rf"\,{{\scriptsize$\pm$\,{figure(entry.std, entry.metric)}}}"
    return ""
