"""What branches give: tables of predictions on test, answers of a fitted head, marks on what a task allows.

All of test is answered, and then what has the label is kept: so an answer depends on no label at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
import torch
from pydantic import JsonValue

from commons.corridors.fitted import Fitted, FurtherAnswers
from commons.corridors.predictions import Further
from commons.corridors.problem import Fold, Problem, Target
from commons.marks import SENTENCES, WITHOUT
from downstreams import branches
from downstreams.assembly import fold_rows
from downstreams.branches import Form, Label, OfClasses, OfLevels, OfSymbols
from downstreams.multi_task import MultiTaskHead
from downstreams.shelf import State


@torch.no_grad()
def shares(own: OfClasses | OfLevels, form: Form, vectors: np.ndarray, device: torch.device) -> np.ndarray:
    """(n, C) probabilities of the target's classes or levels, from vectors (n, H)."""
    given = own.probabilities(torch.as_tensor(vectors, device=device)).cpu().numpy()
    return branches.of_its_own_levels(form, given)


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

    facts = {"id": problem.ids[rows], "fold": fold.name, "seed": seed}
    answers = [_text(own, target.classes) for own, kept in zip(given, there, strict=True) if kept]
    true = [_text(target.values[row], target.classes) for row in rows]
    return _further(target, pd.DataFrame(facts | {"target": true, "prediction": answers}))


def of_each(
    labels: Sequence[Label], problem: Problem, fold: Fold, seed: int, given: Mapping[str, object]
) -> list[Further]:
    """The answers of all branches for the test utterances that have the labels, from what `kept` gave."""
    several = []
    for label in labels:
        answers = given[label.target.name]
        if isinstance(answers, torch.Tensor):
            several.append(of_classes(label, problem, fold, seed, answers.numpy()))
        else:
            symbols = [np.array(one, dtype=np.int64) for one in cast(list[list[int]], answers)]
            several.append(of_sequences(label, problem, fold, seed, symbols))
    return several


def kept(
    network: MultiTaskHead,
    labels: Sequence[Label],
    vectors: np.ndarray,
    device: torch.device,
    decoded: Callable[[OfSymbols], list[np.ndarray]],
) -> State:
    """What the branches give for n test utterances, by target: probabilities (n, C), or lists of symbols.

    Arguments as of `of_fitted`.
    """
    made: State = {}
    for label in labels:
        own = network.branch(label.target.name)
        if isinstance(own, OfSymbols):
            made[label.target.name] = [one.tolist() for one in decoded(own)]
        else:
            made[label.target.name] = torch.as_tensor(shares(own, label.form, vectors, device))
    return made


def _text(symbols: np.ndarray, names: tuple[str, ...]) -> str:
    return " ".join(names[symbol] for symbol in symbols)


def _further(target: Target, table: pd.DataFrame) -> Further:
    return Further(target.name, branches.BRANCHES[target.name], target.classes, target.places, table)


def facts_of(forms: Sequence[Form]) -> dict[str, JsonValue]:
    """What a fitted head's facts say of its branches; nothing where there are none."""
    several: list[JsonValue] = [{"name": one.name, "classes": list(one.classes), "levels": one.levels} for one in forms]
    return {"branches": several} if several else {}


def forms_of(own: Fitted) -> list[Form]:
    """The branches that a fitted head has; none where its facts name none."""
    several = cast(list[dict[str, JsonValue]], own.facts.get("branches", []))
    return [Form(str(one["name"]), tuple(cast(list[str], one["classes"])), cast(int, one["levels"])) for one in several]


def of_fitted(
    network: MultiTaskHead,
    forms: Sequence[Form],
    vectors: np.ndarray,
    device: torch.device,
    decoded: Callable[[OfSymbols], list[np.ndarray]],
) -> tuple[FurtherAnswers, ...]:
    """The answers of all branches for n utterances.

    Args:
        vectors: (n, H), as the branches share them.
        decoded: gives the symbols of each utterance, by a branch.
    """
    made = []
    for form in forms:
        own = network.branch(form.name)
        if isinstance(own, OfSymbols):
            texts = tuple(_text(symbols, form.classes) for symbols in decoded(own))
            made.append(FurtherAnswers(form.name, form.classes, sequences=texts))
        else:
            made.append(FurtherAnswers(form.name, form.classes, shares(own, form, vectors, device)))
    return tuple(made)


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
