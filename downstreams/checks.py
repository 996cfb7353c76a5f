"""Checks of features and problem that all heads make."""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeVar

import numpy as np

from commons.corridors.problem import Problem
from downstreams.errors import DownstreamError

Rows = TypeVar("Rows", bound=Sized)


def fitting(rows: Rows | None, problem: Problem, what: str) -> Rows:
    """`rows` themselves, one for each utterance. Raises DownstreamError where there are none, or another number."""
    if rows is None or len(rows) != len(problem.ids):
        raise DownstreamError(
            f"the head reads {what} of {len(problem.ids)} utterances, and was given "
            f"{'none' if rows is None else len(rows)}; extract what `needs` names, for the same task."
        )
    return rows


def check_finite(rows: np.ndarray, ids: np.ndarray, what: str) -> None:
    """Raises DownstreamError that names the first utterance with a number that is not finite; row i is ids[i]'s."""
    finite = np.isfinite(rows)
    if not finite.all():
        bad = ids[~finite.reshape(len(rows), -1).all(1)][0]
        raise DownstreamError(f"{what} has features that are not finite, of utterance '{bad}' first.")


def check_dev(problem: Problem, head: str) -> None:
    """Raises DownstreamError where a fold has no dev part, which this head needs to choose on."""
    for fold in problem.folds:
        if not len(fold.dev):
            raise DownstreamError(
                f"fold '{fold.name}' has no dev part, on which {head} chooses; give the task a dev rule, or use probe."
            )


def dialogues(problem: Problem) -> list[np.ndarray]:
    """Rows of each dialogue, in the order of its turns. Raises DownstreamError where the problem has none."""
    if problem.dialogue is None or problem.turn is None:
        raise DownstreamError("the task has no dialogues; ask for a conversation task, or for another head.")
    _, dialogue = np.unique(problem.dialogue, return_inverse=True)
    order = np.lexsort((problem.turn, dialogue))
    return np.split(order, np.flatnonzero(np.diff(dialogue[order])) + 1)
