"""A loaded task: utterances, problem and audit, with the marks and notes that tables show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from pydantic import JsonValue

from commons import hashing
from commons.corridors.problem import Problem
from tasks import corpora, definition, further, transcripts
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.derivation import Derivation
from tasks.errors import TaskError
from tasks.reading import NAMED, Reading, counted
from tasks.splits import audit
from tasks.splits.audit import Audit


@dataclass(frozen=True)
class Task:
    """A loaded task.

    Attributes:
        problem: targets and folds; row i is row i of `utterances`.
        audit: the proof of the splits; `audit.hash` identifies data, targets and folds.
        counts: utterances, speakers, classes, merged, excluded, bad_files.
        notes: lines that are printed below tables.
        derivation: how a derived task came from other tasks; None for all others.
    """

    name: str
    definition: Definition
    reading: Reading
    problem: Problem
    audit: Audit
    marks: tuple[str, ...]
    counts: dict[str, JsonValue]
    notes: tuple[str, ...]
    derivation: Derivation | None = None

    @cached_property
    def full_problem(self) -> Problem:
        """The problem with the further targets of its definition that the copy has, for heads that train on them.

        They are made when this is first asked for.

        Raises:
            TaskError: a level of intensity or a phoneme is unknown.
        """
        return replace(self.problem, also=further.targets(self.utterances, self.definition.also, self.corpus.name))

    def problem_of(self, further_targets: bool) -> Problem:
        """The problem for a head that trains on further targets, or for one that does not."""
        return self.full_problem if further_targets else self.problem

    @cached_property
    def also_hash(self) -> str:
        """sha256 of the further targets; empty where there are none."""
        several = [[one.name, one.kind, one.classes, one.places, one.plain()] for one in self.full_problem.also]
        return hashing.of_compact_json(several) if several else ""

    @property
    def corpus(self) -> Corpus:
        """Facts of the corpus."""
        return self.reading.corpus

    @property
    def known_corpus(self) -> str:
        """The corpus, or the known corpus whose recordings a user's table holds."""
        return self.reading.same_as or self.corpus.name

    @property
    def known_corpora(self) -> tuple[str, ...]:
        """The same of all corpora that are joined and tested; of other tasks the one."""
        return self.reading.known or (self.known_corpus,)

    @property
    def family(self) -> str:
        """The family of corpora that share recordings or speakers; comparisons over corpora give each one vote."""
        same_as = self.reading.same_as
        return corpora.module(same_as).CORPUS.family if same_as else self.corpus.family

    @property
    def utterances(self) -> pd.DataFrame:
        """(N rows) the utterance table with `sha256`, `samples_sha256` and `duration` (s), unless it has no audio."""
        return self.reading.utterances

    @property
    def has_audio(self) -> bool:
        """Whether the copy has audio; else it has texts alone."""
        return "sha256" in self.reading.utterances

    @property
    def text_kind(self) -> str:
        """`gold` or `asr`: who wrote the texts; asr where those of one corpus of several are a recogniser's."""
        return "asr" if any(one.kind == "asr" for one in self.reading.texts.values()) else "gold"

    @property
    def other_texts(self) -> str:
        """`FILE~1a2b3c4d`, the stem of the user's file of texts and a hash of its content; empty: the corpus's own."""
        given = [one for one in self.reading.texts.values() if one.file]
        return (
            f"{'+'.join(one.file for one in given)}~{hashing.short(''.join(o.sha256 for o in given))}" if given else ""
        )

    @property
    def text_notes(self) -> tuple[str, ...]:
        """Lines for upstreams that read text: which ids a user's file of texts lacks, and which the corpus lacks."""
        return tuple(note for one in self.reading.texts.values() for note in one.notes)

    @property
    def text_lengths(self) -> np.ndarray:
        """(N, 2) numbers of words and of characters of each text."""
        return np.array([(len(text.split()), len(text.strip())) for text in self.utterances["text"].fillna("")])

    @property
    def textless(self) -> list[str]:
        """Ids of the utterances without text."""
        rows = self.reading.utterances
        if "text" not in rows:
            return rows.index.tolist()
        return rows.index[transcripts.blank(rows["text"])].tolist()


