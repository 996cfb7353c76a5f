"""`unified:SUITE` trains on all corpora of a suite and tests each; `alone:SUITE` trains each corpus by itself.

The classes are the union, and an utterance may have those of its own corpus alone (`Problem.allowed`): else a head
would learn to tell corpora apart. Speakers of all corpora are dealt into five joint folds, without labels: the speaker
with most utterances of a family comes first, equals by the hash of their names, and each goes to the fold that has
fewest utterances of the family, then of all. A speaker that corpora of one family share is one speaker.

Both tasks have the same utterances and test folds, so that their predictions can be compared one by one. A fold of
`unified` tests all corpora; one of `alone` tests one corpus and is trained on it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from commons.corridors.problem import Fold, Problem
from commons.metrics import CLASSIFICATION
from tasks import definition, label_algebra, spellings
from tasks.corpora import Corpus
from tasks.definition import Definition, FoldRule
from tasks.derived import joining
from tasks.derived.kinds import Derived
from tasks.errors import TaskError
from tasks.splits import folds, problems
from tasks.task import Task, finish

FOLDS = 5
FEWEST = 3  # speakers of a corpus that is trained alone: one is tested, and two are left to choose on
METRICS = ("WA", "UA", "WF1", "macro_F1")
UNIT = "speaker"  # of resampling, where corpora differ in it


@dataclass(frozen=True)
class _Part:
    """The labelled rows of one corpus: (n,) classes among the union, speakers and groups of resampling."""

    task: Task
    corpus: str
    rows: pd.DataFrame
    targets: np.ndarray
    speakers: np.ndarray
    groups: np.ndarray


def joined(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The task on the utterances of all loaded tasks.

    Raises:
        TaskError: too few speakers are left to train on, or a fold's train lacks a class that its test part has; or the
            speakers of corpora of one family cannot be matched, or a recording is in train and test.
    """
    joining.check_kin(derived.name, loaded)
    classes = label_algebra.union([task.problem.classes for task in loaded])
    parts = [_part(task, classes) for task in loaded]
    rows = joining.together(loaded, [part.rows for part in parts])
    corpora = np.repeat([part.corpus for part in parts], [len(part.rows) for part in parts])
    own = {part.corpus: tuple(classes[i] for i in np.unique(_named(part.task, classes))) for part in parts}
    rows["corpus"] = corpora
    asked = _definition(derived, loaded, parts, classes)
    ids, targets = problems.text(rows.index), np.concatenate([part.targets for part in parts])
    speakers, groups = (np.concatenate([getattr(part, of) for part in parts]) for of in ("speakers", "groups"))
    dealt = deal(speakers, np.repeat([part.task.family for part in parts], [len(p.rows) for p in parts]))
    built, notes = _folds(derived, corpora, dealt, ids, speakers, targets)
    problem = Problem(
        ids=ids,
        kind=CLASSIFICATION,
        classes=classes,
        targets=targets,
        folds=built,
        groups=groups,
        speaker=speakers,
        select_on=asked.select_on,
        sentence=problems.text(rows["sentence"].fillna("")) if "sentence" in rows else None,
        allowed=np.array([[name in own[corpus] for name in classes] for corpus in corpora]),
    )
    tested = np.isin(np.arange(len(ids)), np.concatenate([fold.test for fold in built]))
    notes = [*notes, *(_sizes(part, dealt[corpora == part.corpus]) for part in parts)]
    excluded = {task.name: task.counts.get("excluded", {}) for task in loaded}
    merged = {task.name: task.counts.get("merged", {}) for task in loaded}
    reading = joining.reading(loaded, _corpus(parts), rows, merged, excluded)
    asked_of = [part for part in parts if tested[corpora == part.corpus].any()]
    reading = replace(
        reading,
        same_as="",
        joined={part.corpus: own[part.corpus] for part in asked_of},
        known=tuple(dict.fromkeys(part.task.known_corpus for part in asked_of)),
    )
    made = finish(reading, asked, problem, notes)
    inherited = [m for m in ("speaker~label", "speakers_unknown") if any(m in task.marks for task in loaded)]
    return replace(made, marks=tuple(dict.fromkeys([*made.marks, *inherited])))


