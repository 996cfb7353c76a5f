"""Dialogues: ordered turns, context without targets, and what is asked of the next turn."""

import csv
import gzip
import io
import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks import corpora, definition, reading
from tasks.corpora import m3ed
from tasks.errors import TaskError
from tasks.splits import problems
from tests.tasks import layouts


def test_turns_without_a_label_stay_as_context_and_are_in_no_part(tmp_path):
    task = tasks.load("iemocap6_dialogue", tasks.Options(layouts.iemocap(tmp_path), tmp_path / "cache"))
    problem = task.problem
    assert (problem.kind, len(problem.ids), task.counts["utterances"]) == ("conversation", 140, 120)
    assert "20 of 140 turns are context without a target" in task.notes
    parts = np.concatenate([np.r_[fold.train, fold.dev, fold.test] for fold in problem.folds])
    assert problem.has_target[parts].all() and not problem.causal
    assert list(problem.groups) == task.utterances.dialogue.tolist()
    for fold in task.audit.folds:
        assert fold.rest_and_test["dialogues"] == 0


def test_the_next_turn_is_asked_of_the_turn_before_it(tmp_path):
    task = tasks.load("iemocap_next", tasks.Options(layouts.iemocap(tmp_path), tmp_path / "cache"))
    emotions, problem = task.utterances.emotion, task.problem
    assert problem.causal
    index = {"anger": 0, "happiness": 1, "excitement": 1, "neutral": 2, "sadness": 3}
    for dialogue, turns in task.utterances.groupby("dialogue"):
        order = turns.sort_values("turn").index
        for here, after in pairwise(order):
            row = task.utterances.index.get_loc(here)
            assert problem.targets[row] == index.get(emotions[after], -1), dialogue
        assert problem.targets[task.utterances.index.get_loc(order[-1])] == -1


def test_a_missing_turn_asks_for_nothing_across_the_gap():
    targets, dialogue = np.array([0, 1, 2, 3]), np.array(["a", "a", "a", "b"])
    np.testing.assert_array_equal(problems.of_next_turn(targets, dialogue, np.array([0, 1, 3, 0])), [1, -1, -1, -1])


def test_a_dialogue_with_a_missing_turn_is_told_and_can_be_gone_on_with(tmp_path):
    layouts.iemocap(tmp_path)
    gone = next(tmp_path.rglob("Ses01F_impro01_M001.wav"))
    gone.unlink()
    with pytest.raises(TaskError, match=r"1 dialogues lack a turn.*Ses01F_impro01 turn 3.*--skip-bad"):
        tasks.load("iemocap6_dialogue", tasks.Options(tmp_path, tmp_path / "cache"))
    task = tasks.load("iemocap6_dialogue", tasks.Options(tmp_path, tmp_path / "cache", skip_bad=True))
    assert any("1 dialogues lack a turn" in note for note in task.notes)
    assert (
        len(tasks.load("iemocap6", tasks.Options(tmp_path, tmp_path / "cache")).utterances) == 119
    )  # no context is wanted there


@pytest.mark.parametrize(("name", "dialogue"), [
    ("iemocap6_dialogue", "Ses01F_impro01"), ("meld_dialogue", "train_dia0"), ("m3ed_dialogue", "huanlesong_1"),
])  # fmt: skip
def test_a_missing_last_turn_is_missed_too(tmp_path, name, dialogue):
    corpus = corpora.module(definition.read(definition.path(name)).corpus).CORPUS
    _, rows = reading.table(corpus, layouts.TREES[corpus.name](tmp_path), tmp_path)
    last = rows[rows["dialogue"] == dialogue].sort_values("turn").iloc[-1]
    assert last["turn"] == last["turns"] - 1
    Path(last["path"]).unlink()
    with pytest.raises(TaskError, match=f"1 dialogues lack a turn.*{dialogue} turn {last['turn']}"):
        tasks.load(name, tasks.Options(tmp_path, tmp_path / "cache"))


