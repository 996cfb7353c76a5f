"""Control tasks, `gender:`, `sentence:` and `speaker:`: what a representation holds beside emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from commons.corridors.problem import Fold
from commons.metrics import CLASSIFICATION
from tasks import definition
from tasks.definition import Definition, FoldRule
from tasks.derived.kinds import Derived
from tasks.errors import TaskError
from tasks.splits import folds, problems
from tasks.task import Task, finish

PARTS = 5  # test folds of `speaker:`


def column(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task's utterances and folds, with a column of its table as the target.

    Turns of a conversation are single utterances here: neither the next turn nor the dialogue plays a part.

    Raises:
        TaskError: the corpus lacks the column, it has one value only, or a fold's train lacks one.
    """
    (base,), target = loaded, derived.kind
    values = _values(derived, base, target)
    wanted = definition.varied(
        base.definition,
        name=derived.name,
        version=derived.version,
        title=f"{target} on {base.name}",
        target=target,
        labels={value: (value,) for value in values},
        drop=(),
        published=(),
        pooled_only=False,
        kind=CLASSIFICATION,
        downstream="probe",
        next_turn=False,
        also=_others(base, target),
    )
    targets = problems.targets(base.utterances, wanted)
    problem = replace(
        base.problem,
        kind=CLASSIFICATION,
        causal=False,
        classes=tuple(values),
        targets=targets,
        folds=tuple(problems.with_targets(fold, targets) for fold in base.problem.folds),
    )
    return finish(base.reading, wanted, problem, [])


def speaker(derived: Derived, loaded: Sequence[Task]) -> Task:
    """Who speaks, on folds in which train and test share speakers and no sentences.

    Sentences are dealt into five test folds, and inner groups never split a sentence; so a speaker cannot be recognised
    by the text alone. Where the corpus has no column of sentences, recordings are dealt, and the task is marked.
    Intervals are over sentences, or over utterances. Speakers that the train part of a fold would lack are left out and
    counted.

    Raises:
        TaskError: the corpus has no column of speakers, or fewer than two speakers are left.
    """
    (base,) = loaded
    _values(derived, base, "speaker")
    rows, ids = base.utterances, base.problem.ids
    sentences = "sentence" in rows and rows["sentence"].nunique() > 1
    # Equal recordings stay together.
    units = problems.text(rows["sentence"] if sentences else rows.get("samples_sha256", rows.index.to_series()))
    speakers = problems.text(rows["speaker"])
    there = rows["speaker"].notna().to_numpy() & (rows["sentence"].notna().to_numpy() if sentences else True)
    part = _parts(units, speakers, whole=sentences)
    asked = sorted({s for s in speakers[there].tolist() if len(set(part[there & (speakers == s)])) > 1})
    if len(asked) < 2:
        raise TaskError(f"{derived.name}: {len(asked)} speakers are in two or more folds; two speakers are needed")
    targets = np.array([asked.index(s) if ok and s in asked else -1 for s, ok in zip(speakers, there, strict=True)])
    unit = "sentence" if sentences else "utterance"
    wanted = _speaker_definition(derived, base, asked, unit)
    problem = replace(
        base.problem,
        classes=tuple(asked),
        targets=targets,
        folds=_folds(unit, part, units, targets, ids),
        groups=units if sentences else ids,
        speaker=speakers,
    )
    left = len(set(speakers[there])) - len(asked)
    notes = [f"left out {left} speakers, whom the train part of a fold would lack"] if left else []
    if not sentences:
        notes.append("the corpus has no column of sentences: the same text may be in train and test")
    made = finish(base.reading, wanted, problem, notes)
    return made if sentences else replace(made, marks=(*made.marks, "sentences_unknown"))


def _speaker_definition(derived: Derived, base: Task, speakers: Sequence[str], unit: str) -> Definition:
    """The definition of `speaker:`, with folds and intervals by `unit`: sentence or utterance."""
    return definition.varied(
        base.definition,
        name=derived.name,
        version=derived.version,
        title=f"speaker on {base.name}",
        target="speaker",
        labels={value: (value,) for value in speakers},
        drop=(),
        published=(),
        pooled_only=False,
        speakers_shared=True,
        group_by=unit,
        folds=FoldRule(by=unit, k=PARTS, inner="sentence" if unit == "sentence" else ""),
        dev="fifth",
        also=_others(base, "speaker"),
    )


def _others(base: Task, target: str) -> tuple[str, ...]:
    """The base's further targets without the new target."""
    return tuple(column for column in base.definition.also if column != target)


def _values(derived: Derived, base: Task, target: str) -> list[str]:
    """The values of a column. Raises TaskError where the column is absent or has one value only."""
    if target not in base.utterances:
        raise TaskError(f"{derived.name}: {base.corpus.title} has no column {target}")
    values = sorted(base.utterances[target].dropna().unique())
    if len(values) < 2:
        raise TaskError(f"{derived.name}: {base.corpus.title} has one {target} only ({', '.join(values)})")
    return values


def _parts(units: np.ndarray, speakers: np.ndarray, whole: bool) -> np.ndarray:
    """(N,) the test fold of each row; rows of one unit are in one fold.

    Sentences (`whole`) are dealt into folds of similar size; recordings are dealt for each speaker, in a pseudo-random
    order.
    """
    part = np.zeros(len(units), dtype=np.int64)
    if whole:
        for k, rows in enumerate(folds.leave_out("sentence", units, PARTS).values()):
            part[rows] = k
        return part
    place: dict[str, int] = {}
    for speaker in sorted(set(speakers)):
        own = np.unique(units[speakers == speaker])
        for k, i in enumerate(folds.shuffled(np.arange(len(own)), own, speaker)):
            place.setdefault(own[i], k % PARTS)
    return np.array([place[unit] for unit in units])


def _folds(unit: str, part: np.ndarray, units: np.ndarray, targets: np.ndarray, ids: np.ndarray) -> tuple[Fold, ...]:
    """A fold for each part, of the rows with a target."""
    asked = targets >= 0
    return tuple(
        _fold(
            f"{unit} group {k + 1}",
            np.flatnonzero(asked & (part != k)),
            np.flatnonzero(asked & (part == k)),
            units,
            targets,
            ids,
        )
        for k in np.unique(part[asked])
    )


def _fold(
    name: str, rest: np.ndarray, test: np.ndarray, units: np.ndarray, targets: np.ndarray, ids: np.ndarray
) -> Fold:
    """A fold. Inner groups are whole units where three or more are left, else utterances; dev is a fifth of train."""
    if len(set(units[rest])) < 3:
        units = ids
    dev = folds.stratified_fifth(rest, ids, targets, name)
    return Fold(name, np.setdiff1d(rest, dev), dev, test, folds.inner_groups(rest, units, targets))
