"""What is asked: corpora, label sets, splits, audits and metrics. This room knows no models.

    task = tasks.load("emodb", data=Path("data"), cache=Path("cache"))
    task.utterances, task.problem, task.audit.hash

Importing the package is cheap; pandas and the audio libraries load with the first `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import TaskError, UnknownName

if TYPE_CHECKING:
    from tasks.catalogue import Listing
    from tasks.loading import Task

__all__ = ["TaskError", "UnknownName", "derived", "describe", "family", "kind", "load", "names", "resolve", "suites"]


def names() -> list[str]:
    """Names of the tasks that have a definition, sorted."""
    from tasks import catalogue

    return catalogue.names()


def family(corpus: str) -> list[str]:
    """Names of the corpora that share recordings or speakers with this one, itself among them."""
    from tasks import corpora

    if corpus not in corpora.names():  # a user's own
        return [corpus]
    blocks = [corpora.module(name).CORPUS for name in corpora.names()]
    own = corpora.module(corpus).CORPUS.family
    return [block.name for block in blocks if block.family == own]


def suites() -> dict[str, str]:
    """Suites by name, each with its tasks or what it stands for."""
    from tasks import catalogue

    lists = {name: " ".join(members) for name, members in catalogue.suites().items()}
    return lists | {"here": "every task whose corpus is complete under --data", "all": "every task"}


def derived() -> dict[str, str]:
    """How derived tasks are named, each with what it asks; and the label algebra of those that join corpora."""
    from tasks import derive, labels

    kinds = {f"{name}:{kind.form}": kind.help for name, kind in derive.KINDS.items()}
    merged = ", ".join(f"{narrow} = {broad}" for narrow, broad in labels.merges().items())
    return kinds | {"shared classes": f"unless all corpora tell them apart: {merged}"}


def resolve(names: Sequence[str], data: str | Path, tell: Callable[[str], None] = lambda line: None) -> list[str]:
    """Task names asked for, suites expanded and repetitions removed, in the order given.

    Args:
        tell: called with what a derived task's suite leaves out, and why.

    Raises:
        UnknownName: a name is no task, suite or derived task.
        TaskError: a suite turned out empty (`here` without a complete corpus under `data`).
    """
    from tasks import catalogue

    return catalogue.resolve(names, Path(data), tell)


def kind(name: str) -> str | None:
    """The kind of problem of a task that has a definition; None for others, whose data decide it. Raises TaskError."""
    from tasks import definition

    return definition.read(definition.path(name)).kind if name in names() else None


def describe(data: str | Path) -> list[Listing]:
    """State of every task's corpus under `data`, by counting files: no table is read, no audio opened."""
    from tasks import catalogue

    return catalogue.describe(Path(data))


def load(
    name: str,
    data: str | Path,
    cache: str | Path,
    skip_bad: bool = False,
    limit: int | None = None,
    jobs: int = 1,
    progress: Callable[[float, float], None] | None = None,
) -> Task:
    """Read a task's corpus, check its audio, build its splits and prove them.

    Args:
        name: a definition's name, `csv:FILE`, `emobox:CORPUS`, or a derived `kind:arguments`.
        data: folder that holds one folder a corpus.
        cache: folder for the index of audio contents, fold lists and the embedded corpus.
        skip_bad: leave out audio that cannot be used (counted and marked) instead of stopping.
        limit: keep about this many utterances, spread over speakers and classes (a smoke run).
        jobs: threads that decode.
        progress: called with (files done, files to do) while audio is read for the first time.

    Raises:
        TaskError: the corpus is absent, a label is unknown, audio is unusable, a split is impossible or leaks.
    """
    from tasks import loading

    return loading.load(name, Path(data), Path(cache), skip_bad, limit, jobs, progress)
