"""From a task's name to its utterances, problem and certificate."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks import audit, content, corpora, definition, demo, derive, fold_lists, folds, superb
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.errors import TaskError, UnknownName, foreign
from tasks.metrics import REGRESSION
from tasks.problem import Fold, Problem

Progress = Callable[[float, float], None]
NAMED = 10  # at most so many files or folds are named in one message


@dataclass(frozen=True)
class Reading:
    """A corpus as it was read for a task: its usable utterances, and what the reader of a table should know.

    Attributes:
        counts: `merged` (class -> raw label -> utterances), `excluded` (raw label -> utterances), `bad_files`.
    """

    corpus: Corpus
    root: Path
    utterances: pd.DataFrame
    marks: tuple[str, ...]
    counts: dict[str, Any]
    notes: tuple[str, ...]


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
    if ":" in name:
        kind, bases = derive.parse(name)
        return kind.make(name, *(load(base, data, cache, skip_bad, limit, jobs, progress) for base in bases))
    if not definition.path(name).exists():
        raise UnknownName("task", name, (path.stem for path in definition.FOLDER.glob("*.yaml")))
    wanted = definition.read(definition.path(name))
    reading = _read(wanted, data, cache, skip_bad, limit, jobs, progress)
    problem, notes = _split(wanted, reading, limited=limit is not None)
    task = finish(reading, wanted, problem, notes)
    whole = "partial" not in task.marks and not task.counts["bad_files"]
    differs = fold_lists.check(task.audit, cache) if whole else None
    return replace(task, notes=(*task.notes, differs)) if differs else task


def table(corpus: Corpus, data: Path, cache: Path) -> tuple[Path, pd.DataFrame]:
    """A corpus's folder and its whole utterance table, as its reader gives it.

    Raises:
        TaskError: the corpus is absent, or a file of it cannot be understood.
    """
    root = demo.write(cache) if corpus.synthetic else corpus.root(data)
    if root is None:
        raise TaskError(f"{corpus.name} is absent. {corpus.how_to_get(data)}")
    try:
        rows = corpora.module(corpus.name).read(root)
    except TaskError:
        raise
    except OSError as error:
        raise TaskError(f"{corpus.name} cannot be read: {error}") from error
    except Exception as error:
        raise foreign(f"{corpus.name} cannot be read from {root}", error) from error
    if rows.empty:
        patterns = " or ".join(f"{pattern}.wav" for pattern in corpus.globs)
        raise TaskError(f"{corpus.name} is absent: {root} holds no {patterns}. {corpus.how_to_get(data)}")
    return root, rows


def without_flawed(corpus: Corpus, utterances: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table without the corpus's known-bad utterances, and how many were there by what is wrong with them."""
    flawed = utterances.index[utterances.index.isin(list(corpus.flawed))]
    return utterances.drop(flawed), dict(Counter(corpus.flawed[utterance] for utterance in flawed))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} ({what})" for what, count in counts.items())


def shortfall(corpus: Corpus, utterances: pd.DataFrame) -> str:
    """In what counts of utterances, speakers and classes a table differs from a whole copy; empty if in none."""
    found = utterances["emotion"].value_counts().to_dict() if corpus.classes else {}
    pairs = {"utterances": (len(utterances), corpus.files)} if corpus.files else {}
    if corpus.speakers:
        pairs["speakers"] = utterances["speaker"].nunique(), corpus.speakers
    pairs |= {emotion: (found.get(emotion, 0), count) for emotion, count in corpus.classes.items()}
    return ", ".join(f"{what} {there} of {whole}" for what, (there, whole) in pairs.items() if there != whole)


