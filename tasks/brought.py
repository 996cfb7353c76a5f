"""Tasks that are made from files a user brings: `csv:FILE` and `emobox:CORPUS`.

A module of a kind has `check(name, data)`, which refuses a name early, and `load(name, options)`, which makes the task.
"""

from __future__ import annotations

import importlib
from types import ModuleType

KINDS = {"csv": "from_csv", "emobox": "emobox"}


def module(name: str) -> ModuleType | None:
    """The module that makes a task of this name; None for other names."""
    kind, colon, _ = name.partition(":")
    return importlib.import_module(f"tasks.{KINDS[kind]}") if colon and kind in KINDS else None
