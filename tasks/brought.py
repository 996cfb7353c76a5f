"""Tasks that are made from files a user brings: `csv:FILE` and `emobox:CORPUS`.

A module of a kind has `check(name, data, emobox)`, which refuses a name early, and `load(name, options, progress)`,
which makes the task. It is imported when one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from commons import registry
from commons.progress import Progress
from tasks.options import Options

if TYPE_CHECKING:
    from tasks.task import Task

    Check = Callable[[str, Path, Path | None], None]
    Load = Callable[[str, Options, Progress | None], Task]

KINDS = {"csv": "tasks.from_csv", "emobox": "tasks.emobox"}


def is_one(name: str) -> bool:
    """Whether a name is of one of these kinds."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and kind in KINDS


def check(name: str, data: Path, emobox: Path | None) -> None:
    """Refuse a name whose files are not there. Raises TaskError or UnknownName."""
    cast("Check", registry.load(f"{_module(name)}:check"))(name, data, emobox)


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of a name. Raises TaskError where its files cannot be understood."""
    return cast("Load", registry.load(f"{_module(name)}:load"))(name, options, progress)


def _module(name: str) -> str:
    return KINDS[name.partition(":")[0]]
