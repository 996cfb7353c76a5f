"""The one style of every plot: widths of a paper's column and page, colours that colour-blind readers tell apart."""

from __future__ import annotations

import io
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from leaderboard.records.files import put

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

T = TypeVar("T")
WIDTHS = {"column": 3.35, "page": 7.0}  # inches
TALLEST = 9.0  # inches; a page holds no more
DPI = 200
# Okabe and Ito (2008), without yellow, which is lost on white; beyond seven, lines change their dashes and markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
GREY = "#8a8a8a"
SEQUENTIAL = "Blues"  # for matrices: one hue from light to dark reads alike for everybody, and in grey
LONGEST = 34  # characters of a name
# For what DejaVu lacks, such as Chinese, Japanese and Korean; the first that is installed helps out.
FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS", "Microsoft YaHei",
)  # fmt: skip
SETTINGS: dict[RcKeyType, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # TrueType: text stays text, as conferences ask
    "text.usetex": False,
    "text.parse_math": False,  # a name with dollar signs is only a name
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "savefig.dpi": DPI,
}


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn within has this style; nothing outside is touched, and no window is opened."""
    import matplotlib as mpl
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    helps = [name for name in FALLBACKS if name in installed][:1]
    with mpl.rc_context(SETTINGS | {"font.family": [SETTINGS["font.family"], *helps]}):
        yield


def figure(
    width: str, height: float, rows: int = 1, columns: int = 1, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure of `column` or `page` width and a height in inches, and its axes row by row; `shared`: one scale for
    all."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTHS[width], height), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    return made, list(axes.flat)


class LineStyle(TypedDict):
    """How a line is drawn."""

    color: str
    linestyle: str
    marker: str


def line_style(index: int) -> LineStyle:
    """Colour, dashes and marker of the line of that number; 28 differ."""
    turn = index // len(COLOURS) % len(DASHES)
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[turn], "marker": MARKERS[turn]}


def short(name: str, longest: int = LONGEST) -> str:
    """A name of at most `longest` characters: a checkpoint's name loses its zeros and its suffix first, then any name
    its middle, since names differ most at their beginnings and ends."""
    if len(name) > longest:
        name = re.sub(r"step-0+(?=\d)", "step-", name.replace(".safetensors", ""))
    if len(name) <= longest:
        return name
    tail = longest // 2
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def distinct(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Short names, numbered where two would be the same."""
    made = [short(name, longest) for name in names]
    return [f"{s} ({made[: i + 1].count(s)})" if made.count(s) > 1 else s for i, s in enumerate(made)]


def wrapped(names: Sequence[str], longest: int) -> list[str]:
    """Names in up to two lines of `longest` characters; shortened to one where that is not enough."""
    made = []
    for name, cut in zip(names, distinct(names, longest), strict=True):
        before, bracket, inside = name.partition(" (")
        parts = [before, f"({inside}"] if bracket else [name]
        lines = [line for part in parts for line in textwrap.wrap(part, longest, break_long_words=False)]
        lines = [name] if len(name) <= longest else lines
        made.append("\n".join(lines) if len(lines) <= 2 and all(len(line) <= longest for line in lines) else cut)
    return made


def pages(rows: Sequence[T], size: int) -> Iterator[tuple[tuple[str, ...], Sequence[T]]]:
    """At most `size` rows for each picture, and what its file name ends with: a number where there are several."""
    for number, start in enumerate(range(0, len(rows), size), start=1):
        yield (str(number),) if len(rows) > size else (), rows[start : start + size]


def title(drawn: Figure, text: str, width: str) -> None:
    """A title over the whole figure, from its left edge, so that long names on an axis leave it its room."""
    drawn.suptitle(short(text, 90 if width == "page" else 46), fontsize=7.5, x=0.01, ha="left")


def legend_below(drawn: Figure, axis: Axes, width: str, text: str | None = None) -> None:
    """The legend of an axis under the figure, in as many columns as fit, and a text above it."""
    handles, labels = axis.get_legend_handles_labels()
    if labels or text:
        longest = max(map(len, labels), default=0)
        columns = max(1, min(len(labels), int(WIDTHS[width] * 72 / (longest * 4.0 + 34))))
        drawn.legend(handles, labels, loc="outside lower center", ncols=columns, title=text, title_fontsize=6,
                     alignment="left")  # fmt: skip


def save(drawn: Figure, path: Path) -> list[Path]:
    """Write `path`.pdf and `path`.png, the same bytes each time; a line on stderr names characters that no font has.

    Raises:
        LeaderboardError: the disk is full, or the folder cannot be written.
    """
    made = []
    missing: set[str] = set()
    for ending, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        stream = io.BytesIO()
        with styled(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            drawn.savefig(stream, format=ending, metadata=metadata)
        for warning in said:
            if lacks := re.match(r"Glyph (\d+) ", str(warning.message)):
                missing.add(chr(int(lacks[1])))
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        target = path.parent / f"{path.name}.{ending}"
        put(target, stream.getvalue())
        made.append(target)
    if missing:
        characters = "".join(sorted(missing))
        print(f"{path}: no font here has {characters}, so boxes stand in their place; install Noto Sans CJK "
              "(Debian: fonts-noto-cjk), or another that has them", file=sys.stderr)  # fmt: skip
    return made
