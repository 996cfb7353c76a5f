"""From a task's name to its utterances, problem and certificate."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks import audit, brought, definition, derive, fold_lists, folds, superb
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.errors import LIST, TaskError, UnknownName
from tasks.metrics import REGRESSION
from tasks.problem import Fold, Problem
from tasks.reading import NAMED, Options, Progress, Reading, read


@dataclass(frozen=True)
class Task:
    """A task that is ready to be asked.

    Attributes:
        utterances: (N rows) the utterance table with `sha256`, `samples_sha256` and `duration` (s).
        problem: targets and folds; row i is row i of `utterances`.
        audit: the certificate; `audit.hash` identifies data, targets and folds.
        counts: utterances, speakers, classes, merged, excluded, bad_files.
        notes: lines worth printing.
    """

    name: str
    definition: Definition
    reading: Reading
    problem: Problem
    audit: audit.Audit
    marks: tuple[str, ...]
    counts: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def corpus(self) -> Corpus:
        """Facts of the corpus."""
        return self.reading.corpus

    @property
    def utterances(self) -> pd.DataFrame:
        """The utterance table."""
        return self.reading.utterances


def load(
    name: str, data: Path, cache: Path, skip_bad: bool, limit: int | None, jobs: int, progress: Progress | None
) -> Task:
    """See `tasks.load`."""
    data, cache = (Path(os.path.abspath(p.expanduser())) for p in (data, cache))
    return _load(name, Options(data, cache, skip_bad, limit, jobs, progress))


def _load(name: str, options: Options) -> Task:
    made = brought.module(name)
    if made:
        return made.load(name, options)
    if ":" in name:
        derived = derive.parse(name, options.data)
        return derived.make([_load(base, options) for base in derived.bases])
    if not definition.path(name).exists():
        raise UnknownName("task", name, (path.stem for path in definition.FOLDER.glob("*.yaml")), LIST)
    wanted = definition.read(definition.path(name))
    reading = read(wanted, options)
    problem, notes = split(wanted, reading, limited=options.limit is not None)
    task = finish(reading, wanted, problem, notes)
    whole = not reading.limited and "partial" not in task.marks and not task.counts["bad_files"]
    differs = fold_lists.check(task.audit, options.cache) if whole else None
    return replace(task, notes=(*task.notes, differs)) if differs else task


def targets(utterances: pd.DataFrame, wanted: Definition) -> np.ndarray:
    """(N,) int64 class of each utterance, -1 where it has none; or its float64 value."""
    if wanted.kind == REGRESSION:
        return utterances[wanted.target].to_numpy(dtype=np.float64)
    index = {value: i for i, values in enumerate(wanted.labels.values()) for value in values}
    return utterances[wanted.target].map(index).fillna(-1).to_numpy(dtype=np.int64)


def of_next_turn(targets: np.ndarray, dialogue: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(N,) the target of the turn that follows each in its dialogue; -1 where none follows.

    A row thus asks for what comes after it: its own audio and that of earlier rows is all that may be heard.
    """
    order = np.lexsort((turn, dialogue))
    follows = np.flatnonzero((dialogue[order][1:] == dialogue[order][:-1]) & (turn[order][1:] == turn[order][:-1] + 1))
    shifted = np.full_like(targets, -1)
    shifted[order[follows]] = targets[order[follows + 1]]
    return shifted


def with_targets(fold: Fold, targets: np.ndarray) -> Fold:
    """The fold without the rows that have no target."""

    def keep(part: np.ndarray) -> np.ndarray:
        return part[targets[part] >= 0]

    inner = tuple(group for group in map(keep, fold.inner) if len(group))
    return replace(fold, train=keep(fold.train), dev=keep(fold.dev), test=keep(fold.test), inner=inner)


def text(column: pd.Series | pd.Index) -> np.ndarray:
    """(N,) unicode array of a column."""
    return np.array([str(value) for value in column.tolist()])


def split(wanted: Definition, reading: Reading, limited: bool) -> tuple[Problem, list[str]]:
    """Targets and folds of the utterances, and what to tell of them.

    Raises:
        TaskError: a column that the definition names is missing, or the split is impossible.
    """
    rows, rule = reading.utterances, wanted.folds
    group = definition.GROUPS[wanted.group_by]
    lacking = sorted({rule.by, group, rule.apart} - {"", *rows})
    if lacking:
        raise TaskError(f"{definition.path(wanted.name)}: folds: {wanted.corpus} has no column {', '.join(lacking)}")
    ids, groups, asked = text(rows.index), text(rows[group] if group else rows.index), targets(rows, wanted)
    speakers = text(rows["speaker"]) if "speaker" in rows else groups
    dialogue, turn = (rows[column].to_numpy() if column in rows else None for column in ("dialogue", "turn"))
    if wanted.next_turn and dialogue is not None and turn is not None:
        asked = of_next_turn(asked, dialogue, turn)
    names = tuple(wanted.labels)
    try:
        built, notes = _folds(wanted, reading, limited, ids, speakers, asked)
        return Problem(
            ids,
            wanted.kind,
            names,
            asked,
            built,
            groups,
            speakers,
            dialogue,
            turn,
            wanted.select_on,
            wanted.next_turn,
        ), notes
    except TaskError as error:
        raise TaskError(f"{wanted.name}: {error}") from error


