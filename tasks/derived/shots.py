"""`shots:emodb,4`: four training utterances of each class, on the task's own test folds.

A seed is a draw. In a draw, the training utterances of each class are put in an order that depends on their ids only,
and the first K are taken. So the utterances of K = 1 are among those of K = 2, and every upstream and head gets the
same. No other training utterance is used: choices are made by leaving out some of the K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from commons.corridors.problem import Fold
from tasks import definition
from tasks.derived.kinds import Derived
from tasks.splits import folds
from tasks.task import Task, finish

DRAWS = 20  # number of draws; --seeds says how many are run


def few(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task with K training utterances of each class, or all where a class has fewer."""
    (base,), k = loaded, int(derived.option)
    wanted = definition.varied(
        base.definition,
        name=derived.name,
        version=derived.version,
        title=f"{base.name}, {k} labelled utterance{'s' * (k > 1)} a class",
        published=(),
    )
    problem = base.problem
    draws = tuple(
        tuple(drawn(fold, k, draw, problem.ids, problem.targets) for fold in problem.folds) for draw in range(DRAWS)
    )
    notes = [f"a seed is a draw of {k} utterance{'s' * (k > 1)} a class and fold, the same for all upstreams"]
    known = [np.bincount(problem.targets[np.r_[f.train, f.dev]], minlength=len(problem.classes)) for f in problem.folds]
    short = {c: int(n) for c, n in zip(problem.classes, np.min(known, axis=0), strict=True) if n < k}
    if short:
        notes.append(f"some folds have fewer than {k} of a class, and all are taken: {_listed(short)}")
    if k == 1:
        notes.append("with one utterance a class nothing can be chosen: the last layer and a middle strength are taken")
    return finish(base.reading, wanted, replace(problem, folds=draws[0], draws=draws), notes)


def drawn(fold: Fold, k: int, draw: int, ids: np.ndarray, targets: np.ndarray) -> Fold:
    """The fold with k training utterances of each class, in one draw.

    The utterances of each class are dealt into up to five inner groups; dev is a fifth of each class, at least one.
    With k = 1 nothing can be left out: inner groups and dev are empty.
    """
    rest = np.sort(np.r_[fold.train, fold.dev])
    salt = f"shots {draw} {fold.name}"
    taken = [folds.shuffled(rest[targets[rest] == c], ids, salt)[:k] for c in np.unique(targets[rest])]
    everything = np.sort(np.concatenate(taken))
    if k == 1:
        return replace(fold, train=everything, dev=everything[:0], inner=())
    groups = min(k, folds.INNER_GROUPS)
    inner = [np.sort(np.concatenate([rows[i::groups] for rows in taken])) for i in range(groups)]
    dev = folds.stratified_fifth(everything, ids, targets, salt)
    return replace(
        fold, train=np.setdiff1d(everything, dev), dev=dev, inner=tuple(group for group in inner if len(group))
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
