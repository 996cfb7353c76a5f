"""Readers of official layouts, whatever suffix, rate or nesting."""

import pickle
import shutil
from pathlib import Path

import pytest

import tasks
from tasks import corpora, reading
from tasks.errors import TaskError
from tests.tasks import layouts


def read(name: str, data: Path):
    corpus = corpora.module(name).CORPUS
    return corpora.module(name).read(corpus.root(data))


@pytest.mark.parametrize("name", corpora.names())
def test_every_corpus_states_facts_that_fit_together(name):
    corpus = corpora.module(name).CORPUS
    assert corpus.name == name
    assert corpus.folders and (corpus.globs or corpus.pattern)
    assert sum(corpus.classes.values()) <= corpus.files
    for text in (corpus.title, corpus.licence, corpus.homepage, corpus.obtain, corpus.source):
        assert text.strip()


def test_emodb_codes(tmp_path):
    table = read("emodb", layouts.emodb(tmp_path))
    row = table.loc["08b02Ta"]
    assert (row.speaker, row.gender, row.emotion) == ("08", "female", "sadness")
    assert (row.sentence, row.language) == ("b02", "de")
    assert table.emotion.value_counts().eq(8).all() and len(table) == 56
    assert table.index.is_unique and table.index.is_monotonic_increasing and table.index.name == "id"
    assert all(Path(path).is_absolute() for path in table.path)


def test_urdu_codes(tmp_path):
    row = read("urdu", layouts.urdu(tmp_path)).loc["SF1_F2_H12"]
    assert (row.speaker, row.gender, row.emotion) == ("SF1", "female", "happiness")


@pytest.mark.parametrize("nested", [False, True])
def test_emovo_is_found_nested_or_not(tmp_path, nested):
    table = read("emovo", layouts.emovo(tmp_path, nested))
    assert len(table) == 21
    assert table.loc["gio-f2-b1", ["speaker", "gender", "emotion"]].tolist() == ["f2", "female", "happiness"]


def test_ravdess_speech_and_song_are_told_apart(tmp_path):
    layouts.ravdess(tmp_path)
    speech, song = read("ravdess", tmp_path), read("ravdess_song", tmp_path)
    assert len(speech) == 32 and len(song) == 18 and not set(speech.index) & set(song.index)
    row = speech.loc["03-01-08-01-02-01-18"]
    assert (row.speaker, row.gender, row.emotion, row.intensity) == ("18", "female", "surprise", "normal")
    assert row.text == "Dogs are sitting by the door"


def test_ravdess_archives_unpacked_into_one_folder_are_found(tmp_path):
    layouts.ravdess(tmp_path)
    for kind in ("Speech", "Song"):
        folder = tmp_path / "RAVDESS" / f"Audio_{kind}_Actors_01-24"
        shutil.copytree(folder, tmp_path / "RAVDESS", dirs_exist_ok=True)
        shutil.rmtree(folder)
    assert len(read("ravdess", tmp_path)) == 32 and len(read("ravdess_song", tmp_path)) == 18


def test_iemocap_reads_the_official_tree(tmp_path):
    table = read("iemocap", layouts.iemocap(tmp_path))
    assert len(table) == 5 * 2 * 14
    assert table.speaker.nunique() == 10 and sorted(table.session.unique()) == list("12345")
    # The letter of the name's head is who wore the markers, the last one who speaks.
    row = table.loc["Ses03M_script01_1_F002"]
    assert (row.speaker, row.gender, row.emotion, row.session) == ("Ses03F", "female", "excitement", "3")
    assert (row.valence, row.arousal, row.dominance) == (2.5, 3.0, 3.5)
    assert row.text == "Word 4." and row.dialogue == "Ses03M_script01_1"
    # Without agreement there is no emotion; the turn stays as context.
    assert table.loc["Ses03M_script01_1_F006"].isna().emotion and table.emotion.isna().sum() == 20
    # Turns follow time, not the order of lines.
    turns = table[table.dialogue == "Ses01F_impro01"].sort_values("turn")
    assert turns.turn.tolist() == list(range(14)) and turns.text.tolist() == [f"Word {i}." for i in range(14)]