def _folds(
    wanted: Definition, reading: Reading, limited: bool, ids: np.ndarray, speakers: np.ndarray, asked: np.ndarray
) -> tuple[tuple[Fold, ...], list[str]]:
    """The folds of a task, and what to tell of them."""
    rows, rule = reading.utterances, wanted.folds
    notes: list[str] = []
    there = ~np.isnan(asked) if wanted.kind == REGRESSION else asked >= 0
    # Values have no classes to keep in every part.
    strata = np.zeros(len(asked), dtype=np.int64) if wanted.kind == REGRESSION else asked
    units = speakers if rule.inner == "speaker" else text(rows[rule.inner] if rule.inner else rows.index)
    values = text(rows[rule.by])
    if rule.by == "partition":
        return folds.official(values, ids, units, there, strata, wanted.dev), notes

    def keep(tests: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The folds' rows that have a target, without folds of none."""
        kept = {name: test[there[test]] for name, test in tests.items()}
        return {name: test for name, test in kept.items() if len(test)}

    if rule.groups:
        tests = keep(folds.leave_groups_out(rule.by, values, rule.groups))
    else:
        tests = keep(folds.leave_out(rule.by, values, rule.k))
    if rule.apart:
        others = keep(folds.leave_out(rule.apart, text(rows[rule.apart]), rule.apart_k))
        built = tuple(
            folds.build_one(k, parts, ids, speakers, strata, wanted.dev, None, units)
            for k, parts in folds.crossed(tests, others)
        )
        return built, notes
    draws = None
    if wanted.dev == "superb":
        draws = None if limited else superb.draws(reading.root, tests, ids)
        notes.append(
            "dev: s3prl's own draw, from the split files in meta_data"
            if draws
            else "dev: SUPERB's rule, other draw (put s3prl's meta_data into the corpus folder to repeat its own)"
        )
    return folds.build(tests, ids, speakers, strata, wanted.dev, draws, units), notes


def finish(reading: Reading, wanted: Definition, problem: Problem, notes: list[str]) -> Task:
    """Check that every class can be learnt, prove the splits, and gather what a table must say.

    Raises:
        TaskError: a fold's train lacks a class, or the audit fails.
    """
    rows = reading.utterances
    official = wanted.folds.by == "partition"
    proof = audit.prove(wanted.name, wanted.version, wanted.corpus, rows, problem, wanted.speakers_shared, official)
    missing_classes = _missing_classes(wanted, problem)
    notes = [*reading.notes, *notes, *([] if reading.limited else missing_classes)]
    marks = list(reading.marks)
    for what, mark in (("speakers", "speakers_shared"), ("dialogues", "dialogues_shared"), ("audio", "audio_shared")):
        most = max(fold.rest_and_test.get(what, 0) for fold in proof.folds)
        if most and (what != "dialogues" or official):
            marks.append(mark)
            notes.append(f"{most} {what} of test are in train or dev too, by the protocol")
    if "speaker" not in rows:
        marks.append("speakers_unknown")
    shared = sum(fold.train_and_dev.get("speakers", 0) > 0 for fold in proof.folds)
    if shared and not reading.limited:
        if "speakers_shared" not in marks:  # whose meaning is that none of test are
            marks.append("dev_speakers_shared")
        notes.append(f"dev of {shared} of {len(proof.folds)} folds shares speakers with train")
    labelled = problem.has_target
    if wanted.kind == "conversation":
        notes.append(f"{int((~labelled).sum())} of {len(rows)} turns are context without a target")
    kinds = pd.Series(problem.targets[labelled]).groupby(problem.speaker[labelled]).nunique()
    single = int((kinds == 1).sum())
    if problem.classes and "speaker" in rows and wanted.target != "speaker" and single > len(kinds) / 2:
        marks.append("speaker~label")
        notes.append(f"{single} of {len(kinds)} speakers have one class only: pooled figures only")
        wanted = wanted.model_copy(update={"pooled_only": True})
    if proof.identical_audio:
        marks.append("identical_audio")
        notes += [f"identical audio: {' = '.join(ids)}" for ids in proof.identical_audio[:NAMED]]
    sizes = np.bincount(problem.targets[labelled], minlength=len(problem.classes)).tolist() if problem.classes else []
    counts = reading.counts | {
        "utterances": int(labelled.sum()),
        "speakers": len(kinds) if "speaker" in rows else 0,
        "classes": dict(zip(problem.classes, sizes, strict=True)),
    }
    return Task(wanted.name, wanted, reading, problem, proof, tuple(marks), counts, tuple(notes))


def _missing_classes(wanted: Definition, problem: Problem) -> list[str]:
    """Notes on classes that a fold's dev, test or inner train lacks; a class missing from train is an error."""
    everything = set(range(len(problem.classes)))
    if not everything:
        return []
    lacking: dict[str, list[str]] = {"dev": [], "test": [], "inner train": []}
    for fold in problem.folds:
        gone = sorted(everything - set(problem.targets[fold.train]))
        if gone:
            raise TaskError(
                f"{wanted.name}, fold {fold.name!r}: train has no utterance of "
                f"{', '.join(problem.classes[c] for c in gone)}; too few utterances are there for this task: it needs "
                "more of the corpus, or a larger --limit"
            )
        inner = [problem.targets[np.setdiff1d(np.r_[fold.train, fold.dev], group)] for group in fold.inner]
        parts = {part: problem.targets[rows] for part, rows in (("dev", fold.dev), ("test", fold.test)) if len(rows)}
        fewest = min(inner, key=lambda there: len(set(there)), default=problem.targets)
        for part, there in (parts | {"inner train": fewest}).items():
            if len(set(there)) < len(everything):
                lacking[part].append(f"{fold.name} ({len(set(there))} of {len(everything)})")
    return [
        f"{part} lacks classes in {len(where)} of {len(problem.folds)} folds: {', '.join(where[:NAMED])}"
        + (", ..." if len(where) > NAMED else "")
        for part, where in lacking.items()
        if where
    ]
