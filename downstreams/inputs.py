"""What every head asks of the features and the problem that it is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from downstreams.errors import DownstreamError


def fitting(rows: Any, problem: Any, what: str) -> Any:
    """`rows` themselves; raises DownstreamError where they are none, or not one for each utterance."""
    if rows is None or len(rows) != len(problem.ids):
        raise DownstreamError(
            f"the head reads {what} of {len(problem.ids)} utterances, and was given "
            f"{'none' if rows is None else len(rows)}; extract what `needs` names, for the same task."
        )
    return rows


def check_finite(rows: np.ndarray, ids: np.ndarray, what: str) -> None:
    """Raises DownstreamError that names the first utterance with a number that is not finite; row i is ids[i]'s."""
    fine = np.isfinite(rows)
    if not fine.all():
        bad = ids[~fine.reshape(len(rows), -1).all(1)][0]
        raise DownstreamError(f"{what} has features that are not finite, of utterance '{bad}' first.")


def check_dev(problem: Any, head: str) -> None:
    """Raises DownstreamError where a fold has no dev part, which this head needs to choose on."""
    for fold in problem.folds:
        if not len(fold.dev):
            raise DownstreamError(
                f"fold '{fold.name}' has no dev part, on which {head} chooses; give the task a dev rule, or use probe."
            )
