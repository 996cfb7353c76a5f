"""`votes:T`: from files in the corpora's own formats, and from a table's columns; what is left out is counted."""

import re

import numpy as np
import pandas as pd
import pytest

from commons.errors import EmorepError
from tasks import corpora
from tasks.load_options import Options
from tasks.loading import load
from tests.tasks import layouts

WORDS = {"ang": "Anger", "hap": "Happiness", "exc": "Excited", "sad": "Sadness", "neu": "Neutral"}


def votes_of(rows, name):
    own = rows.loc[name]
    return {c.removeprefix("votes:"): own[c] for c in rows if c.startswith("votes:") and own[c]}


def test_cremads_listeners_of_the_voice_are_the_targets(tmp_path):
    layouts.cremad(tmp_path)
    task = load("votes:cremad", Options(tmp_path, tmp_path / "cache"), None)
    problem, rows = task.problem, task.utterances
    assert problem.kind == "distribution" and task.definition.headline == "JS" and task.derivation.aspect == "votes"
    assert np.allclose(problem.votes.sum(1), 1) and (
        problem.votes == rows[[f"votes:{c}" for c in problem.classes]]
    ).all(axis=None)
    assert votes_of(rows, "1002_IEO_ANG_MD") == pytest.approx({"anger": 0.7, "neutral": 0.3})
    assert votes_of(rows, "1001_IEO_DIS_MD") == pytest.approx({"anger": 0.5, "neutral": 0.5})
    named = np.array(problem.classes)[problem.targets]
    assert dict(zip(problem.ids, named, strict=True))["1001_IEO_DIS_MD"] == "anger", "the first of equals"
    plain = load("cremad", Options(tmp_path, tmp_path / "cache"), None)
    assert [f.test.tolist() for f in plain.problem.folds] == [f.test.tolist() for f in problem.folds]
    assert plain.audit.hash != task.audit.hash


def test_changed_votes_are_another_task(tmp_path):
    layouts.cremad(tmp_path)
    before = load("votes:cremad", Options(tmp_path, tmp_path / "cache"), None).audit.hash
    file = tmp_path / "CREMA-D" / "processedResults" / "tabulatedVotes.csv"
    text = file.read_text()
    file.write_text(text.replace('"100002",', '"100002",1', 1))
    assert load("votes:cremad", Options(tmp_path, tmp_path / "cache"), None).audit.hash != before


def test_iemocaps_annotators_split_their_vote_and_actors_have_none(tmp_path):
    layouts.iemocap(tmp_path, sessions=(1,))
    file = next((tmp_path).rglob("EmoEvaluation/Ses01F_impro01.txt"))
    file.write_text(file.read_text().replace("C-E1:\tNeutral;\t()", "C-E1:\tNeutral;\t()\nC-F1:\tSadness;\t()"))
    rows = corpora.module("iemocap").read(tmp_path / "IEMOCAP_full_release")
    assert votes_of(rows, "Ses01F_impro01_F000") == {"neutral": 1.0, "anger": 0.5, "frustration": 0.5}
    file.write_text(file.read_text().replace("C-E1:\tNeutral", "C-E1:\tBliss"))
    with pytest.raises(EmorepError, match=r"impro01.txt, line \d+: annotator's emotion 'bliss' is not known"):
        corpora.module("iemocap").read(tmp_path / "IEMOCAP_full_release")


def test_iemocaps_votes_are_merged_as_the_task_merges_its_labels(tmp_path):
    layouts.iemocap(tmp_path)
    for file in tmp_path.rglob("EmoEvaluation/Ses*.txt"):
        parts = re.split(r"(\t(?:ang|hap|exc|sad|neu)\t\[.*?C-E1:\t)Neutral", file.read_text(), flags=re.DOTALL)
        words = [WORDS[part[1:4]] if part[:1] == "\t" else "" for part in parts]
        file.write_text("".join(f"{part}{word}" for part, word in zip(parts, words, strict=True)))
    task = load("votes:iemocap", Options(tmp_path, tmp_path / "cache"), None)
    assert votes_of(task.utterances, "Ses01F_impro01_F002") == pytest.approx({"happiness": 2 / 3, "anger": 1 / 3})
    assert any("votes for other classes are left out" in note and "frustration" in note for note in task.notes)


def test_msp_podcasts_workers_vote(tmp_path):
    layouts.msp_podcast(tmp_path)
    rows = corpora.module("msp_podcast").read(tmp_path / "MSP-Podcast")
    assert votes_of(rows, "MSP-PODCAST_0001_0000") == {"anger": 2, "neutral": 1}
    assert votes_of(rows, "MSP-PODCAST_0001_0008") == {"other": 2, "neutral": 1}


@pytest.fixture
def table(tmp_path):
    """A table of six speakers with votes, of which one utterance has none."""
    rows = []
    for speaker in range(6):
        for i, emotion in enumerate(("anger", "sadness", "anger", "sadness")):
            layouts.write_audio(tmp_path / f"{speaker}{i}.wav")
            voted = (3, 1) if emotion == "anger" else (1, 4)
            rows.append(
                [f"{speaker}{i}.wav", f"s{speaker}", emotion, *(("", "") if (speaker, i) == (0, 0) else voted), 1]
            )
    frame = pd.DataFrame(rows, columns=["path", "speaker", "emotion", "votes:Anger", "votes:sadness", "votes:boredom"])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


def test_a_tables_columns_are_votes_and_one_without_any_is_left_out_and_counted(table):
    task = load(f"votes:csv:{table}", Options(table.parent, table.parent / "cache"), None)
    assert (task.problem.targets < 0).sum() == 1 and np.isnan(task.problem.votes).any(1).sum() == 1
    assert "left out 1 utterances whose votes sum to nothing for these classes" in task.notes
    assert any("24 boredom" in note for note in task.notes)
    assert task.problem.votes[-1] == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(("written", "word"), [
    (lambda t: t.assign(**{"votes:Anger": 0, "votes:sadness": 0}), "votes of every utterance sum to nothing"),
    (lambda t: t.assign(**{"votes:Anger": -1}), "must be a number of annotators, 0 or more"),
    (lambda t: t.assign(**{"votes:Anger": "many"}), "must be a number, and is 'many'"),
    (lambda t: t.drop(columns=[c for c in t if c.startswith("votes")]), "has no votes of single annotators"),
])  # fmt: skip
def test_wrong_votes_are_refused_with_a_clear_word(table, written, word):
    written(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(EmorepError, match=word):
        load(f"votes:csv:{table}", Options(table.parent, table.parent / "cache"), None)
