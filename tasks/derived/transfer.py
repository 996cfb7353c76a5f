"""`transfer:A,B` and `across-languages:SUITE,T`: tasks that train on some corpora and test on another.

The classes are those that all corpora share under the label algebra. Layer, strength, dev part and inner groups are
chosen on utterances of the sources only; of the target, only test utterances are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from commons.corridors.problem import Fold, Problem
from tasks import definition
from tasks.definition import Definition, FoldRule
from tasks.derived import joining
from tasks.derived.classes import Counts, explained, regrouped
from tasks.derived.kinds import ACROSS, Derived
from tasks.errors import TaskError
from tasks.reading import Reading
from tasks.splits import folds, problems
from tasks.task import Task, finish


@dataclass(frozen=True)
class _Part:
    """The rows that one corpus contributes, with their classes among the shared ones.

    Attributes:
        units: (n,) values that inner groups never split; groups: (n,) units of resampling.
        merged, excluded, notes: classes that were merged and left out, from `regrouped` and `explained`.
    """

    task: Task
    rows: pd.DataFrame
    targets: np.ndarray
    units: np.ndarray
    speakers: np.ndarray
    groups: np.ndarray
    merged: Counts
    excluded: dict[str, int]
    notes: list[str]


def joined(derived: Derived, loaded: Sequence[Task]) -> Task:
    """A task that trains on the corpora of all sources and tests on the test utterances of the first loaded task.

    Corpora of one family share speakers. Then the target's own folds are kept, and each trains on the sources without
    the speakers of its test part (mark `same_family`).

    In `transfer-standardised`, test features are standardised by their own statistics instead of the source's, which
    uses unlabelled features of the target (mark `target_features`).

    `across-languages` pools its sources. Its inner groups are languages, so that choices are made for a language that
    is not trained on. Further targets (`also`) are dropped: their values may differ in meaning between corpora.

    Raises:
        TaskError: too few speakers are left to train on, the speakers of corpora of one family are unknown or cannot be
            matched, or a recording is in train and test.
    """
    target, *sources = loaded
    wanted = derived.classes
    parts = [_part(each, wanted, target) for each in loaded]
    tested = parts[0]
    rows = joining.together(loaded, [part.rows for part in parts])
    same_family = any(source.family == target.family for source in sources)
    if same_family and derived.kind == ACROSS:
        raise TaskError(f"{derived.name}: {target.name} holds recordings of {target.known_corpus}, which trains")
    joining.check_kin(derived.name, loaded)
    dev = "fifth" if derived.kind == ACROSS else "speakers"  # a dev part must not take a whole language
    asked = _definition(derived, tested, sources, dev, same_family)
    standardised = derived.kind == "transfer-standardised"
    problem = Problem(
        ids=problems.text(rows.index),
        kind="classification",
        classes=wanted,
        targets=np.concatenate([part.targets for part in parts]),
        folds=_folds(derived, parts, problems.text(rows.index), same_family, dev),
        groups=np.concatenate([part.groups for part in parts]),
        speaker=np.concatenate([part.speakers for part in parts]),
        select_on=asked.select_on,
        test_standardised=standardised,
    )
    notes = [line for part in parts for line in part.notes]
    notes += [f"{'tests' if part is tested else 'trains'} on {_sizes(part, wanted)}" for part in parts]
    if same_family:
        notes.append(f"the same speakers in both corpora: folds of {target.name}, trained without its test speakers")
    made = finish(_reading(parts, rows), asked, problem, notes, official=False)
    marks = list(made.marks)
    if any("speaker~label" in part.task.marks for part in parts) and "speaker~label" not in marks:
        marks.append("speaker~label")
    marks += ["same_family"] * same_family + ["target_features"] * standardised
    return replace(made, marks=tuple(marks))


def _definition(derived: Derived, tested: _Part, sources: Sequence[Task], dev: str, same_family: bool) -> Definition:
    return definition.varied(
        tested.task.definition,
        name=derived.name,
        version=derived.version,
        title=_title(derived, tested.task, sources),
        labels={name: tuple(held) for name, held in tested.merged.items()},
        drop=(),
        where={},
        folds=FoldRule(by="speaker" if same_family else "partition"),
        dev=dev,
        published=(),
        speakers_shared=False,
        also=(),
    )


def _folds(derived: Derived, parts: Sequence[_Part], ids: np.ndarray, same_family: bool, dev: str) -> tuple[Fold, ...]:
    """One fold that tests all of the target; in one family, the target's folds, trained without their test speakers."""
    tested, *trained = parts
    n, rows = len(tested.rows), np.arange(len(ids))
    targets, speakers = (np.concatenate([getattr(part, of) for part in parts]) for of in ("targets", "speakers"))
    units = np.concatenate([tested.units, *(_units(trained) if derived.kind == ACROSS else (p.units for p in trained))])
    built = []
    for name, test in (_tests(tested) if same_family else {"test": rows[:n]}).items():
        known = np.isin(speakers, speakers[test]) if same_family else np.zeros(len(ids), dtype=bool)
        partition = np.where(np.isin(rows, test), "test", np.where((rows >= n) & ~known, "train", ""))
        built.append(_fold(derived.name, name, partition, ids, units, targets, dev))
    return tuple(built)