def deal(speakers: np.ndarray, families: np.ndarray) -> np.ndarray:
    """(N,) the joint fold of each utterance, 0 to 4: whole speakers, each family's spread as evenly as it can be.

    Args:
        speakers: (N,) names that are unique over families; families: (N,) the family of each utterance.
    """
    fold = np.zeros(len(speakers), dtype=np.int64)
    everything = np.zeros(FOLDS, dtype=np.int64)
    for family in sorted(set(families)):
        names, sizes = np.unique(speakers[families == family], return_counts=True)
        here = np.zeros(FOLDS, dtype=np.int64)
        for index in sorted(range(len(names)), key=lambda i: (-sizes[i], _digest(str(names[i])))):
            smallest = min(range(FOLDS), key=lambda k: (here[k], everything[k], k))
            fold[speakers == names[index]] = smallest
            here[smallest] += sizes[index]
            everything[smallest] += sizes[index]
    return fold


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _named(task: Task, classes: Sequence[str]) -> np.ndarray:
    """The index in the union of each class of a task."""
    return np.array([classes.index(spellings.noun(name)) for name in task.problem.classes])


def _part(task: Task, classes: Sequence[str]) -> _Part:
    """All utterances of a task that have a class; names of speakers and the like stay apart from those of others."""
    kept = np.flatnonzero(task.problem.has_target)
    rows, family = task.utterances.iloc[kept].copy(), task.family
    rows.index = joining.prefixed_ids(task.corpus.name, rows)
    joining.prefix_names(family, rows)
    speakers, groups = (joining.prefixed(family, of[kept]) for of in (task.problem.speaker, task.problem.groups))
    targets = _named(task, classes)[task.problem.targets[kept]]
    return _Part(task, task.corpus.name, rows, targets, speakers, groups)


def _folds(
    derived: Derived, corpora: np.ndarray, dealt: np.ndarray, ids: np.ndarray, speakers: np.ndarray, targets: np.ndarray
) -> tuple[tuple[Fold, ...], list[str]]:
    """Five folds of all corpora; of `alone`, five of each corpus that has speakers enough, and a note on the others.

    The test folds of a corpus are the same in both: what a joint fold holds of it.
    """
    if derived.kind == "unified":
        tests = {f"joint fold {k + 1}": np.flatnonzero(dealt == k) for k in range(FOLDS)}
        return folds.build(_filled(tests), ids, speakers, targets), []
    built: list[Fold] = []
    notes = []
    for corpus in dict.fromkeys(corpora.tolist()):
        own = corpora == corpus
        if (number := len(set(speakers[own]))) < FEWEST:
            notes.append(f"{corpus} is left out: it has {number} speakers, and training it alone needs {FEWEST}")
            continue
        tests = {f"{corpus} joint fold {k + 1}": np.flatnonzero(own & (dealt == k)) for k in range(FOLDS)}
        built += folds.build(_filled(tests), ids, speakers, targets)
    if not built:
        raise TaskError("\n  ".join([f"{derived.name}: no corpus has speakers enough", *notes]))
    return tuple(built), notes


def _filled(tests: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Test folds that hold utterances: a corpus of few speakers has less than five."""
    return {name: rows for name, rows in tests.items() if len(rows)}


def _definition(derived: Derived, loaded: Sequence[Task], parts: Sequence[_Part], classes: Sequence[str]) -> Definition:
    names = ", ".join(task.name for task in loaded)
    how = "trained on all, tested on each" if derived.kind == "unified" else "each trained alone, on joint folds"
    units = {task.definition.group_by for task in loaded}
    return definition.new(
        name=derived.name,
        version=derived.version,
        title=f"{names}: {how}",
        corpus="+".join(part.corpus for part in parts),
        kind=CLASSIFICATION,
        labels={name: (name,) for name in classes},
        folds=FoldRule(by="speaker", k=FOLDS),
        dev="next_folds",
        metrics=METRICS,
        headline="UA",
        select_on="UA",
        downstream="probe",
        pooled_only=any(task.definition.pooled_only for task in loaded),
        group_by=units.pop() if len(units) == 1 else UNIT,
        also=tuple(dict.fromkeys(column for task in loaded for column in task.definition.also)),
    )


def _corpus(parts: Sequence[_Part]) -> Corpus:
    """Facts of all corpora as one."""
    several = [part.task.corpus for part in parts]
    languages = sorted({language for one in several for language in one.language.split("/")})
    return replace(
        several[0],
        name="+".join(part.corpus for part in parts),
        title=" + ".join(one.title for one in several),
        language="/".join(languages),
        family="+".join(dict.fromkeys(part.task.family for part in parts)),
        synthetic=any(one.synthetic for one in several),
        flawed={},
    )


def _sizes(part: _Part, dealt: np.ndarray) -> str:
    """A line on what a corpus contributes, and how its speakers lie in the folds."""
    count = Counter(dealt[np.unique(part.speakers, return_index=True)[1]].tolist())
    spread = " ".join(str(count[k]) for k in range(FOLDS))
    who = len(np.unique(part.speakers))
    return f"joins {part.corpus}: {len(part.rows)} utterances of {who} speakers, {spread} in the joint folds"
