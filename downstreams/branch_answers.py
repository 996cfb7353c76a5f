"""From what branches give for test to tables of predictions, and marks on the branches that a task allows.

All of test is answered, and then what has the label is kept: so an answer depends on no label at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from commons.corridors.predictions import Further
from commons.corridors.problem import Fold, Problem, Target
from commons.marks import SENTENCES, WITHOUT
from downstreams import branches
from downstreams.assembly import fold_rows
from downstreams.branches import Label, OfClasses, OfLevels


@torch.no_grad()
def shares(own: OfClasses | OfLevels, label: Label, vectors: np.ndarray, device: torch.device) -> np.ndarray:
    """(n, C) probabilities of the target's classes or levels, from vectors (n, H)."""
    given = own.probabilities(torch.as_tensor(vectors, device=device)).cpu().numpy()
    return branches.of_its_own_levels(label, given)


def of_classes(label: Label, problem: Problem, fold: Fold, seed: int, given: np.ndarray) -> Further:
    """The answers of a branch of classes or levels, from probabilities (n, C) of all test utterances of a fold."""
    target = label.target
    there = branches.scored_rows(problem, target, fold.test)
    rows = fold.test[there]
    table = fold_rows(problem.ids, fold.name, seed, rows, target.values[rows], target.classes, given[there])
    return _further(target, table)


def of_sequences(label: Label, problem: Problem, fold: Fold, seed: int, given: Sequence[np.ndarray]) -> Further:
    """The answers of a branch of symbols, from those of all n test utterances of a fold."""
    target = label.target
    there = branches.scored_rows(problem, target, fold.test)
    rows = fold.test[there]

    def text(symbols: np.ndarray) -> str:
        return " ".join(target.classes[symbol] for symbol in symbols)

    facts = {"id": problem.ids[rows], "fold": fold.name, "seed": seed}
    answers = [text(own) for own, kept in zip(given, there, strict=True) if kept]
    return _further(
        target, pd.DataFrame(facts | {"target": [text(target.values[row]) for row in rows], "prediction": answers})
    )


def _further(target: Target, table: pd.DataFrame) -> Further:
    return Further(target.name, branches.BRANCHES[target.name], target.classes, target.places, table)


def marks(problem: Problem, weights: dict[str, float], labels: Sequence[Sequence[Label]]) -> tuple[str, ...]:
    """`without:BRANCH` for branches that no fold had, and whether sentences of test were trained on.

    Args:
        weights: of the branches' losses.
        labels: the branches that each fold had.
    """
    learnt = {label.target.name for several in labels for label in several}
    made = [f"{WITHOUT}:{name}" for name, weight in weights.items() if weight > 0 and name not in learnt]
    spoken = next((target for target in problem.also if target.name == "phonemes"), None)
    if spoken is not None and "phonemes" in learnt and any(_shares(spoken, fold) for fold in problem.folds):
        made.append(SENTENCES)
    return tuple(sorted(made))


def _shares(target: Target, fold: Fold) -> bool:
    """Whether a sequence of test is in train or dev as well."""
    mask = target.mask
    test, rest = (
        {tuple(target.values[row].tolist()) for row in rows if mask[row]}
        for rows in (fold.test, np.r_[fold.train, fold.dev])
    )
    return bool(test & rest)
