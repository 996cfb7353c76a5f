"""The table model: cells by row and column, and the lines above and below them.

Views (results.py, views.py, transfers.py, ablations.py, rankings.py) make a `Table` from records. Renderings
(terminal.py, markdown.py, latex.py, spreadsheet.py) show it. A view never formats for one rendering, and a rendering
never looks at a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commons.marks import explain
from commons.metrics import named
from leaderboard.text import NONE, plain

PUBLISHED = "published: "  # begins the mark of a figure that was not measured here


@dataclass(frozen=True)
class Look:
    """What a reader wishes of a form; each form takes what it knows of.

    Attributes:
        width: characters of a line; None: as the terminal has it.
        spread: what stands beside a figure in LaTeX: `interval`, `std` or `none`.
        published: whether a terminal lists the published figures below a table.
    """

    width: int | None = None
    spread: str = "interval"
    published: bool = False


@dataclass(frozen=True)
class Cell:
    """A figure of a metric with its interval, deviation over seeds and marks; or a `text`, which is shown as it is.

    Attributes:
        low, high: ends of the 95 % interval; None where there is none.
        std: standard deviation over seeds.
        drawn: the seeds are draws of random weights, whose deviation every rendering shows.
        marks: warnings about this figure; a table gives each a letter and explains it in a footnote.
        grey: the figure is less comparable than its neighbours (another protocol).
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    std: float | None = None
    metric: str | None = None
    marks: tuple[str, ...] = ()
    text: str | None = None
    grey: bool = False
    drawn: bool = False

    @property
    def shown(self) -> str:
        """The figure or text, without interval and marks."""
        if self.text is not None:
            return self.text
        return figure(self.value, self.metric) if self.metric else NONE

    @property
    def deviation(self) -> str:
        """`± 2.1` of draws; nothing elsewhere."""
        return f"± {figure(self.std, self.metric)}" if self.drawn and self.metric and self.std is not None else ""

    @property
    def interval(self) -> str:
        """`[low, high]`, or nothing where there is no interval."""
        if self.metric is None or (self.low is None and self.high is None):
            return ""
        return f"[{figure(self.low, self.metric)}, {figure(self.high, self.metric)}]"


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        title: says what is in it; two tables of one document may share it.
        facts: lines above the table; in LaTeX its caption.
        rows: a key each, in the order to be shown.
        columns: in the order to be shown, without the one at the head of the rows.
        cells: by (row, column), where there is one.
        references: rows that are floors to compare with, not competitors.
        notes: lines below the table.
        corner: what stands above the heads of the rows.
        names: row: its head, where that is not the key itself.
        lettering: mark: its letter, where several tables share letters; else each table counts from `a`.
        published: lines on published figures, each with whether its protocol is the one here.
        interpretation: of which paper the head is an interpretation; None for other heads.
        narrower: what to leave out in this order where a terminal is too narrow: (column, `interval` or `column`).
    """

    title: str
    facts: list[str]
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Cell]
    references: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    corner: str = "upstream"
    names: Mapping[str, str] = field(default_factory=dict)
    lettering: Mapping[str, str] = field(default_factory=dict)
    published: list[tuple[str, bool]] = field(default_factory=list)
    narrower: list[tuple[str, str]] = field(default_factory=list)
    interpretation: str | None = None

    @property
    def heading(self) -> str:
        """The title, and of which paper the head is an interpretation."""
        return " · ".join(filter(None, (self.title, self.interpretation)))

    def cell(self, row: str, column: str) -> Cell:
        """The cell of a row and column; an empty one where there is none."""
        return self.cells.get((row, column), Cell())

    def name(self, row: str) -> str:
        """The head of a row."""
        return self.names.get(row, row)

    def letters(self) -> dict[str, str]:
        """Every mark of the cells with its letter, in the order of the letters."""
        cells = (self.cell(row, column) for row in self.rows for column in self.columns)
        used = dict.fromkeys(mark for cell in cells for mark in cell.marks)
        if self.lettering:
            return {mark: letter for mark, letter in self.lettering.items() if mark in used}
        return lettered(used)

    def texts(self, column: str, *, interval: bool = True) -> list[str]:
        """The text of every row's cell in a column: the figure, its interval, the letters of its marks.

        Figures are aligned at the right, so that their points stand below one another.
        """
        letters = self.letters()
        cells = [self.cell(row, column) for row in self.rows]
        width = max((len(cell.shown) for cell in cells if cell.metric and cell.text is None), default=0)
        several = []
        for cell in cells:
            value = plain(cell.shown)
            parts = [value.rjust(width) if cell.metric and cell.text is None else value]
            parts += [cell.deviation] * bool(cell.deviation)
            parts += [cell.interval] * (interval and bool(cell.interval))
            several.append(" ".join([*parts, *(letters[mark] for mark in cell.marks)]))
        return several

    def below(self) -> list[str]:
        """The notes, then a footnote for every mark."""
        footnotes = (f"{letter} = {footnote(mark)}" for mark, letter in self.letters().items())
        return [plain(line) for line in (*self.notes, *footnotes)]

    def best(self, column: str) -> tuple[set[str], set[str]]:
        """Rows with the best and the second best figure of a column, as shown, so ties share a place.

        References, contaminated and published figures take no part; a column with one figure has no best one.
        """
        shown: dict[str, float] = {}
        higher = True
        for row in self.rows:
            cell = self.cell(row, column)
            if cell.metric is None or cell.value is None or row in self.references:
                continue
            if not any(mark.startswith(("contaminated", PUBLISHED)) for mark in cell.marks):
                higher = named(cell.metric).higher_is_better
                shown[row] = float(cell.shown)
        levels = sorted(set(shown.values()), reverse=higher)
        if len(shown) < 2:
            return set(), set()
        places = [{row for row, value in shown.items() if value == level} for level in levels[:2]]
        return places[0], places[1] if len(places) > 1 and len(places[0]) < 2 else set()


def figure(value: float | None, metric: str) -> str:
    """A value of a metric as tables show it."""
    return named(metric).shown(value)


def lettered(marks: Mapping[str, None]) -> dict[str, str]:
    """Every mark with a letter: a, b ... z, aa, bb ..."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    return {mark: alphabet[i % 26] * (i // 26 + 1) for i, mark in enumerate(marks)}


def footnote(mark: str) -> str:
    """What a mark means; of a published figure its source."""
    return mark if mark.startswith(PUBLISHED) else f"{mark}: {explain(mark)}"