def bad_audio(bad: dict[str, str], utterances: pd.DataFrame) -> str:
    """Which files cannot be used and why, the first of them by name."""
    paths = utterances["path"].to_dict()
    lines = [f"  {paths[utterance]} {reason}" for utterance, reason in bad.items()]
    more = [f"  and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "\n".join(lines[:NAMED] + more)


def _read(
    wanted: Definition,
    data: Path,
    cache: Path,
    skip_bad: bool,
    limit: int | None,
    jobs: int,
    progress: Progress | None,
) -> Reading:
    corpus: Corpus = corpora.module(wanted.corpus).CORPUS
    root, rows = table(corpus, data, cache)
    marks, notes = ["synthetic"] if corpus.synthetic else [], []
    rows, flawed = without_flawed(corpus, rows)
    if flawed:
        notes.append(f"left out {sum(flawed.values())} known-bad utterances: {_listed(flawed)}")
    missing = shortfall(corpus, rows)
    if missing:
        # Notes go into records, which name no folder of anybody's.
        notes.append(f"not a whole copy: {missing} ({corpus.homepage}; see python -m tasks check {corpus.name})")
    rows, merged, excluded = _labelled(wanted, rows)
    if wanted.kind == "conversation":
        notes += _gaps(wanted, corpus, rows, skip_bad)
    notes += [
        f"{name} = {' + '.join(f'{count} {raw}' for raw, count in parts.items())}"
        for name, parts in merged.items()
        if len(parts) > 1
    ]
    if limit is not None and limit < len(rows):
        rows = _dialogues(rows, limit) if wanted.kind == "conversation" else _spread(rows, wanted, limit)
        notes.append(f"limited to {len(rows)} utterances: figures mean nothing")
    if missing or limit is not None:
        marks.append("partial")
    contents, bad = content.examine(rows, cache, jobs, progress)
    if bad and (not skip_bad or contents.empty):
        raise TaskError(
            f"{wanted.name}: {len(bad)} of {len(rows)} audio files cannot be used:\n{bad_audio(bad, rows)}\n"
            "Put whole files in their place, or leave them out with --skip-bad"
        )
    if bad:
        marks.append(f"skipped:{len(bad)}")
        named = ", ".join(list(bad)[:NAMED]) + (", ..." if len(bad) > NAMED else "")
        notes.append(f"left out {len(bad)} utterances whose audio cannot be used: {named}")
    rows = rows.join(contents[["sha256", "samples_sha256", "duration"]], how="inner")
    if corpus.lossless and rows["path"].map(lambda path: Path(path).suffix.lower() in corpora.LOSSY).any():
        marks.append("lossy_audio")
    counts = {"merged": merged, "excluded": excluded | flawed, "bad_files": len(bad)}
    return Reading(corpus, root, rows, tuple(marks), counts, tuple(notes))


def _labelled(wanted: Definition, rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, dict[str, int]], dict[str, int]]:
    """The utterances of the task; counts of raw labels by class, and of those without one of its classes or values.

    Of a conversation all turns stay: those without a class are context.
    """
    for column, values in wanted.where.items():
        if column not in rows:
            raise TaskError(f"{definition.path(wanted.name)}: where: {wanted.corpus} has no column {column!r}")
        rows = rows[rows[column].isin(values)]
    if wanted.target not in rows:
        raise TaskError(f"{definition.path(wanted.name)}: target: {wanted.corpus} has no column {wanted.target!r}")
    raw = rows[wanted.target]
    if wanted.kind == REGRESSION:
        return rows[raw.notna()], {}, {"none": int(raw.isna().sum())} if raw.isna().any() else {}
    known = [value for values in wanted.labels.values() for value in values]
    stray = rows[raw.notna() & ~raw.isin([*known, *wanted.drop])]
    if len(stray):
        raise TaskError(
            f"{stray['path'].iloc[0]}: label {stray[wanted.target].iloc[0]!r} is neither in `labels` nor in `drop` of "
            f"{definition.path(wanted.name)} ({len(stray)} such utterances); add it to one of them"
        )
    found = raw.value_counts().to_dict()
    merged = {name: {v: found[v] for v in values if v in found} for name, values in wanted.labels.items()}
    excluded = {value: found[value] for value in wanted.drop if value in found}
    if raw.isna().any():
        excluded["none"] = int(raw.isna().sum())
    return rows if wanted.kind == "conversation" else rows[raw.isin(known)], merged, excluded


def _gaps(wanted: Definition, corpus: Corpus, rows: pd.DataFrame, skip_bad: bool) -> list[str]:
    """What to tell of turns that a dialogue lacks.

    Raises:
        TaskError: two turns of a dialogue have one number; or a turn is missing that is not known to be bad, and nobody
            said to go on without.
    """
    lacking = [column for column in ("dialogue", "turn") if column not in rows or rows[column].isna().any()]
    if lacking:
        raise TaskError(f"{wanted.name}: {wanted.corpus} does not tell the {' and '.join(lacking)} of every utterance")
    missing, known = [], 0
    for dialogue, turns in rows.groupby("dialogue")["turn"]:
        if turns.duplicated().any():
            pair = turns.index[turns == turns[turns.duplicated()].iloc[0]]
            raise TaskError(f"{wanted.name}: dialogue {dialogue} has one turn twice: {' and '.join(pair[:2])}")
        gone = sorted(set(range(int(turns.max()))) - set(turns))
        if gone and any(flawed.startswith(f"{dialogue}_") for flawed in corpus.flawed):
            known += len(gone)
        elif gone:
            missing.append(f"{dialogue} turn {', '.join(str(turn) for turn in gone)}")
    if missing and not skip_bad:
        raise TaskError(
            f"{wanted.name}: {len(missing)} dialogues lack a turn, its audio is missing: {'; '.join(missing[:NAMED])} "
            f"(from 0). Complete the copy (python -m tasks check {corpus.name}), or go on without with --skip-bad"
        )
    return [f"{known + len(missing)} dialogues lack a turn: it is no context to the others"] if known or missing else []


