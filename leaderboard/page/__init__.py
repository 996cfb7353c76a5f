"""The page: one HTML file that holds everything it shows, from the records alone, and needs no network.

It holds what its tables show as JSON, and details and UMAP pictures as gzip in base64, unpacked when they are opened.
The scripts (page/*.js) put names and messages into the document as text only, never as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from commons.corridors.record import Record
from leaderboard.cards.formats import path_of
from leaderboard.page import content, umap_panels
from leaderboard.records.files import put

NAME = "leaderboard.html"
SCRIPTS = ("common.js", "table.js", "figures.js", "details.js", "views.js", "umap.js", "page.js")  # in this order


def write(results: Path, records: Sequence[Record], *, damage: bool, out: Path | None = None) -> tuple[Path, list[str]]:
    """Write the page of some records.

    Args:
        damage: whether there are records that could not be read, which the page then says.
        out: the file; default `results/leaderboard.html`.

    Returns:
        the file, and a line for everything that could not be used and is not in it.

    Raises:
        LeaderboardError: the file cannot be written.
    """
    summary, details, problems = content.collect(results, records)
    pictures, more = umap_panels.load(results, [record.task for record in records])
    summary |= {"damaged": damage, "umap": [picture["title"] for picture in pictures]}
    path = out or results / NAME
    summary["cards"] = _cards(results, records, path.parent)
    put(path, page(summary, details, pictures))
    return path, [*problems, *more]


def page(summary: dict[str, object], details: Iterable[object], embedded: Iterable[object]) -> str:
    """The HTML of what `content.collect` and `umap_panels.load` give."""
    style, script = _text("page.css"), "\n".join(map(_text, SCRIPTS))
    packed = [
        f'<script type="application/gzip" id="{kind}-{index}">{_packed(one)}</script>'
        for kind, several in (("details", details), ("umap", embedded))
        for index, one in enumerate(several)
    ]
    filled = {
        "policy": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}",
        "style": style,
        "summary": _json(summary),
        "script": script,
        "packed": "\n".join(packed),  # after the script: the table is there before all of it is read
    }
    return re.sub("@([a-z]+)@", lambda place: filled[place[1]], _text("page.html"))


def _cards(results: Path, records: Sequence[Record], folder: Path) -> list[list[str]]:
    """Upstreams whose card is there, each with its address as seen from the page's folder."""
    names = sorted({record.cell.upstream for record in records})
    there = [(name, path) for name in names if (path := path_of(results, name, "html")).is_file()]
    return [[name, quote(os.path.relpath(path, folder).replace(os.sep, "/"))] for name, path in there]


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON in ASCII in which no markup can begin or end, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(value: object) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 6, mtime=0)).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
