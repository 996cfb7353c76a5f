"""A card as one HTML file that needs no network and no script; it prints on white, whatever the screen shows."""

from __future__ import annotations

import re
from html import escape
from importlib import resources

from leaderboard.cards.model import Card, Section
from leaderboard.tables.model import Table
from leaderboard.text import plain, plural


def document(card: Card) -> str:
    """The whole card."""
    style = resources.files(__package__).joinpath("card.css").read_text(encoding="utf-8")
    body = "\n".join(map(_section, card.sections))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(card.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<header><h1>{_text(card.title)}</h1>"
        f"<p>made from records up to {_text(card.newest)}</p></header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<section><h2>{_text(section.title)}</h2>"]
    parts += [f"<p>{_text(line)}</p>" for line in section.lines]
    parts += [_table(table, "" if table.title == section.title.lower() else table.title) for table in section.tables]
    if section.missing:
        items = (
            f"<li>{_text(what)}: not measured <code>{_text(command)}</code></li>" for what, command in section.missing
        )
        parts.append(f"<ul class=missing>{''.join(items)}</ul>")
    if section.sources:
        names = ", ".join(f"<code>{_text(source)}</code>" for source in section.sources)
        parts.append(
            f"<details><summary>from {plural(len(section.sources), 'record')}</summary><p>{names}</p></details>"
        )
    return "\n".join([*parts, "</section>"])


def _table(table: Table, title: str) -> str:
    texts = {column: table.texts(column) for column in table.columns}
    head = "".join(f"<th scope=col>{_text(title)}</th>" for title in (table.corner, *table.columns))
    rows = []
    for index, row in enumerate(table.rows):
        cells = "".join(f"<td>{_whole(_text(texts[column][index]))}</td>" for column in table.columns)
        rows.append(f"<tr><th scope=row>{_text(table.name(row))}</th>{cells}</tr>")
    above = "".join(f"<p>{_text(line)}</p>" for line in table.facts)
    below = "".join(f"<li>{_text(line)}</li>" for line in table.below())
    notes = f"<ul class=notes>{below}</ul>" if below else ""
    heading = f"<h3>{_text(title)}</h3>" if title else ""
    return (
        f"{heading}{above}<div class=scroll tabindex=0><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>{notes}"
    )


def _whole(text: str) -> str:
    """The text with intervals that no line ends within."""
    return re.sub(r"\[[-\d., ]+\]", lambda interval: interval[0].replace(" ", "\u00a0"), text)


def _text(text: str) -> str:
    return escape(plain(text))