def _units(trained: Sequence[_Part]) -> list[np.ndarray]:
    """For each part, (n,) its language, which inner groups of across-languages never split."""
    languages = _languages([part.task.corpus.language for part in trained])
    return [np.full(len(part.rows), language) for part, language in zip(trained, languages, strict=True)]


def _part(task: Task, wanted: tuple[str, ...], target: Task) -> _Part:
    """Utterances of wanted classes: of the target those in test, of a source those in any part of its folds."""
    targets, merged, excluded = regrouped(task, wanted)
    own = [fold.test if task is target else np.r_[fold.train, fold.dev, fold.test] for fold in task.problem.folds]
    used = np.zeros(len(targets), dtype=bool)
    used[np.concatenate(own)] = True
    kept = np.flatnonzero(used & (targets >= 0))
    rows, rule = task.utterances.iloc[kept].copy(), task.definition.folds
    speakers = task.problem.speaker[kept]
    units = speakers if rule.inner == "speaker" else problems.text(rows[rule.inner] if rule.inner else rows.index)
    groups = task.problem.groups[kept]
    if task is not target:
        rows.index = joining.prefixed_ids(task.corpus.name, rows)
    if task.family != target.family:
        joining.prefix_names(task.family, rows)
        speakers, units, groups = (joining.prefixed(task.family, values) for values in (speakers, units, groups))
    notes = explained(task, merged, excluded)
    return _Part(task, rows, targets[kept], units, speakers, groups, merged, excluded, notes)


def _tests(part: _Part) -> dict[str, np.ndarray]:
    """Rows of the part by the names of its task's test folds."""
    row = {utterance: i for i, utterance in enumerate(part.rows.index)}
    ids = part.task.problem.ids
    tests = {f.name: [row[u] for u in ids[f.test].tolist() if u in row] for f in part.task.problem.folds}
    return {name: np.array(rows, dtype=np.int64) for name, rows in tests.items() if rows}


def _languages(corpora: Sequence[str]) -> list[str]:
    """The unit of each corpus, from languages such as "de" or "zh/en": corpora that share a language are one unit."""
    units: list[set[str]] = []
    for languages in (set(corpus.split("/")) for corpus in corpora):
        joined = [unit for unit in units if unit & languages]
        units = [unit for unit in units if not unit & languages] + [languages.union(*joined)]
    return ["/".join(sorted(next(unit for unit in units if unit & set(c.split("/"))))) for c in corpora]


def _fold(
    task: str, name: str, partition: np.ndarray, ids: np.ndarray, units: np.ndarray, targets: np.ndarray, dev: str
) -> Fold:
    if len(set(units[partition == "train"])) < 2:
        raise TaskError(f"{task}, fold {name!r}: one speaker or group is left to train on; choosing a layer needs two")
    (fold,) = folds.official(partition, ids, units, np.ones(len(ids), dtype=bool), targets, dev)
    return replace(fold, name=name)


def _title(derived: Derived, target: Task, sources: Sequence[Task]) -> str:
    by_own = ", whose features are standardised by themselves" * (derived.kind == "transfer-standardised")
    if derived.kind == ACROSS:
        languages = sorted({task.corpus.language for task in sources})
        return f"{target.name}, trained on {len(sources)} corpora in {', '.join(languages)}"
    return f"trained on {sources[0].name}, tested on {target.name}{by_own}"


def _sizes(part: _Part, wanted: Sequence[str]) -> str:
    sizes = Counter(part.targets.tolist())
    who = f" of {part.rows['speaker'].nunique()} speakers" if "speaker" in part.rows else ""
    listed = ", ".join(f"{sizes[i]} {name}" for i, name in enumerate(wanted))
    return f"{part.task.name}: {len(part.rows)} utterances{who} ({listed})"


def _reading(parts: Sequence[_Part], rows: pd.DataFrame) -> Reading:
    """The reading of the joined corpora, with the facts of the target's corpus."""
    merged, excluded = ({part.task.name: getattr(part, of) for part in parts} for of in ("merged", "excluded"))
    return joining.reading([part.task for part in parts], parts[0].task.corpus, rows, merged, excluded)
