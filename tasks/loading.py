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
    found = utterances["emotion"].value_counts().to_dict()
    pairs = {
        "utterances": (len(utterances), corpus.files),
        "speakers": (utterances["speaker"].nunique(), corpus.speakers),
    }
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
    notes += [
        f"{name} = {' + '.join(f'{count} {raw}' for raw, count in parts.items())}"
        for name, parts in merged.items()
        if len(parts) > 1
    ]
    if limit is not None and limit < len(rows):
        rows = _spread(rows, wanted.target, limit)
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
    """The utterances that have a class of the task; counts of raw labels by class, and of those left out."""
    for column, values in wanted.where.items():
        if column not in rows:
            raise TaskError(f"{definition.path(wanted.name)}: where: {wanted.corpus} has no column {column!r}")
        rows = rows[rows[column].isin(values)]
    if wanted.target not in rows:
        raise TaskError(f"{definition.path(wanted.name)}: target: {wanted.corpus} has no column {wanted.target!r}")
    raw = rows[wanted.target]
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
    return rows[raw.isin(known)], merged, excluded


def _spread(rows: pd.DataFrame, target: str, limit: int) -> pd.DataFrame:
    """`limit` rows that hold every speaker and class as far as they go: speakers in turn, classes shifted."""
    classes = sorted(rows[target].unique())
    queues = []
    for shift, (_, of_speaker) in enumerate(rows.groupby("speaker")):
        cells = [of_speaker.index[of_speaker[target] == c] for c in classes]
        turns = zip_longest(*(cells[shift % len(classes) :] + cells[: shift % len(classes)]))
        queues.append([row for turn in turns for row in turn if row is not None])
    order = [row for row in chain.from_iterable(zip_longest(*queues)) if row is not None]
    return rows.loc[order[:limit]].sort_index()


def targets(utterances: pd.DataFrame, wanted: Definition) -> np.ndarray:
    """(N,) int64 class of each utterance, -1 where it has none."""
    index = {value: i for i, values in enumerate(wanted.labels.values()) for value in values}
    return utterances[wanted.target].map(index).fillna(-1).to_numpy(dtype=np.int64)


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
    rows, by, notes = reading.utterances, wanted.folds.by, []
    lacking = sorted({"speaker", by} - set(rows))
    if lacking:
        raise TaskError(f"{definition.path(wanted.name)}: folds: {wanted.corpus} has no column {', '.join(lacking)}")
    ids, speakers, classes = _text(rows.index), _text(rows["speaker"]), targets(rows, wanted)
    values = _text(rows[by])
    draws = None
    try:
        if wanted.folds.groups:
            tests = folds.leave_groups_out(by, values, wanted.folds.groups)
        elif wanted.folds.k:
            tests = folds.leave_balanced_groups_out(by, values, wanted.folds.k)
        else:
            tests = folds.leave_one_out(by, values)
        if wanted.dev == "superb":
            draws = None if limited else superb.draws(reading.root, tests, ids)
            notes.append(
                "dev: s3prl's own draw, from the split files in meta_data"
                if draws
                else "dev: SUPERB's rule, other draw (put s3prl's meta_data into the corpus folder to repeat its own)"
            )
        built = folds.build(tests, ids, speakers, classes, wanted.dev, draws)
    except TaskError as error:
        raise TaskError(f"{wanted.name}: {error}") from error
    dialogue, turn = (rows[c].to_numpy() if c in rows else None for c in ("dialogue", "turn"))
    names = tuple(wanted.labels)
    return Problem(ids, wanted.kind, names, classes, built, speakers, speakers, dialogue, turn, wanted.select_on), notes


def finish(reading: Reading, wanted: Definition, problem: Problem, notes: list[str]) -> Task:
    """Check that every class can be learnt, prove the splits, and gather what a table must say.

    Raises:
        TaskError: a fold's train lacks a class, or the audit fails.
    """
    rows = reading.utterances
    proof = audit.prove(wanted.name, wanted.version, wanted.corpus, rows, problem, wanted.speakers_shared)
    notes = [*reading.notes, *notes, *_missing_classes(wanted, problem)]
    marks = list(reading.marks)
    if any(fold.rest_and_test["speakers"] for fold in proof.folds):
        marks.append("speakers_shared")
    shared = sum(fold.train_and_dev["speakers"] > 0 for fold in proof.folds)
    if shared:
        marks.append("dev_speakers_shared")
        notes.append(f"dev of {shared} of {len(proof.folds)} folds shares speakers with train")
    labelled = problem.targets >= 0
    kinds = pd.Series(problem.targets[labelled]).groupby(problem.speaker[labelled]).nunique()
    single = int((kinds == 1).sum())
    if single > len(kinds) / 2:
        marks.append("speaker~label")
        notes.append(f"{single} of {len(kinds)} speakers have one class only: pooled figures only")
        wanted = wanted.model_copy(update={"pooled_only": True})
    if proof.identical_audio:
        marks.append("identical_audio")
        notes += [f"identical audio: {' = '.join(ids)}" for ids in proof.identical_audio[:NAMED]]
    sizes = np.bincount(problem.targets[labelled], minlength=len(problem.classes)).tolist()
    counts = reading.counts | {
        "utterances": len(rows),
        "speakers": len(kinds),
        "classes": dict(zip(problem.classes, sizes, strict=True)),
    }
    return Task(wanted.name, wanted, reading, problem, proof, tuple(marks), counts, tuple(notes))


def _missing_classes(wanted: Definition, problem: Problem) -> list[str]:
    """Notes on classes that a fold's dev, test or inner train lacks; a class missing from train is an error."""
    everything = set(range(len(problem.classes)))
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
