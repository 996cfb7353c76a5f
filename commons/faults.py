"""What is wrong with the values that a user wrote into a file, in words."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from commons.errors import cut

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST = 60  # characters of a value that a message repeats


def faults(error: ValidationError, known: Collection[str] = ()) -> list[str]:
    """One line for each wrong value: its key, what was expected, and what the file holds.

    Args:
        known: the keys that the file may have at its highest level; they are listed beside an unknown one there.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False):
        steps = [str(step) for step in fault["loc"] if "[" not in str(step)]  # pydantic names the branch of a union
        unknown = fault["type"] == "extra_forbidden"
        whole = unknown or not steps or isinstance(fault["input"], dict)
        holds = "" if whole else f"; the file holds {cut(repr(fault['input']), LONGEST)}"
        expected = (
            f"unknown key{_listed(known) if len(steps) == 1 else ''}"
            if unknown
            else fault["msg"].removeprefix("Value error, ")
        )
        lines.setdefault((cut(".".join(steps)) or "file", holds), []).append(cut(expected, 500))
    return [f"{key}: {' or '.join(dict.fromkeys(several))}{holds}" for (key, holds), several in lines.items()]


def _listed(known: Collection[str]) -> str:
    return f" (known: {', '.join(known)})" if known else ""
