"""The page: one HTML file that holds everything it shows, from the records alone, and needs no network.

What a table shows lies in it as JSON; what a click opens, and pictures of embeddings, as gzip in base64, unpacked when
asked for. Names and messages reach the document as text only (page/*.js), never as markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from leaderboard.files import told
from leaderboard.files import write as write_file
from leaderboard.page.content import content
from leaderboard.page.embeddings import embeddings
from leaderboard.schema import Record

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
    summary, details, problems = content(results, records)
    audits: dict[str, set[str]] = {}
    for record in records:
        audits.setdefault(record.task.name, set()).add(record.task.audit)
    found, more = embeddings(results, audits)
    summary |= {"damaged": damage, "umap": [entry["title"] for entry in found]}
    path = out or results / NAME
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, page(summary, details, found).encode())
    return path, [*problems, *more]


def page(summary: dict[str, Any], details: Iterable[Any], embedded: Iterable[Any]) -> str:
    """The HTML of what `content` and `embeddings` give."""
    style, script = _text("page.css"), "\n".join(map(_text, SCRIPTS))
    parts = [f'<script type="application/json" id="summary">{_json(summary)}</script>']
    for kind, several in (("details", details), ("umap", embedded)):
        for index, one in enumerate(several):
            parts.append(f'<script type="application/gzip" id="{kind}-{index}">{_packed(one)}</script>')
    filled = {
        "@policy@": f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}",
        "@title@": html.escape("emorep leaderboard"),
        "@style@": style,
        "@script@": script,
        "@data@": "\n".join(parts),
    }
    text = _text("page.html")
    for place, filling in filled.items():
        head, _, tail = text.partition(place)
        text = head + filling + tail
    return text


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON in ASCII in which no markup can begin or end, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 6, mtime=0)).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
