"""Proof of the splits: what train, dev and test have in common in every fold, and hashes of the task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np
import pandas as pd

from commons import hashing, perturbations
from commons.corridors.problem import Fold, Problem
from commons.corridors.utterances import Modality
from tasks.errors import TaskError

# What is counted -> the column of the utterance table that holds it.
COMMON = {
    "speakers": "speaker",
    "sessions": "session",
    "dialogues": "dialogue",
    "audio": "samples_sha256",
    "sentences": "sentence",
    "twins": "twin_of",
}


@dataclass(frozen=True)
class FoldAudit:
    """One fold: its sizes, and what its parts have in common.

    Attributes:
        classes: number of classes in each part; empty where the task has no classes.
        rest_and_test: number of speakers, sessions and so on that test has in common with train or dev; a kind for
            which the corpus has no column is absent.
        train_and_dev: the same for train and dev.
        test_ids: the ids of the test part.
    """

    name: str
    train: int
    dev: int
    test: int
    classes: dict[str, int]
    rest_and_test: dict[str, int]
    train_and_dev: dict[str, int]
    test_ids: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """The proof of a task's splits.

    Attributes:
        folds_hash: sha256 of ids, targets and folds; the same for every complete copy of the corpus.
        hash: sha256 of these and of every utterance's file hash and span; the same for copies with the same files. Of a
            copy without audio, of its own texts.
        identical_audio: groups of utterances whose decoded samples are equal.
        text_hash: sha256 of `folds_hash` and every utterance's text; empty where the corpus has no text.
    """

    task: str
    version: str
    corpus: str
    utterances: int
    classes: tuple[str, ...]
    folds: tuple[FoldAudit, ...]
    identical_audio: tuple[tuple[str, ...], ...]
    folds_hash: str
    hash: str
    text_hash: str = ""

    def reads(self, modality: str) -> str:
        """The hash of the task for upstreams that read `audio`, `text` or `audio+text`; it changes with what they read.

        Raises:
            TaskError: the corpus has no text, or there is no such modality.
        """
        if modality == "audio":
            return self.hash
        if modality not in get_args(Modality):
            raise TaskError(f"{self.task}: modality {modality!r} is none of {', '.join(get_args(Modality))}")
        if not self.text_hash:
            raise TaskError(f"{self.task}: {self.corpus} has no text, which the upstream reads")
        return self.text_hash if modality == "text" else hashing.of_compact_json([self.hash, self.text_hash])

    def to_dict(self) -> dict[str, object]:
        """The audit as plain values, for JSON."""
        return asdict(self)


def prove(
    task: str,
    version: str,
    corpus: str,
    utterances: pd.DataFrame,
    problem: Problem,
    speakers_shared: bool,
    official: bool = False,
) -> Audit:
    """The audit of a problem and its utterance table.

    Args:
        utterances: with `sha256` and `samples_sha256` of the audio; of a copy without audio, with `text_sha256`.
        speakers_shared: whether the protocol allows speakers of test in train or dev.
        official: whether the split is that of the corpus or of another benchmark: audio that is in two parts is then
            counted, and is no error.

    Raises:
        TaskError: speakers, audio or dialogues of test occur in train or dev where that is not allowed.
    """
    codes = {what: pd.factorize(utterances[column])[0] for what, column in COMMON.items() if column in utterances}
    folds = tuple(_fold(fold, codes, problem) for fold in problem.folds)
    for fold, proof in zip(problem.folds, folds, strict=True):
        _check(f"{task}, fold {fold.name!r}", utterances, problem, fold, proof, speakers_shared, official)
    plan = _plan(problem)
    folds_hash = hashing.of_compact_json(plan)
    return Audit(
        task=task,
        version=version,
        corpus=corpus,
        utterances=len(utterances),
        classes=problem.classes,
        folds=folds,
        identical_audio=_identical(utterances),
        folds_hash=folds_hash,
        hash=hashing.of_compact_json([plan, version, *_content(utterances)]),
        text_hash=_text_hash(folds_hash, version, utterances),
    )


def _identical(utterances: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Groups of utterances whose decoded samples are equal; none where there is no audio."""
    if "samples_sha256" not in utterances:
        return ()
    samples = utterances["samples_sha256"]
    if "perturbation" in utterances:  # changed audio has the hash of the audio before the change
        samples = samples[utterances["perturbation"].isna()]
    repeated = samples[samples.duplicated(keep=False)]
    return tuple(sorted(tuple(sorted(ids)) for ids in repeated.groupby(repeated).groups.values()))


def _content(utterances: pd.DataFrame) -> list[object]:
    """Hashes of the audio and spans of the utterances; hashes of the copy's own texts where it has no audio."""
    if "sha256" not in utterances:
        return ["text", utterances["text_sha256"].tolist()]
    spans = [utterances[c].tolist() if c in utterances else None for c in ("start", "end", "channel")]
    return [utterances["sha256"].tolist(), spans, *_changes(utterances)]