def _dialogues(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Whole dialogues, about `limit` turns: of each part or session in turn."""
    by = next((column for column in ("partition", "session") if column in rows), "dialogue")
    queues = [list(dict.fromkeys(part["dialogue"])) for _, part in rows.groupby(by)]
    sizes, taken = rows["dialogue"].value_counts(), []
    for dialogue in (d for turn in zip_longest(*queues) for d in turn if d is not None):
        if limit <= 0:
            break
        taken.append(dialogue)
        limit -= sizes[dialogue]
    return rows[rows["dialogue"].isin(taken)]


def _spread(rows: pd.DataFrame, wanted: Definition, limit: int) -> pd.DataFrame:
    """`limit` rows that hold every speaker (or official part) and class as far as they go, in turn."""
    target = pd.Series(0, rows.index) if wanted.kind == REGRESSION else rows[wanted.target]
    by = "partition" if wanted.folds.by == "partition" else "speaker"
    classes = sorted(target.unique())
    queues = []
    for shift, (_, of_speaker) in enumerate(rows.groupby(by)):
        cells = [of_speaker.index[target[of_speaker.index] == c] for c in classes]
        turns = zip_longest(*(cells[shift % len(classes) :] + cells[: shift % len(classes)]))
        queues.append([row for turn in turns for row in turn if row is not None])
    order = [row for row in chain.from_iterable(zip_longest(*queues)) if row is not None]
    return rows.loc[order[:limit]].sort_index()


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


def _text(column: pd.Series | pd.Index) -> np.ndarray:
    """(N,) unicode array of a column."""
    return np.array([str(value) for value in column])


def _split(wanted: Definition, reading: Reading, limited: bool) -> tuple[Problem, list[str]]:
    rows, rule = reading.utterances, wanted.folds
    group = definition.GROUPS[wanted.group_by]
    lacking = sorted(({rule.by, group} | ({rule.apart} - {""})) - set(rows))
    if lacking:
        raise TaskError(f"{definition.path(wanted.name)}: folds: {wanted.corpus} has no column {', '.join(lacking)}")
    ids, groups, asked = _text(rows.index), _text(rows[group]), targets(rows, wanted)
    speakers = _text(rows["speaker"]) if "speaker" in rows else groups
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
    units = speakers if rule.inner == "speaker" else _text(rows[rule.inner])
    values = _text(rows[rule.by])
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
        others = keep(folds.leave_out(rule.apart, _text(rows[rule.apart]), rule.apart_k))
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
    notes = [*reading.notes, *notes, *_missing_classes(wanted, problem)]
    marks = list(reading.marks)
    for what, mark in (("speakers", "speakers_shared"), ("dialogues", "dialogues_shared"), ("audio", "audio_shared")):
        most = max(fold.rest_and_test.get(what, 0) for fold in proof.folds)
        if most and (what != "dialogues" or official):
            marks.append(mark)
            notes.append(f"{most} {what} of test are in train or dev too, by the protocol")
    if "speaker" not in rows:
        marks.append("speakers_unknown")
    shared = sum(fold.train_and_dev.get("speakers", 0) > 0 for fold in proof.folds)
    if shared:
        marks.append("dev_speakers_shared")
        notes.append(f"dev of {shared} of {len(proof.folds)} folds shares speakers with train")
    labelled = problem.has_target
    if wanted.kind == "conversation":
        notes.append(f"{int((~labelled).sum())} of {len(rows)} turns are context without a target")
    kinds = pd.Series(problem.targets[labelled]).groupby(problem.speaker[labelled]).nunique()
    single = int((kinds == 1).sum())
    if problem.classes and "speaker" in rows and single > len(kinds) / 2:
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
        parts = {"dev": problem.targets[fold.dev], "test": problem.targets[fold.test]}
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
