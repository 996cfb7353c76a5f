"""What is wrong with the values that a user wrote into a file, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING

from commons.errors import cut

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST = 60  # characters of a value that a message repeats


def faults(
    error: ValidationError, known: Collection[str] = (), set_by: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """One line for each wrong value: its key, what was expected, and what the file holds.

    Args:
        known: the keys that the file may have at its highest level; they are listed beside an unknown one there.
        set_by: of keys whose values are not the file's, the option or the like that gave them.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False):
        steps = [str(step) for step in fault["loc"] if "[" not in str(step)]  # pydantic names the branch of a union
        unknown = fault["type"] == "extra_forbidden"
        whole = unknown or not steps or isinstance(fault["input"], dict)
        own = next((set_by[key] for key in accumulate(steps, "{}.{}".format) if key in set_by), "")
        holds = "" if whole else f"; {'it is' if own else 'the file holds'} {cut(repr(fault['input']), LONGEST)}"
        expected = (
            f"unknown key{_listed(known) if len(steps) == 1 else ''}"
            if unknown
            else fault["msg"].removeprefix("Value error, ")
        )
        key = " ".join(filter(None, [own, cut(".".join(steps)) or "file"]))
        lines.setdefault((key, holds), []).append(cut(expected, 500))
    return [f"{key}: {' or '.join(dict.fromkeys(several))}{holds}" for (key, holds), several in lines.items()]


def _listed(known: Collection[str]) -> str:
    return f" (known: {', '.join(known)})" if known else ""
