"""Tasks from a user's own files: `csv:FILE` and `emobox:CORPUS`.

The module of a kind has `check(name, options)`, which raises early for a wrong name and returns the task's name in
results, and `load(name, options, progress)`, which returns the task. Tasks can be derived from tables, so the module of
tables also has `describe(name, options)`, which returns the definition and the facts of the corpus without opening
audio, and `is_there(name)`. A module is imported when one of its tasks is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from commons import registry
from commons.progress import Progress
from tasks.load_options import Options
from tasks.sheets import SUFFIXES

if TYPE_CHECKING:
    from tasks.corpora import Corpus
    from tasks.definition import Definition
    from tasks.task import Task

    Check = Callable[[str, Options], str]
    Describe = Callable[[str, Options], tuple[Definition, Corpus]]
    Load = Callable[[str, Options, Progress | None], Task]

KINDS = {"csv": "tasks.brought.csv_table", "emobox": "tasks.brought.emobox"}
TABLE = "csv"  # the kind that has `describe`
_TABLE = re.compile(rf"[^,]+({'|'.join(re.escape(suffix) for suffix in SUFFIXES)})([=#].*)?", re.IGNORECASE)


def is_one(name: str) -> bool:
    """Whether a name is of one of these kinds."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and kind in KINDS


def is_table(name: str) -> bool:
    """Whether a name names a user's table: `csv:FILE`."""
    return is_one(name) and name.startswith(f"{TABLE}:")


def is_there(name: str) -> bool:
    """Whether the file of a user's table exists."""
    return cast(Callable[[str], bool], registry.load(f"{_module(name)}:is_there"))(name)


def full(name: str, kinds: tuple[str, ...] = ()) -> str:
    """The name with its kind: `csv:mine.csv` for `mine.csv`; other names are returned as they are.

    Args:
        kinds: other words that may stand before a colon; names that begin with them are no files.
    """
    if is_one(name) or name.partition(":")[0] in kinds or not _TABLE.fullmatch(name):
        return name
    return f"{TABLE}:{name}"


def check(name: str, options: Options) -> str:
    """The task's name in results. Raises TaskError or UnknownName where its files are absent."""
    return cast("Check", registry.load(f"{_module(name)}:check"))(name, options)


def describe(name: str, options: Options) -> tuple[Definition, Corpus]:
    """The definition of a table's task and its facts as a corpus. Raises TaskError for a wrong table."""
    return cast("Describe", registry.load(f"{_module(name)}:describe"))(name, options)


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of that name. Raises TaskError where its files are wrong."""
    return cast("Load", registry.load(f"{_module(name)}:load"))(name, options, progress)


def _module(name: str) -> str:
    return KINDS[name.partition(":")[0]]
