"""Tasks that are made from files a user brings: `csv:FILE` and `emobox:CORPUS`.

A module of a kind has `check(name, options)`, which refuses a name early and returns the task's name in results, and
`load(name, options, progress)`, which makes the task. That of tables, from which other tasks can be derived, also has
`describe(name, options)`: the definition and the facts of the corpus, for which no audio is opened; and
`is_there(name)`. A module is imported when one of its tasks is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from commons import registry
from commons.progress import Progress
from tasks.brought.sheets import SUFFIXES
from tasks.options import Options

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
    """Whether a name is that of a user's table: `csv:FILE`."""
    return is_one(name) and name.startswith(f"{TABLE}:")


def is_there(name: str) -> bool:
    """Whether a user's table of that name is a file."""
    return cast(Callable[[str], bool], registry.load(f"{_module(name)}:is_there"))(name)


def full(name: str, kinds: tuple[str, ...] = ()) -> str:
    """The name with its kind: a file name such as `mine.csv` or `mine.tsv=Mine` is a table; others as they are.

    Args:
        kinds: other words that may stand before a colon; a name of theirs is none of a file.
    """
    if is_one(name) or name.partition(":")[0] in kinds or not _TABLE.fullmatch(name):
        return name
    return f"{TABLE}:{name}"


def check(name: str, options: Options) -> str:
    """Refuse a name whose files are not there; the task's name in results. Raises TaskError or UnknownName."""
    return cast("Check", registry.load(f"{_module(name)}:check"))(name, options)


def describe(name: str, options: Options) -> tuple[Definition, Corpus]:
    """What a table asks, and its facts as a corpus. Raises TaskError where it cannot be understood."""
    return cast("Describe", registry.load(f"{_module(name)}:describe"))(name, options)


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of a name. Raises TaskError where its files cannot be understood."""
    return cast("Load", registry.load(f"{_module(name)}:load"))(name, options, progress)


def _module(name: str) -> str:
    return KINDS[name.partition(":")[0]]