def test_iemocap_task_merges_excitement_and_counts_what_it_leaves_out(tmp_path):
    layouts.iemocap(tmp_path)
    task = tasks.load("iemocap", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.counts["classes"] == {"anger": 20, "happiness": 40, "neutral": 20, "sadness": 20}
    assert task.counts["merged"]["happiness"] == {"happiness": 20, "excitement": 20}
    assert task.counts["excluded"] == {"frustration": 20, "none": 20}
    assert "happiness = 20 happiness + 20 excitement" in task.notes
    assert [fold.name for fold in task.problem.folds] == [f"session {k}" for k in range(1, 6)]
    for k, fold in enumerate(task.problem.folds):  # dev is the next session
        assert set(task.utterances.session.iloc[fold.dev]) == {str((k + 1) % 5 + 1)}
        assert len(fold.inner) == 8
    assert "partial" in task.marks and task.problem.dialogue is not None and task.problem.turn is not None


def test_all_suffixes_are_read_and_the_preferred_one_wins(tmp_path):
    layouts.emodb(tmp_path)
    wav = tmp_path / "EmoDB" / "wav"
    for suffix in (".flac", ".opus", ".ogg", ".mp3"):
        layouts.write_audio(wav / f"03a01Wb{suffix}", 0.2)
    layouts.write_audio(wav / "03a01Wa.flac")
    (wav / "._03a01Wa.wav").write_bytes(b"\x00\x05\x16\x07")
    (wav / "notes.txt").write_text("not audio")
    table = read("emodb", tmp_path)
    assert len(table) == 57
    assert table.loc["03a01Wb"].path.endswith(".flac") and table.loc["03a01Wa"].path.endswith(".wav")
    assert corpora.count(corpora.module("emodb").CORPUS, tmp_path / "EmoDB") == 57


@pytest.mark.parametrize("folder", ["emodb", "EMODB", "EmoDB"])
def test_a_corpus_folder_is_found_in_any_case(tmp_path, folder):
    (tmp_path / folder).mkdir()
    assert corpora.module("emodb").CORPUS.root(tmp_path) == tmp_path / folder


def test_a_relative_data_folder_gives_absolute_paths(tmp_path, monkeypatch):
    layouts.emodb(tmp_path / "data")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    _, table = reading.table(corpora.module("emodb").CORPUS, Path("../data").resolve(), tmp_path)
    task = tasks.load("emodb", tasks.Options(Path("../data"), Path("../cache")))
    assert task.utterances.path.tolist() == table.path.tolist()


def test_options_are_plain_values_that_another_process_may_be_handed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = tasks.Options(Path("data"), Path("~/cache"), emobox=Path("box"), limit=3, jobs=2)
    assert pickle.loads(pickle.dumps(options)) == options
    absolute = options.absolute()
    assert (absolute.data, absolute.emobox) == (tmp_path / "data", tmp_path / "box")
    assert absolute.cache == Path.home() / "cache" and (absolute.limit, absolute.jobs) == (3, 2)
    assert absolute.absolute() == absolute and tasks.Options(Path("a"), Path("b")).absolute().emobox is None


def test_odd_rates_and_stereo_are_no_obstacle(tmp_path):
    layouts.emovo(tmp_path, nested=True)
    task = tasks.load("emovo", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.utterances.duration.eq(0.05).all()


@pytest.mark.parametrize(
    ("make", "corpus", "name"),
    [
        (layouts.emodb, "emodb", "EmoDB/wav/03a01Xa.wav"),
        (layouts.urdu, "urdu", "URDU/Sad/SX1_F1_S01.wav"),
        (lambda data: layouts.emovo(data, False), "emovo", "EMOVO/f1/xyz-f1-b1.wav"),
        (layouts.ravdess, "ravdess", "RAVDESS/Audio_Speech_Actors_01-24/Actor_01/03-01-09-01-01-01-01.wav"),
    ],
)
def test_an_unknown_code_names_the_file_and_the_known_codes(tmp_path, make, corpus, name):
    layouts.write_audio(make(tmp_path) / name)
    with pytest.raises(TaskError, match=r"unknown \w+ code .* \(known: ") as error:
        read(corpus, tmp_path)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("emodb", "EmoDB/wav/song.wav"),
        ("emodb", "EmoDB/wav/99a01Wa.wav"),
        ("urdu", "URDU/Sad/song.wav"),
        ("urdu", "URDU/Sad/SM1_F1_A01.wav"),
        ("emovo", "EMOVO/f1/song.wav"),
        ("ravdess", "RAVDESS/Actor_01/03-01-song.wav"),
    ],
)
def test_a_foreign_file_is_named(tmp_path, corpus, name):
    layouts.write_audio(tmp_path / name)
    with pytest.raises(TaskError) as error:
        read(corpus, tmp_path)
    assert name in str(error.value)


def test_iemocap_unknown_label_code_names_the_label_file(tmp_path):
    layouts.iemocap(tmp_path, sessions=(1,))
    labels = tmp_path / "IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    labels.write_text(labels.read_text().replace("\tfru\t", "\tbla\t"))
    with pytest.raises(TaskError, match=r"Ses01F_impro01\.txt.*'bla'"):
        read("iemocap", tmp_path)


@pytest.mark.parametrize(
    "broken", ["[1.0 - 2.0]\tSes01F_impro01_F000\tneu", "[1.0 - 2.0]\t../../etc_F000\tneu\t[2, 2, 2]"]
)
def test_iemocap_bad_label_lines_are_named(tmp_path, broken):
    layouts.iemocap(tmp_path, sessions=(1,))
    labels = tmp_path / "IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    labels.write_text(labels.read_text() + broken + "\n")
    with pytest.raises(TaskError, match=r"Ses01F_impro01\.txt"):
        read("iemocap", tmp_path)


def test_iemocap_label_of_one_utterance_in_two_files_names_both(tmp_path):
    layouts.iemocap(tmp_path, sessions=(1,))
    folder = tmp_path / "IEMOCAP_full_release/Session1/dialog/EmoEvaluation"
    shutil.copy(folder / "Ses01F_impro01.txt", folder / "copy.txt")
    with pytest.raises(TaskError, match=r"Ses01F_impro01\.txt.*copy\.txt"):
        read("iemocap", tmp_path)


def test_one_stem_in_two_folders_is_read_once_or_names_both(tmp_path):
    once = read("emovo", layouts.emovo(tmp_path / "once", nested=False))
    layouts.emovo(tmp_path, nested=False)
    layouts.emovo(tmp_path, nested=True)
    twice = read("emovo", tmp_path)
    assert twice.drop(columns="path").equals(once.drop(columns="path"))
    assert not twice.path.str.contains("EMOVO/EMOVO").any()
    layouts.write_audio(tmp_path / "EMOVO" / "EMOVO" / "f1" / "neu-f1-b1.wav", 0.1)
    with pytest.raises(TaskError, match=r"1 files .*\n  the folder itself and EMOVO \(1 file, such as neu-f1-b1.wav\)"):
        read("emovo", tmp_path)
