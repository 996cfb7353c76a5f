"""`labels:emodb,anger+neutral`: a task on some of its classes, merged by the label algebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks import definition, label_algebra
from tasks.derived.kinds import Derived
from tasks.splits import problems
from tasks.task import Task, finish

Counts = dict[str, dict[str, int]]


def regrouped(base: Task, wanted: Sequence[str]) -> tuple[np.ndarray, Counts, dict[str, int]]:
    """The utterances of a task in other classes.

    Returns:
        (N,) int64 index of the wanted class, -1 for none; number of utterances by wanted class and own class; and
        number of utterances by own class that is left out.
    """
    own, held = base.problem.classes, label_algebra.onto(base.problem.classes, wanted)
    index = np.array([wanted.index(held[c]) if c in held else -1 for c in own] + [-1])
    sizes = {c: int((base.problem.targets == i).sum()) for i, c in enumerate(own)}
    merged = {w: {c: sizes[c] for c in own if held.get(c) == w} for w in wanted}
    return index[base.problem.targets], merged, {c: sizes[c] for c in own if c not in held}


def explained(base: Task, merged: Counts, excluded: dict[str, int]) -> list[str]:
    """Notes on the classes that were merged and left out, with counts."""
    lines = [
        f"{base.name}: {name} = {' + '.join(f'{count} {c}' for c, count in parts.items())}"
        for name, parts in merged.items()
        if list(parts) != [name]
    ]
    left = ", ".join(f"{count} {c}" for c, count in excluded.items())
    return lines + ([f"{base.name}: left out {left}, which are not asked for"] if left else [])


def fewer(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task on its own folds with the wanted classes; other utterances are in no part."""
    (base,) = loaded
    wanted = tuple(derived.option.split("+"))
    targets, merged, excluded = regrouped(base, wanted)
    asked = definition.varied(
        base.definition,
        name=derived.name,
        version=derived.version,
        title=f"{base.name} on {len(wanted)} classes",
        labels={name: tuple(parts) for name, parts in merged.items()},
        published=(),
    )
    folds = (problems.with_targets(fold, targets) for fold in base.problem.folds)
    problem = replace(
        base.problem,
        classes=wanted,
        targets=targets,
        folds=tuple(fold for fold in folds if len(fold.test)),
    )
    return finish(base.reading, asked, problem, explained(base, merged, excluded))
