"""The corpora themselves: counts, folds, audits, and the fold files of EmoBox."""

import json
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks import corpora as registry
from tasks import definition
from tasks.splits import fold_lists

# Utterances, speakers, folds.
WHOLE = {
    "emodb": (535, 10, 10),
    "urdu": (400, 29, 29),
    "emovo": (588, 6, 6),
    "ravdess": (1440, 24, 6),
    "ravdess_song": (1012, 23, 6),
}
MARKS = {
    "emodb": (),
    "urdu": ("dev_speakers_shared", "speaker~label"),
    "emovo": ("lossy_audio",),
    "ravdess": ("lossy_audio", "identical_audio"),
    "ravdess_song": ("lossy_audio",),
}


@pytest.fixture(scope="module")
def load(corpora, pytestconfig):
    """Each task, read once; the index of audio contents outlives the run."""
    cache, loaded = pytestconfig.cache.mkdir("emorep"), {}

    def one(name: str):
        if name not in loaded:
            loaded[name] = tasks.load(name, tasks.Options(corpora, cache, jobs=2))
        return loaded[name]

    return one


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_corpus_is_read_whole(load, name):
    task = load(name)
    utterances, speakers, folds = WHOLE[name]
    facts = registry.module(name).CORPUS
    assert (len(task.utterances), task.counts["speakers"], len(task.problem.folds)) == (utterances, speakers, folds)
    assert task.counts["classes"] == facts.classes
    # The copies at hand may be lossy; everything else is as it is told here.
    assert [mark for mark in task.marks if mark != "lossy_audio"] == [m for m in MARKS[name] if m != "lossy_audio"]


@pytest.mark.parametrize("name", WHOLE)
def test_folds_are_those_shipped(load, name):
    path, task = definition.FOLDER / "folds" / f"{name}.json", load(name)
    remedy = f"if it is meant, raise the version and run: python -m tasks folds {name} --output {path}"
    assert path.read_text() == fold_lists.text(task.audit), remedy
    assert not any("folds differ" in note for note in task.notes)


@pytest.mark.parametrize("name", WHOLE)
def test_the_permutation_of_test_labels_leaves_the_fold_alone(load, name):
    from tasks.splits import folds

    problem = load(name).problem
    tests = {fold.name: fold.test for fold in problem.folds}
    chance = np.random.default_rng(0)
    for k, fold in enumerate(problem.folds):
        targets = problem.targets.copy()
        targets[fold.test] = chance.permutation(targets[fold.test])
        again = folds.build_one(k, tests, problem.ids, problem.speaker, targets)
        for one, other in zip((fold.train, fold.dev, *fold.inner), (again.train, again.dev, *again.inner), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["ravdess", "emovo"])
def test_test_folds_are_emobox_ones(load, reference, name):
    emobox = set()
    for path in reference.glob(f"emobox/{name}/fold_*/*_test_fold_*.jsonl"):
        lines = map(json.loads, path.read_text().splitlines())
        emobox.add(frozenset(Path(line["wav"]).stem for line in lines))
    assert emobox == {frozenset(fold.test_ids) for fold in load(name).audit.folds}


@pytest.mark.parametrize("name", ["emodb", "emovo", "ravdess", "urdu"])
def test_labels_are_those_of_emobox(load, reference, name):
    codes = {
        "gio": "happiness",
        "pau": "fear",
        "rab": "anger",
        "sor": "surprise",
        "tri": "sadness",
        "dis": "disgust",
        "neu": "neutral",
        "angry": "anger",
        "happy": "happiness",
        "sad": "sadness",
        "fearful": "fear",
        "surprised": "surprise",
        "boredem": "boredom",
        "a": "anger",
        "h": "happiness",
        "n": "neutral",
        "s": "sadness",
    }
    task = load(name)
    lines = map(json.loads, (reference / "emobox" / name / f"{name}.jsonl").read_text().splitlines())
    theirs = {Path(line["wav"]).stem: line["emo"].lower() for line in lines}
    theirs = {utterance: codes.get(label, label) for utterance, label in theirs.items()}
    assert theirs == task.utterances.emotion.to_dict()


def test_ravdess_has_one_identical_pair_in_one_fold(load):
    assert load("ravdess").audit.identical_audio == (("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"),)


def test_urdu_gives_pooled_figures_only_and_dev_of_whole_speakers(load):
    """But in the fold of the speaker without whom a class would be of one speaker, or train would lose one."""
    task = load("urdu")
    assert task.definition.pooled_only
    assert "26 of 29 speakers have one class only: pooled figures only" in task.notes
    assert "dev of 1 of 29 folds shares speakers with train" in task.notes
    whole = 0
    for fold in task.problem.folds:
        assert len(fold.inner) == 5 and len(np.unique(task.problem.targets[fold.dev])) == 4
        dev, train = (set(task.problem.speaker[part]) for part in (fold.dev, fold.train))
        assert len(dev) >= 2 and 6 * len(fold.dev) >= len(fold.train) + len(fold.dev) - 6
        whole += not dev & train
    assert whole == 28


def test_no_speaker_is_shared_anywhere_else(load):
    for name in set(WHOLE) - {"urdu"}:
        for fold in load(name).audit.folds:
            assert fold.rest_and_test["speakers"] == fold.train_and_dev["speakers"] == 0


def test_describe_finds_every_corpus_complete(corpora):
    states = {row.task: (row.state, row.present) for row in tasks.describe(corpora)}
    for name, (utterances, _, _) in WHOLE.items():
        assert states[name] == ("complete", utterances)
    assert set(WHOLE) <= set(tasks.resolve(["here"], corpora))
