"""What the readers of labelled tables say of the utterances, and of tables that are damaged."""

import shutil

import pytest

import tasks
from tasks import corpora, reading
from tasks.__main__ import main
from tasks.errors import TaskError
from tests.tasks import layouts


def read(name, tmp_path):
    corpus = corpora.module(name).CORPUS
    return reading.table(corpus, tmp_path, tmp_path / "cache")[1]


def test_meld(tmp_path):
    rows = read("meld", layouts.meld(tmp_path))
    row = rows.loc["test_dia1_utt6"]  # after a number that is skipped
    assert (row.turn, row.dialogue, row.partition, row.speaker) == (5, "test_dia1", "test", "Ross")
    assert rows.text.str.startswith("Oh, it’s ").all() and set(rows.polarity) == {"negative", "neutral", "positive"}
    task = tasks.load("meld3", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.utterances.duration.min() == pytest.approx(0.05) and task.utterances.duration.max() == 40
    assert task.problem.classes == ("negative", "neutral", "positive")


def test_names_that_repeat_in_every_folder_make_ids_of_their_own(tmp_path):
    assert read("savee", layouts.savee(tmp_path)).loc["JK_su01", ["speaker", "emotion"]].tolist() == ["JK", "surprise"]
    assert read("casia", layouts.casia(tmp_path)).loc["201-wangzhe-sad", "speaker"] == "wangzhe"
    # The flat copies of SAVEE have the same ids.
    for path in (tmp_path / "SAVEE" / "AudioData").rglob("*.wav"):
        path.rename(tmp_path / "SAVEE" / f"{path.parent.name}_{path.name}")
    assert read("savee", tmp_path).loc["JK_su01", "speaker"] == "JK"


def test_codes_of_the_acted_corpora(tmp_path):
    row = read("cafe", layouts.cafe(tmp_path)).loc["02-T-2-1"]
    assert (row.speaker, row.gender, row.emotion, row.intensity) == ("02", "female", "sadness", "high")
    row = read("subesco", layouts.subesco(tmp_path)).loc["F_10_FAHMEE_S_10_FEAR_1"]
    assert (row.speaker, row.gender, row.sentence, row.emotion) == ("F_10", "female", "10", "fear")
    row = read("shemo", layouts.shemo(tmp_path)).loc["M02W01"]
    assert (row.speaker, row.gender, row.emotion) == ("M02", "male", "surprise")
    row = read("aesdd", layouts.aesdd(tmp_path)).loc["f03 (6)"]
    assert (row.speaker, row.emotion, row.sentence) == ("6", "fear", "03")
    rows = read("resd", layouts.resd(tmp_path))
    assert rows.loc["07_happiness_enthusiasm e_010", ["emotion", "dialogue", "partition"]].tolist() == [
        "enthusiasm",
        "07",
        "train",
    ]
    rows = read("tess", layouts.tess(tmp_path))
    assert rows.loc["OA_bite_neutral", "speaker"] == "OAF" and rows.loc["YAF_bar_ps", "emotion"] == "surprise"
    rows = read("esd", layouts.esd(tmp_path))
    assert rows.loc["0001_000352", ["language", "emotion", "sentence"]].tolist() == ["zh", "anger", "zh2"]
    assert rows.loc["0013_001402", ["language", "sentence"]].tolist() == ["en", "en2"]


def test_cremads_votes_are_kept_and_ties_have_no_label(tmp_path):
    rows = read("cremad", layouts.cremad(tmp_path))
    assert rows.loc["1001_IEO_DIS_MD", "votes"] == "anger:neutral" and rows.vote.isna().sum() == 1
    assert rows.loc["1002_IEO_ANG_MD", ["vote", "gender", "intensity"]].tolist() == ["anger", "female", "medium"]
    assert rows.loc["1002_IEO_ANG_MD", ["age", "race", "ethnicity"]].tolist() == ["22", "Caucasian", "Not Hispanic"]
    task = tasks.load("cremad_vote", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.counts["excluded"] == {"none": 1}
    shutil.rmtree(tmp_path / "CREMA-D" / "processedResults")
    assert "votes" not in read("cremad", tmp_path)


def test_msp_podcast(tmp_path):
    rows = read("msp_podcast", layouts.msp_podcast(tmp_path))
    row = rows.loc["MSP-PODCAST_0004_0002"]
    assert (row.emotion, row.arousal, row.valence, row.partition) == ("happiness", 2.2, 5.8, "test")
    assert rows.loc["MSP-PODCAST_0002_0000", "speaker"] == "unknown of MSP-PODCAST_0002"
    assert rows[rows.index.str.endswith("0009")].emotion.isna().all()
    next(tmp_path.rglob("MSP-PODCAST_0004_0002.wav")).unlink()
    with pytest.raises(TaskError, match=r"MSP-PODCAST_0004_0002\.wav cannot be read"):
        tasks.load("msp_podcast", tasks.Options(tmp_path, tmp_path / "cache"))


def test_mosei_is_cut_from_whole_videos(tmp_path):
    rows = read("cmu_mosei", layouts.cmu_mosei(tmp_path))
    row = rows.loc["-3g5yACwYnA_4"]
    assert (row.start, row.end, row.sentiment, row.polarity, row.turn) == (1.2, 1.45, 0.6, "positive", 4)
    task = tasks.load("mosei", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.utterances.duration.round(2).eq(0.25).all() and task.definition.group_by == "video"
    assert tasks.load("mosei_binary", tasks.Options(tmp_path, tmp_path / "cache")).counts["excluded"] == {"neutral": 4}


@pytest.mark.parametrize(
    ("make", "name", "file", "old", "new", "words"),
    [
        ("meld", "meld", "train_sent_emo.csv", "Dialogue_ID", "Dialog", r"has no column Dialogue_ID"),
        ("meld", "meld", "train_sent_emo.csv", ",joy,", ",glee,", r"unknown emotion code 'glee'"),
        ("meld", "meld", "dev_sent_emo.csv", ",0,0,4,7", ",0,1,4,7", r"utterance 'dev_dia0_utt1' occurs twice"),
        ("cmu_mosi", "mosi", "label.csv", "-1.4", "-4.4", r"label\.csv.*sentiment -4\.4 is not within"),
        ("cmu_mosi", "mosi", "label.csv", ",train", ",training", r"label\.csv: unknown mode code"),
        ("cmu_mosei", "mosei", "99331.txt", "99331___5", "99331___9", r"99331\.txt: has no clip 5"),
        ("cmu_mosei", "mosei", "99331.txt", "___0.30", "___x", r"99331\.txt, line 1"),
        ("msp_podcast", "msp_podcast", "labels_consensus.csv", "Test1", "Exam", r"consensus\.csv: unknown split code"),
        ("msp_podcast", "msp_podcast", "labels_consensus.csv", "A,1.0", "A,loud", r"0000\.wav: EmoAct, .* numbers"),
        ("m3ed", "m3ed", "annotation.json", '"Speaker"', '"Who"', r"annotation\.json: dialogue huanlesong_1"),
        ("m3ed", "m3ed", "annotation.json", "}", "", r"annotation\.json: is not whole JSON"),
        ("m3ed", "m3ed", "movie_list_test.txt", "xiangjianni", "other", r"unknown series code 'xiangjianni'"),
        ("nemo", "nemo", "data.tsv", "\tfemale", "", r"data\.tsv, line 2: has 6 columns and not 7"),
    ],
)
def test_a_damaged_table_is_named_with_what_is_wrong(tmp_path, make, name, file, old, new, words):
    getattr(layouts, make)(tmp_path)
    path = next(tmp_path.rglob(file))
    text = path.read_text(encoding="latin-1")
    assert old in text
    path.write_text(text.replace(old, new), encoding="latin-1")
    with pytest.raises(TaskError, match=words):
        tasks.load(name, tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_label_that_points_elsewhere_reads_nothing_there(tmp_path):
    layouts.cmu_mosi(tmp_path)
    labels = tmp_path / "MOSI" / "label.csv"
    labels.write_text(labels.read_text().replace("a-b,1", "../../../../elsewhere,1"))
    layouts.write_audio(tmp_path / "elsewhere_1.wav")
    rows = read("cmu_mosi", tmp_path)
    assert len(rows) == 19 and all(path.startswith(str(tmp_path / "MOSI")) for path in rows.path)


@pytest.mark.parametrize(("make", "file"), [("meld", "test_sent_emo.csv"), ("m3ed", "annotation.json")])
def test_a_missing_or_foreign_table_is_named(tmp_path, make, file):
    getattr(layouts, make)(tmp_path)
    path = next(tmp_path.rglob(file))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\n", b"\n\x81", 1) if b"\n" in content else b"\x81" + content)
    with pytest.raises(TaskError, match=rf"{file}, line \d: the byte 0x81 is no utf-8"):
        read(make, tmp_path)
    path.write_bytes(content.decode().encode("utf-16"))
    assert len(read(make, tmp_path))
    path.unlink()
    with pytest.raises(TaskError, match=rf"{file}: the label file is missing"):
        read(make, tmp_path)


def test_audio_that_no_label_names_is_told(tmp_path, capsys):
    layouts.meld(tmp_path)
    home = tmp_path / "MELD.Raw" / layouts.MELD_FOLDERS["dev"]
    shutil.copy(home / "dia0_utt0.wav", home / "dia9_utt0.wav")
    assert main(["check", "meld", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 1
    assert "1 audio files without a label" in capsys.readouterr().out
    shutil.copy(home / "dia0_utt0.wav", home / "notes.wav")
    with pytest.raises(TaskError, match=r"notes\.wav: not a MELD clip"):
        read("meld", tmp_path)


def test_m3ed(tmp_path):
    rows = read("m3ed", layouts.m3ed(tmp_path))
    row = rows.loc["B_zhengyangmenxia_1_3"]
    assert (row.speaker, row.partition, row.turn, row.dialogue) == (
        "zhengyangmenxia Li B",
        "train",
        2,
        "zhengyangmenxia_1",
    )
    assert rows.text.eq("你好").all() and rows.partition.value_counts().to_dict() == {
        "train": 28,
        "dev": 14,
        "test": 14,
    }
