"""The embedded corpus: deterministic, whole or not there, learnable."""

import errno
import hashlib
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tasks
from tasks import corpora
from tasks.corpora.demo import synthesis
from tasks.errors import TaskError


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def test_two_that_race_make_the_same_corpus_once(demo_cache, tmp_path):
    threads = [threading.Thread(target=synthesis.write, args=(tmp_path,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == [f"demo-{synthesis.VERSION}"]
    assert digest(synthesis.write(tmp_path)) == digest(synthesis.write(demo_cache))


def test_it_is_what_its_facts_say(demo_cache):
    task = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    facts = corpora.module("demo").CORPUS
    assert task.marks == ("synthetic",) and not task.notes
    assert task.counts["classes"] == facts.classes and task.counts["speakers"] == facts.speakers
    rows = task.utterances
    assert rows.duration.between(0.8, 1.6).all()
    assert rows.groupby("speaker").emotion.value_counts().eq(10).all()
    assert rows.groupby("gender").speaker.nunique().tolist() == [4, 4]
    assert rows.valence.between(1, 5).all() and rows.arousal.between(1, 5).all()
    assert rows.groupby("emotion").arousal.mean().idxmax() == "anger"
    info = soundfile.info(rows.path.iloc[0])
    assert (info.samplerate, info.subtype, info.channels) == (16000, "PCM_16", 1)


def test_dialogues_alternate_between_two_speakers_with_sticky_moods(demo_cache):
    rows = tasks.load("demo", tasks.Options(demo_cache, demo_cache)).utterances
    same = []
    for _, turns in rows.sort_values("turn").groupby("dialogue"):
        assert turns.turn.tolist() == list(range(len(turns))) and turns.speaker.nunique() == 2
        assert (turns.speaker.to_numpy()[1:] != turns.speaker.to_numpy()[:-1]).all()
        same += (turns.emotion.to_numpy()[1:] == turns.emotion.to_numpy()[:-1]).tolist()
    assert np.mean(same) > 0.4  # a quarter if moods came at random


def test_no_dialogue_or_session_crosses_the_folds(demo_cache):
    for fold in tasks.load("demo", tasks.Options(demo_cache, demo_cache)).audit.folds:
        assert fold.rest_and_test == {"speakers": 0, "sessions": 0, "dialogues": 0, "audio": 0, "sentences": 8}


def test_moods_are_learnable_from_the_spectrum_but_not_trivial(demo_cache):
    from sklearn.linear_model import LogisticRegression

    task = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    bands = np.geomspace(4, 257, 31).astype(int)
    features = []
    for path in task.utterances.path:
        frames = np.lib.stride_tricks.sliding_window_view(soundfile.read(path)[0], 512)[::160] * np.hanning(512)
        power = np.abs(np.fft.rfft(frames)) ** 2
        features.append(np.log(np.add.reduceat(power, bands[:-1], axis=1) + 1e-8).mean(0))
    x, y = np.array(features), task.problem.targets
    right = []
    for fold in task.problem.folds:
        train = np.r_[fold.train, fold.dev]
        mean, spread = x[train].mean(0), x[train].std(0)
        model = LogisticRegression(max_iter=2000).fit((x[train] - mean) / spread, y[train])
        right.append(model.predict((x[fold.test] - mean) / spread) == y[fold.test])
    assert 0.6 < np.concatenate(right).mean() < 0.9


def test_an_interruption_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    def stop(row):
        raise KeyboardInterrupt

    monkeypatch.setattr(synthesis, "speak", stop)
    with pytest.raises(KeyboardInterrupt):
        synthesis.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TaskError, match=r"No space left.*--cache"):
        synthesis.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TaskError, match=r"file/cache.*--cache"):
        synthesis.write(tmp_path / "file" / "cache")


@pytest.mark.parametrize("damage", ["cut", "gone", "changed", "metadata", "all"])
def test_a_damaged_corpus_is_made_anew(demo_cache, tmp_path, monkeypatch, damage):
    whole = synthesis.write(demo_cache)
    folder = shutil.copytree(whole, tmp_path / f"demo-{synthesis.VERSION}")
    victim = folder / "metadata.csv" if damage == "metadata" else sorted((folder / "wav").iterdir())[7]
    data = victim.read_bytes()
    if damage == "all":
        shutil.rmtree(folder)
        folder.mkdir()
    elif damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data[:1000] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr(synthesis, "_fill", lambda new: shutil.copytree(whole, new))  # the true one takes seconds
    with pytest.warns(UserWarning, match="damaged embedded corpus"):
        assert len(tasks.load("demo", tasks.Options(tmp_path, tmp_path)).utterances) == 320
    assert digest(folder) == digest(whole) and not list(tmp_path.glob(".demo-*"))
    monkeypatch.setattr(synthesis, "_fill", lambda new: pytest.fail("a whole corpus is made again"))
    synthesis.write(tmp_path)
