"""`votes:cremad`: the votes of single annotators as targets, on the task's utterances and folds.

The target of an utterance is the distribution of its annotators over the task's classes; its class, which heads that
read one label train on, is the one of most votes (of equals the task's own label, else the first). Votes for classes
that the task lacks are left out, and utterances of which none is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from commons import votes
from commons.corridors.utterances import VOTES
from commons.metrics import DISTRIBUTION
from tasks import definition
from tasks.derived.kinds import Derived
from tasks.errors import TaskError
from tasks.splits import problems
from tasks.task import Task, finish

METRICS = ("JS", "KL", "cosine", "votes_Brier", "threshold_F1", "WA", "UA", "macro_F1")


def distribution(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task with the shares of its annotators' votes as targets.

    Raises:
        TaskError: the corpus has no votes, a vote is negative, or no utterance has a vote for a class of the task.
    """
    (base,) = loaded
    counts, outside = counted(derived, base)
    shares = votes.shares(counts)
    known = ~np.isnan(shares).any(1) & base.problem.has_target
    if not known.any():
        raise TaskError(
            f"{derived.name}: the votes of every utterance sum to nothing for {', '.join(base.problem.classes)}; are "
            f"the columns {VOTES}<class> filled in, with the task's own classes?"
        )
    wanted = definition.varied(
        base.definition,
        name=derived.name,
        version=derived.version,
        title=f"{base.definition.title}: votes of annotators",
        kind=DISTRIBUTION,
        metrics=METRICS,
        headline="JS",
        select_on="WA",
        published=(),
        downstream="probe",
    )
    targets = np.where(known, _majority(shares, base.problem.targets, known), -1)
    rows = base.utterances.drop(columns=[name for name in base.utterances if str(name).startswith(VOTES)])
    columns = pd.DataFrame(shares, rows.index, [f"{VOTES}{name}" for name in base.problem.classes])
    problem = replace(
        base.problem,
        kind=DISTRIBUTION,
        targets=targets,
        votes=np.where(known[:, None], shares, np.nan),
        folds=tuple(problems.with_targets(fold, targets) for fold in base.problem.folds),
        select_on="WA",
    )
    notes = ["a head that reads one label trains on the class of most votes, and is scored against the votes too"]
    gone = int((base.problem.has_target & ~known).sum())
    if gone:
        notes.append(f"left out {gone} utterances whose votes sum to nothing for these classes")
    if outside:
        notes.append(f"votes for other classes are left out: {', '.join(f'{n:g} {c}' for c, n in outside.items())}")
    return finish(replace(base.reading, utterances=rows.join(columns)), wanted, problem, notes)


def counted(derived: Derived, base: Task) -> tuple[np.ndarray, dict[str, float]]:
    """(N, C) votes for the task's classes, and how many went to classes that it lacks.

    Raises:
        TaskError: the corpus has no votes, or a vote is negative.
    """
    rows = base.utterances
    given = {str(name).removeprefix(VOTES): rows[name].fillna(0.0).to_numpy(float)
             for name in rows if str(name).startswith(VOTES)}  # fmt: skip
    if not given:
        raise TaskError(
            f"{derived.name}: {base.corpus.title} has no votes of single annotators (columns {VOTES}<class>); CREMA-D, "
            "IEMOCAP and MSP-Podcast have them where their files of votes are in the copy"
        )
    for name, column in given.items():
        if (column < 0).any():
            raise TaskError(f"{derived.name}: {rows.index[int(column.argmin())]} has {column.min():g} votes for {name}")
    # A vote may be for a class, or for a value that the task counts to one.
    of = {value.casefold(): c for c, values in base.definition.labels.items() for value in values}
    of |= {name.casefold(): name for name in base.definition.labels}
    counts, outside = np.zeros((len(rows), len(base.problem.classes))), dict[str, float]()
    for name, column in given.items():
        if name.casefold() in of:
            counts[:, base.problem.classes.index(of[name.casefold()])] += column
        elif column.sum():
            outside[name] = float(column.sum())
    return counts, outside


def _majority(shares: np.ndarray, own: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N,) the class of most votes; of equals the task's own label, else the first."""
    filled = np.where(known[:, None], shares, 0.0)
    first = filled.argmax(1)
    rows = np.arange(len(own))
    tied = (own >= 0) & (filled[rows, np.maximum(own, 0)] >= filled[rows, first])
    return np.where(tied, own, first)
