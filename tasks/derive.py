"""Derived tasks: functions from task to task, named `kind:arguments`.

`gender:emodb` and `sentence:emodb` ask for another column on the very folds of `emodb`: what else a representation
holds, beside emotion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks import brought
from tasks.errors import LIST, TaskError, UnknownName
from tasks.metrics import REGRESSION

if TYPE_CHECKING:
    from tasks.loading import Task


@dataclass(frozen=True)
class Kind:
    """A kind of derived task: how many base tasks its arguments name, and what makes it of them."""

    bases: int
    make: Callable[..., Task]
    version: str
    help: str


def parse(name: str) -> tuple[Kind, list[str]]:
    """The kind and the base tasks of a derived name.

    Raises:
        UnknownName: there is no such kind, or no such base task.
        TaskError: the number of arguments is not the kind's.
    """
    from tasks import catalogue

    kind, _, arguments = name.partition(":")
    if kind not in KINDS:
        raise UnknownName("kind of derived task", kind, [*KINDS, *brought.KINDS])
    bases = [base.strip() for base in arguments.split(",")]
    if len(bases) != KINDS[kind].bases:
        raise TaskError(f"{name!r}: {kind} takes {KINDS[kind].bases} task, as {kind}:emodb, not {len(bases)}")
    for base in bases:
        if base not in catalogue.names():
            raise UnknownName(f"task for {kind}:", base, catalogue.names(), LIST)
    return KINDS[kind], bases


def column(name: str, base: Task) -> Task:
    """The base task's utterances and folds, with a column of its table as the target.

    Raises:
        TaskError: the base asks for values, the corpus lacks the column, it has one value only, or a fold's train lacks
            one.
    """
    from tasks import loading

    target = name.partition(":")[0]
    if base.problem.kind == REGRESSION:
        raise TaskError(f"{name}: {base.name} asks for values; name a task of classes on {base.corpus.title}")
    if target not in base.utterances:
        raise TaskError(f"{name}: {base.corpus.title} does not tell the {target} of its utterances")
    values = sorted(base.utterances[target].dropna().unique())
    if len(values) < 2:
        raise TaskError(f"{name}: {base.corpus.title} has one {target} only ({', '.join(values)})")
    definition = base.definition.model_copy(
        update={
            "name": name,
            "version": f"{KINDS[target].version} of {base.definition.version}",
            "title": f"{target} on {base.name}",
            "target": target,
            "labels": {value: (value,) for value in values},
            "drop": (),
            "published": (),
            "pooled_only": False,
        }
    )
    problem = replace(base.problem, classes=tuple(values), targets=loading.targets(base.utterances, definition))
    problem = replace(problem, folds=tuple(loading.with_targets(fold, problem.targets) for fold in problem.folds))
    return loading.finish(base.reading, definition, problem, [])


KINDS: dict[str, Kind] = {
    "gender": Kind(1, column, "gender 1", "tell the speaker's gender"),
    "sentence": Kind(1, column, "sentence 1", "tell which sentence is spoken"),
}