def finish(
    reading: Reading, wanted: Definition, problem: Problem, notes: Sequence[str], official: bool | None = None
) -> Task:
    """The task, with its splits proved, and the marks and notes that tables must show.

    Args:
        official: as in `audit.prove`; None: a split by the column `partition` is.

    Raises:
        TaskError: the train part of a fold lacks a class, or the audit fails.
    """
    rows, labelled = reading.utterances, problem.has_target
    official = wanted.folds.by == "partition" if official is None else official
    proof = audit.prove(wanted.name, wanted.version, wanted.corpus, rows, problem, wanted.speakers_shared, official)
    lacking = _missing_classes(wanted, problem)
    marks, notes = list(reading.marks), [*reading.notes, *notes, *([] if reading.limited else lacking)]
    _shared_parts(reading, proof, official, wanted.speakers_shared, marks, notes)
    if wanted.kind == "conversation":
        notes.append(f"{int((~labelled).sum())} of {len(rows)} turns are context without a target")
    kinds = pd.Series(problem.targets[labelled]).groupby(problem.speaker[labelled]).nunique()
    single = int((kinds == 1).sum())
    if problem.classes and "speaker" in rows and wanted.target != "speaker" and single > len(kinds) / 2:
        marks.append("speaker~label")
        notes.append(f"{single} of {len(kinds)} speakers have one class only: pooled figures only")
        wanted = definition.varied(wanted, pooled_only=True)
    if proof.identical_audio:
        marks.append("identical_audio")
        notes += [f"identical audio: {' = '.join(ids)}" for ids in proof.identical_audio[:NAMED]]
    sizes = np.bincount(problem.targets[labelled], minlength=len(problem.classes)).tolist() if problem.classes else []
    counts = reading.counts | counted(
        bad_files=reading.bad_files,
        utterances=int(labelled.sum()),
        speakers=len(kinds) if "speaker" in rows else 0,
        classes=dict(zip(problem.classes, sizes, strict=True)),
    )
    return Task(wanted.name, wanted, reading, problem, proof, tuple(marks), counts, tuple(notes))


def _shared_parts(
    reading: Reading, proof: Audit, official: bool, protocol: bool, marks: list[str], notes: list[str]
) -> None:
    """Add marks and notes on what test shares with train and dev, and dev with train; `protocol`: it allows that."""
    for what, mark in (("speakers", "speakers_shared"), ("dialogues", "dialogues_shared"), ("audio", "audio_shared")):
        most = max(fold.rest_and_test.get(what, 0) for fold in proof.folds)
        if most and (what != "dialogues" or official or reading.known):
            marks.append(mark)
            by = ", by the protocol" if protocol else ""
            notes.append(f"{most} {what} of test are in train or dev too{by}")
    if "speaker" not in reading.utterances:
        marks.append("speakers_unknown")
    shared = sum(fold.train_and_dev.get("speakers", 0) > 0 for fold in proof.folds)
    if shared and not reading.limited:
        if "speakers_shared" not in marks:  # dev_speakers_shared promises unseen test speakers, so never set both
            marks.append("dev_speakers_shared")
        notes.append(f"dev of {shared} of {len(proof.folds)} folds shares speakers with train")


def _present(problem: Problem, rows: np.ndarray) -> set[int]:
    """The classes that some utterances have; of votes those that someone named."""
    if problem.votes is not None:
        return set(np.flatnonzero(problem.votes[rows].sum(0) > 0).tolist())
    return set(problem.targets[rows].tolist())


def _missing_classes(wanted: Definition, problem: Problem) -> list[str]:
    """Notes on classes that dev, test or inner train of a fold lacks. Raises TaskError where train lacks one."""
    if not problem.classes:
        return []
    lacking: dict[str, list[str]] = {"dev": [], "test": [], "inner train": []}
    for fold in problem.folds:
        everything = set(range(len(problem.classes)))
        if problem.allowed is not None:  # those that a corpus of its test part has
            everything = set(np.flatnonzero(problem.allowed[fold.test].any(0)).tolist())
        gone = sorted(everything - _present(problem, fold.train))
        if gone:
            raise TaskError(
                f"{wanted.name}, fold {fold.name!r}: train has no utterance of "
                f"{', '.join(problem.classes[c] for c in gone)}. Use more of the corpus, or "
                "a larger --limit"
            )
        inner = [_present(problem, np.setdiff1d(np.r_[fold.train, fold.dev], group)) for group in fold.inner]
        parts = {part: _present(problem, rows) for part, rows in (("dev", fold.dev), ("test", fold.test)) if len(rows)}
        fewest = min(inner, key=len, default=everything)
        for part, there in (parts | {"inner train": fewest}).items():
            if len(there) < len(everything):
                lacking[part].append(f"{fold.name} ({len(there)} of {len(everything)})")
    return [
        f"{part} lacks classes in {len(where)} of {len(problem.folds)} folds: {', '.join(where[:NAMED])}"
        + (", ..." if len(where) > NAMED else "")
        for part, where in lacking.items()
        if where
    ]