def _changes(utterances: pd.DataFrame) -> list[object]:
    """Of changed audio, each utterance's perturbation and the hashes of what is mixed in; nothing elsewhere."""
    if "perturbation" not in utterances:
        return []
    names = [None if pd.isna(name) else perturbations.parse(name).content for name in utterances["perturbation"]]
    mixed = utterances["noise"].tolist() if "noise" in utterances else []
    return [names, [[sha256 for _, sha256 in one] if isinstance(one, tuple) else [] for one in mixed]]


def _check(
    where: str,
    utterances: pd.DataFrame,
    problem: Problem,
    fold: Fold,
    proof: FoldAudit,
    speakers_shared: bool,
    official: bool,
) -> None:
    """Raise TaskError where speakers, audio or dialogues of test occur in train or dev of a fold and may not."""
    rest = np.r_[fold.train, fold.dev]
    if proof.rest_and_test.get("speakers") and not speakers_shared:
        crossing = sorted(_common(utterances["speaker"], rest, fold.test))
        raise TaskError(
            f"{where}: speakers are in train and test: {', '.join(crossing[:10])}; put each "
            "speaker into one fold (only an official partition may share speakers, and is marked then)"
        )
    if proof.rest_and_test.get("twins"):
        crossing = sorted(_common(utterances["twin_of"], rest, fold.tested))
        raise TaskError(f"{where}: utterances in test, changed or not, are in train too: {', '.join(crossing[:10])}")
    if problem.kind == "conversation" and proof.rest_and_test["dialogues"]:
        crossing = sorted(_common(utterances["dialogue"], rest, fold.test))
        raise TaskError(f"{where}: dialogues are in train and test: {', '.join(crossing[:10])}")
    if proof.rest_and_test.get("audio") and not official:
        pairs = _files_in_common(utterances, rest, fold.test)
        raise TaskError(
            f"{where}: the same audio is in train and in test: {'; '.join(pairs[:5])}. "
            "A recording may be in one of them alone: replace a wrong file by the corpus's own, or leave one out"
        )


def _plan(problem: Problem) -> dict[str, object]:
    """All parts of a problem that decide figures, as plain values; parts that only some problems have are optional."""
    plan: dict[str, object] = {
        "kind": problem.kind,
        "classes": problem.classes,
        "ids": problem.ids.tolist(),
        "targets": problem.targets.tolist(),
        "folds": [_rows(fold) for fold in problem.folds],
    }
    if problem.draws:
        plan["draws"] = [[_rows(fold) for fold in draw] for draw in problem.draws]
    if problem.votes is not None:
        plan["votes"] = [[None if value != value else value for value in row] for row in problem.votes.tolist()]
    if problem.test_standardised:
        plan["test_standardised"] = True
    if problem.allowed is not None:
        plan["allowed"] = [np.flatnonzero(own).tolist() for own in problem.allowed]
    if problem.kind == "conversation" and problem.dialogue is not None and problem.turn is not None:
        plan["order"] = [problem.causal, problem.dialogue.tolist(), problem.turn.tolist(), problem.speaker.tolist()]
    return plan


def _text_hash(folds_hash: str, version: str, utterances: pd.DataFrame) -> str:
    """Hash of the texts, for upstreams that read text; empty where no utterance has one."""
    if "text" not in utterances or utterances["text"].isna().all():
        return ""
    texts = [None if pd.isna(text) else str(text) for text in utterances["text"].tolist()]
    return hashing.of_compact_json([folds_hash, version, texts])


def _rows(fold: Fold) -> list[object]:
    parts = (fold.train, fold.dev, fold.test)
    inner, beside = ([group.tolist() for group in groups] for groups in (fold.inner, fold.beside))
    return [fold.name, *(part.tolist() for part in parts), inner, *([beside] if beside else [])]


def _fold(fold: Fold, codes: dict[str, np.ndarray], problem: Problem) -> FoldAudit:
    """The audit of a fold; `codes`: for each column (N,) codes of its values, -1 for a missing value."""
    rest = np.r_[fold.train, fold.dev]
    return FoldAudit(
        name=fold.name,
        train=len(fold.train),
        dev=len(fold.dev),
        test=len(fold.test),
        classes={p: len(np.unique(problem.targets[getattr(fold, p)])) for p in ("train", "dev", "test")}
        if problem.classes
        else {},
        rest_and_test={what: _count_common(column, rest, fold.tested) for what, column in codes.items()},
        train_and_dev={what: _count_common(column, fold.train, fold.dev) for what, column in codes.items()},
        test_ids=tuple(problem.ids[fold.test].tolist()),
    )


def _count_common(codes: np.ndarray, a: np.ndarray, b: np.ndarray) -> int:
    return int((np.intersect1d(codes[a], codes[b]) >= 0).sum())


def _common(column: pd.Series, a: np.ndarray, b: np.ndarray) -> set[str]:
    return set(column.iloc[a].dropna()) & set(column.iloc[b].dropna())


def _files_in_common(utterances: pd.DataFrame, a: np.ndarray, b: np.ndarray) -> list[str]:
    audio, path = utterances["samples_sha256"], utterances["path"]
    return [
        " = ".join(path.iloc[np.r_[a, b]][audio.iloc[np.r_[a, b]] == samples])
        for samples in sorted(_common(audio, a, b))
    ]
