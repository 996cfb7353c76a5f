"""A card as Markdown."""

from __future__ import annotations

from leaderboard.cards.model import Card, Section
from leaderboard.tables.markdown import escape, markdown
from leaderboard.tables.model import Table
from leaderboard.text import plain


def document(card: Card) -> str:
    """The whole card, one heading a section."""
    head = f"# {escape(plain(card.title))}\n\nmade from records up to {card.newest}\n"
    return "\n".join([head, *map(_section, card.sections)])


def _table(table: Table, section: Section) -> str:
    """A table; its title stands above it, unless it is that of the section."""
    made = markdown([table]).strip()
    return made.partition("\n")[2].strip() if table.title == section.title.lower() else made


def _section(section: Section) -> str:
    parts = [f"## {section.title}", *(escape(plain(line)) for line in section.lines)]
    parts += [_table(table, section) for table in section.tables]
    parts += [f"- {escape(plain(what))}: not measured: `{plain(command)}`" for what, command in section.missing]
    if section.sources:
        parts.append(f"*from {', '.join(f'`{source}`' for source in section.sources)}*")
    return "\n\n".join(parts) + "\n"
