"""Tables in LaTeX (booktabs), ready to be \\input."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from leaderboard.blocks import NONE, figure
from leaderboard.grids import Entry, Grid, note

HEADER = "% Made by emorep from result records. Needs \\usepackage{booktabs,graphicx,xcolor} and UTF-8 input.\n"
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"$\mathdollar$", "#": r"\#",
    "_": r"\_", "~": r"$\sim$", "^": r"\^{}", "<": "$<$", ">": "$>$", "|": r"$|$", "`": r"\`{}", '"': "{''}", "–": "--",
    "·": r"$\cdot$", "[": "{[}", "]": "{]}",
}  # fmt: skip
# What LaTeX's default fonts (OT1) can set: these letters, and these accents over ASCII ones.
_LETTERS = frozenset("ßæÆøØœŒłŁ")
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")


def tables(grids: Sequence[Grid], spread: str = "interval") -> str:
    """One `table` environment a grid.

    Best figures are bold, second ones underlined, equal ones (as shown) alike; references are italic.

    Args:
        spread: `interval` (95 %), `std` (over seeds, where there are several) or `none`, beside each figure.
    """
    return HEADER + "\n".join(_table(grid, spread) for grid in grids)


def escape(text: str) -> str:
    """The text as LaTeX shows it; what its default fonts lack becomes a question mark."""
    text = re.sub(r"\s+", " ", text).strip()
    return "".join(_SPECIAL.get(c, c if _can_be_set(c) else "?") for c in unicodedata.normalize("NFC", text))


def _can_be_set(character: str) -> bool:
    if character in _LETTERS or " " <= character <= "~":
        return True
    parts = unicodedata.normalize("NFD", character)
    return len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS


def _table(grid: Grid, spread: str) -> str:
    letters = grid.letters()
    lines = [" & ".join(["Upstream", *map(escape, grid.columns)]) + r" \\", r"\midrule"]
    places = {column: grid.best(column) for column in grid.columns}
    before = False
    for row in grid.rows:
        floor = row in grid.references
        if floor and not before and row != grid.rows[0]:
            lines.append(r"\midrule")
        before, name = floor, escape(grid.name(row))
        cells = [rf"\textit{{{name}}}" if floor else name]
        for column in grid.columns:
            first, second = places[column]
            entry = grid.cells.get((row, column), Entry())
            cells.append(_cell(entry, letters, spread, bold=row in first, underlined=row in second))
        lines.append(" & ".join(cells) + r" \\")
    below = [escape(line) for line in grid.notes]
    below += [rf"$^{{{letter}}}$\,{escape(note(mark))}" for mark, letter in letters.items()]
    star = "*" if len(grid.columns) > 3 else ""
    label = re.sub(r"[^a-z0-9]+", "-", grid.title.lower()).strip("-")
    notes = rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {'; '.join(below)}\end{{minipage}}"
    return "\n".join(
        [
            rf"\begin{{table{star}}}[t]",
            r"\centering",
            rf"\caption{{{escape(grid.caption)}.}}",
            rf"\label{{tab:{label}}}",
            r"\sbox0{%",
            rf"\begin{{tabular}}{{l{'l' * len(grid.columns)}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}%",
            r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            *([notes] if below else []),
            rf"\end{{table{star}}}",
            "",
        ]
    )


def _cell(entry: Entry, letters: dict[str, str], spread: str, *, bold: bool, underlined: bool) -> str:
    text = escape(entry.shown)
    if bold:
        text = rf"\textbf{{{text}}}"
    elif underlined:
        text = rf"\underline{{{text}}}"
    if spread == "interval" and entry.metric and entry.low is not None and entry.high is not None:
        low, high = figure(entry.low, entry.metric), figure(entry.high, entry.metric)
        text += rf"\,{{\scriptsize[{low}, {high}]}}"
    if spread == "std" and entry.metric and entry.std is not None:
        text += rf"\,{{\scriptsize$\pm$\,{figure(entry.std, entry.metric)}}}"
    if entry.marks and entry.shown != NONE:
        text += rf"$^{{{','.join(letters[m] for m in entry.marks)}}}$"
    return rf"\textcolor{{gray}}{{{text}}}" if entry.grey else text
