"""The audit finds what crosses, and its hash stands for data, targets and folds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from commons.corridors.problem import Problem
from commons.errors import EmorepError
from tasks.errors import TaskError
from tasks.splits import audit, folds


def make(speakers: int = 4, each: int = 6) -> tuple[pd.DataFrame, Problem]:
    names = np.repeat([f"s{i}" for i in range(speakers)], each)
    ids = np.array([f"u{i:03d}" for i in range(len(names))])
    targets = np.tile([0, 1], len(names) // 2)
    table = pd.DataFrame(
        {
            "path": [f"/x/{name}.wav" for name in ids],
            "speaker": names,
            "sentence": np.tile(["a", "b", "c"], len(names) // 3),
            "sha256": [f"bytes{name}" for name in ids],
            "samples_sha256": [f"samples{name}" for name in ids],
        },
        index=ids,
    )
    built = folds.build(folds.leave_one_out("speaker", names), ids, names, targets)
    problem = Problem(
        ids=ids,
        kind="classification",
        classes=("no", "yes"),
        targets=targets,
        folds=built,
        groups=names,
        speaker=names,
    )
    return table, problem


def prove(table: pd.DataFrame, problem: Problem, shared: bool = False, version: str = "1") -> audit.Audit:
    return audit.prove("task", version, "corpus", table, problem, shared)


def test_a_clean_split_is_certified_fold_by_fold():
    table, problem = make()
    proof = prove(table, problem)
    assert [fold.name for fold in proof.folds] == [f"speaker s{i}" for i in range(4)]
    for fold in proof.folds:
        assert fold.rest_and_test == {"speakers": 0, "audio": 0, "sentences": 3}
        assert fold.train_and_dev == {"speakers": 0, "audio": 0, "sentences": 3}
        assert (fold.train, fold.dev, fold.test) == (12, 6, 6) and fold.classes == {"train": 2, "dev": 2, "test": 2}
    assert proof.folds[1].test_ids == tuple(f"u{i:03d}" for i in range(6, 12))
    assert proof.to_dict()["folds"][0]["rest_and_test"]["speakers"] == 0


def crossed(problem: Problem) -> Problem:
    """The problem with one of test's utterances in train, of the first fold."""
    first = problem.folds[0]
    fold = replace(first, train=np.r_[first.test[:1], first.train], test=first.test[1:], inner=())
    return replace(problem, folds=(fold, *problem.folds[1:]))


def test_a_speaker_that_crosses_stops_unless_the_protocol_shares_speakers():
    table, problem = make()
    with pytest.raises(TaskError, match="fold 'speaker s0': speakers are in train and test: s0"):
        prove(table, crossed(problem))
    assert prove(table, crossed(problem), shared=True).folds[0].rest_and_test["speakers"] == 1


@pytest.mark.parametrize("shared", [True, False])
def test_identical_audio_stops_only_where_it_crosses_into_test(shared):
    table, problem = make()
    table.loc["u001", "samples_sha256"] = table.loc["u003", "samples_sha256"]
    assert prove(table, problem).identical_audio == (("u001", "u003"),)
    table.loc["u020", "samples_sha256"] = table.loc["u003", "samples_sha256"]
    with pytest.raises(TaskError, match=r"/x/u020\.wav") as error:
        prove(table, problem, shared)
    assert "/x/u001.wav" in str(error.value) and "/x/u003.wav" in str(error.value)


def test_the_hash_changes_with_anything_that_changes_a_figure():
    table, problem = make()
    proof = prove(table, problem)
    assert prove(*make()) == proof
    other = table.copy()
    other.loc["u005", "sha256"] = "flipped"
    assert prove(other, problem).hash != proof.hash and prove(other, problem).folds_hash == proof.folds_hash
    flipped = problem.targets.copy()
    flipped[7] = 1 - flipped[7]
    first = problem.folds[0]
    moved = replace(first, train=first.train[1:], dev=np.r_[first.dev, first.train[0]])
    regrouped = replace(first, inner=first.inner[::-1])
    for changed in (
        replace(problem, targets=flipped),
        replace(problem, classes=("yes", "no")),
        replace(problem, ids=np.array([f"v{name}" for name in problem.ids])),
        replace(problem, folds=(moved, *problem.folds[1:])),
        replace(problem, folds=(regrouped, *problem.folds[1:])),
        replace(problem, folds=problem.folds[::-1]),
    ):
        again = prove(table, changed)
        assert again.hash != proof.hash and again.folds_hash != proof.folds_hash
    assert prove(table, problem, version="2").hash != proof.hash


def test_each_modality_has_a_hash_that_changes_with_what_it_reads():
    table, problem = make()
    table["text"] = [f"said {i}" for i in range(len(table))]
    table.loc["u004", "text"] = None
    modalities = ("audio", "text", "audio+text")
    before = {modality: prove(table, problem).reads(modality) for modality in modalities}
    assert len(set(before.values())) == 3 and before["audio"] == prove(table, problem).hash
    assert before["audio"] == prove(table.drop(columns="text"), problem).hash
    for column, changes in (("sha256", ("audio", "audio+text")), ("text", ("text", "audio+text")), ("path", ())):
        other = table.copy()
        other.loc["u005", column] = "other"
        after = {modality: prove(other, problem).reads(modality) for modality in modalities}
        assert [m for m in modalities if before[m] != after[m]] == [m for m in modalities if m in changes]
    moved = replace(problem, folds=problem.folds[::-1])
    assert not set(before.values()) & {prove(table, moved).reads(modality) for modality in modalities}
    assert prove(table, problem, version="2").reads("text") != before["text"]


@pytest.mark.parametrize("texts", [None, [None] * 24])
@pytest.mark.parametrize("modality", ["text", "audio+text"])
def test_a_corpus_without_text_is_named_where_text_is_read(texts, modality):
    table, problem = make()
    if texts:
        table["text"] = texts
    with pytest.raises(TaskError, match="task: corpus has no text"):
        prove(table, problem).reads(modality)
    with pytest.raises(TaskError, match="modality 'video' is none of audio, text, audio\\+text"):
        prove(table, problem).reads("video")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "ranking"}, "kind"),
        ({"select_on": "XX"}, "metric"),
        ({"targets": np.zeros(3, dtype=np.int64)}, "rows"),
        ({"ids": np.array(["same"] * 24)}, "unique"),
        ({"targets": np.full(24, 2)}, "classes"),
        ({"targets": np.full(24, -1)}, "without a target"),
        ({"folds": ()}, "no folds"),
    ],
)
def test_a_problem_whose_parts_do_not_fit_is_refused(change, words):
    _, problem = make()
    with pytest.raises(EmorepError, match=words):
        replace(problem, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": np.arange(24)}, "overlap"),
        ({"test": np.array([99])}, "outside"),
        ({"test": np.array([], dtype=np.int64)}, "test is empty"),
        ({"inner": (np.array([6, 7]),)}, "partition"),
    ],
)
def test_a_fold_whose_parts_do_not_fit_is_refused(change, words):
    _, problem = make()
    with pytest.raises(EmorepError, match=words):
        replace(problem, folds=(replace(problem.folds[0], **change),))