def test_what_a_whole_copy_lacks_the_corpus_lacks(tmp_path, monkeypatch):
    layouts.m3ed(tmp_path)
    next(tmp_path.rglob("?_huanlesong_1_3.wav")).unlink()
    corpus = replace(m3ed.CORPUS, files=len(list(tmp_path.rglob("*.wav"))), speakers=0)
    monkeypatch.setattr(m3ed, "CORPUS", corpus)
    task = tasks.load("m3ed_dialogue", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "partial" not in task.marks
    assert "1 dialogues lack a turn, and so some context" in task.notes


@pytest.mark.parametrize("known", [True, False])
def test_dialogues_are_counted_and_not_their_missing_turns(tmp_path, monkeypatch, known):
    layouts.m3ed(tmp_path)
    for turn in (2, 3):
        next(tmp_path.rglob(f"?_huanlesong_1_{turn}.wav")).unlink()
    if known:  # a whole copy: the corpus itself lacks them
        corpus = replace(m3ed.CORPUS, files=len(list(tmp_path.rglob("*.wav"))), speakers=0)
        monkeypatch.setattr(m3ed, "CORPUS", corpus)
    task = tasks.load("m3ed_dialogue", tasks.Options(tmp_path, tmp_path / "cache", skip_bad=not known))
    assert "1 dialogues lack a turn, and so some context" in task.notes


@pytest.mark.parametrize("there", [True, False])
def test_melds_unreadable_clips_leave_a_gap_that_is_known(tmp_path, there):
    clips = layouts.meld(tmp_path) / "MELD.Raw" / layouts.MELD_FOLDERS["train"]
    if not there:
        (clips / "dia125_utt3.wav").unlink()
    task = tasks.load("meld_dialogue", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "1 dialogues lack a turn, and so some context" in task.notes
    assert any("known-bad" in note for note in task.notes) == there
    (clips / "dia0_utt1.wav").unlink()
    with pytest.raises(TaskError, match=r"1 dialogues lack a turn.*train_dia0 turn 1"):
        tasks.load("meld_dialogue", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_limit_keeps_whole_dialogues_of_every_part(tmp_path):
    task = tasks.load("iemocap6_dialogue", tasks.Options(layouts.iemocap(tmp_path), tmp_path / "cache", limit=70))
    sizes = task.utterances.dialogue.value_counts()
    assert sizes.eq(14).all() and len(sizes) == 5 and task.utterances.session.nunique() == 5


@pytest.fixture(scope="module")
def meld_labels(reference, tmp_path_factory):
    """A MELD folder with the real label files and an empty file for every clip."""
    home = tmp_path_factory.mktemp("real") / "MELD.Raw"
    for part, folder in layouts.MELD_FOLDERS.items():
        text = gzip.decompress((reference / "meld" / f"{part}_sent_emo.csv.gz").read_bytes()).decode()
        (home / folder).mkdir(parents=True)
        (home / f"{part}_sent_emo.csv").write_text(text, encoding="utf-8")
        for row in csv.DictReader(io.StringIO(text)):
            (home / folder / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.wav").touch()
    return home


def test_meld_on_its_real_label_files(meld_labels):
    corpus = corpora.module("meld").CORPUS
    rows = corpora.module("meld").read(meld_labels)
    assert rows.partition.value_counts().to_dict() == {"train": 9989, "dev": 1109, "test": 2610}
    kept, flawed = reading.without_flawed(corpus, rows)
    assert flawed == {"its clip cannot be read": 2} and reading.shortfall(corpus, kept) == ""
    assert corpora.count(corpus, meld_labels) == 13708 and corpus.files == 13706  # the two are files, too
    parts = {part: set(rows.speaker[rows.partition == part]) for part in ("train", "dev", "test")}
    assert len(parts["train"] & parts["test"]) == 69
    assert rows[rows.partition == "test"].emotion.value_counts().to_dict() == {
        "neutral": 1256,
        "happiness": 402,
        "anger": 345,
        "surprise": 281,
        "sadness": 208,
        "disgust": 68,
        "fear": 50,
    }
    (listed,) = json.loads((definition.FOLDER / "folds" / "meld.json").read_text())["test"].values()
    assert listed == sorted(rows.index[rows.partition == "test"])
    turns = defaultdict(list)
    for dialogue, turn in zip(rows.dialogue, rows.turn, strict=True):
        turns[dialogue].append(turn)
    assert len(turns) == 1038 + 114 + 280
    assert all(sorted(numbers) == list(range(len(numbers))) for numbers in turns.values())
    assert rows.text["train_dia0_utt0"].startswith("also I was the point person on my company’s")
