"""Controls: what else a representation holds, beside emotion: `gender:`, `sentence:`, `speaker:`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tasks import folds, loading
from tasks.definition import FoldRule
from tasks.derive import Derived
from tasks.errors import TaskError
from tasks.loading import Task
from tasks.problem import Fold

PARTS = 5  # test folds of `speaker:`


def column(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task's utterances and folds, with a column of its table as the target.

    Raises:
        TaskError: the corpus lacks the column, it has one value only, or a fold's train lacks one.
    """
    (base,), name, target = loaded, derived.name, derived.kind
    values = _values(derived, base, target)
    definition = base.definition.model_copy(
        update={
            "name": name,
            "version": derived.version(loaded),
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


def speaker(derived: Derived, loaded: Sequence[Task]) -> Task:
    """Who speaks, on folds of its own: speakers are in train and test, sentences are not.

    Whole sentences are dealt into five test folds (recordings, where the corpus does not tell sentences: marked), and
    held out in the inner groups; so a voice must be known by more than what it said. Intervals are over sentences, or
    over utterances. Speakers that a fold's train would lack are left out and counted.

    Raises:
        TaskError: the corpus does not tell speakers, or fewer than two can be asked for.
    """
    (base,), name = loaded, derived.name
    _values(derived, base, "speaker")
    rows, ids = base.utterances, base.problem.ids
    told = "sentence" in rows and rows["sentence"].nunique() > 1
    # Equal recordings stay together.
    units = loading.text(rows["sentence" if told else "samples_sha256"])
    speakers = loading.text(rows["speaker"])
    there = rows["speaker"].notna().to_numpy() & (rows["sentence"].notna().to_numpy() if told else True)
    part = _parts(units, speakers, whole=told)
    asked = sorted({s for s in speakers[there].tolist() if len(set(part[there & (speakers == s)])) > 1})
    if len(asked) < 2:
        raise TaskError(f"{name}: {len(asked)} speakers say enough to be known again elsewhere; two are needed")
    targets = np.array([asked.index(s) if ok and s in asked else -1 for s, ok in zip(speakers, there, strict=True)])
    built = []
    for k in np.unique(part[targets >= 0]):
        test, rest = (np.flatnonzero((targets >= 0) & rows) for rows in (part == k, part != k))
        built.append(_fold(f"{'sentence' if told else 'utterance'} group {k + 1}", rest, test, units, targets, ids))
    definition = base.definition.model_copy(
        update={
            "name": name,
            "version": derived.version(loaded),
            "title": f"speaker on {base.name}",
            "target": "speaker",
            "labels": {value: (value,) for value in asked},
            "drop": (),
            "published": (),
            "pooled_only": False,
            "speakers_shared": True,
            "group_by": "sentence" if told else "utterance",
            "folds": FoldRule(by="sentence" if told else "utterance", k=PARTS, inner="sentence" if told else ""),
            "dev": "fifth",
        }
    )
    problem = replace(
        base.problem,
        classes=tuple(asked),
        targets=targets,
        folds=tuple(built),
        groups=units if told else ids,
        speaker=speakers,
    )
    left = len(set(speakers[there])) - len(asked)
    notes = [f"left out {left} speakers, of whom a fold would have nothing to train on"] if left else []
    if not told:
        notes.append("the corpus tells no sentences: what is said may be in train and test")
    task = loading.finish(base.reading, definition, problem, notes)
    return task if told else replace(task, marks=(*task.marks, "sentences_unknown"))


def _values(derived: Derived, base: Task, target: str) -> list[str]:
    """The values of a column. Raises TaskError where it is absent or has one only."""
    if target not in base.utterances:
        raise TaskError(f"{derived.name}: {base.corpus.title} does not tell the {target} of its utterances")
    values = sorted(base.utterances[target].dropna().unique())
    if len(values) < 2:
        raise TaskError(f"{derived.name}: {base.corpus.title} has one {target} only ({', '.join(values)})")
    return values


def _parts(units: np.ndarray, speakers: np.ndarray, whole: bool) -> np.ndarray:
    """(N,) the test fold of each row; none splits a unit: units of `whole` sentences are dealt to be alike in size,
    others speaker by speaker, in an order that looks random."""
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


def _fold(
    name: str, rest: np.ndarray, test: np.ndarray, units: np.ndarray, targets: np.ndarray, ids: np.ndarray
) -> Fold:
    """Inner groups of whole units where three or more are left, else of utterances; dev is a fifth of each class."""
    if len(set(units[rest])) < 3:
        units = ids
    dev = folds.stratified_fifth(rest, ids, targets, name)
    return Fold(name, np.setdiff1d(rest, dev), dev, test, folds.inner_groups(rest, units, targets))
