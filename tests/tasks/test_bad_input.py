"""What users bring: one clear message, naming the file and the remedy."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import random_split

import tasks
from tasks import corpora, definition
from tasks.errors import TaskError
from tests.tasks import layouts
from tests.tasks.copies.test_audio_check import write_bad
from tests.tasks.layouts import write_audio


@pytest.mark.parametrize("folder", [None, "EmoDB", "EmoDB/wav"])
def test_an_absent_corpus_says_how_to_get_it_and_where_to_put_it(tmp_path, folder):
    if folder:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(TaskError, match=r"emodb is absent.*emodb\.bilderbar\.info") as error:
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert str(tmp_path / "emodb") in str(error.value)


def test_a_data_folder_that_does_not_exist_is_an_absent_corpus(tmp_path):
    with pytest.raises(TaskError, match="emodb is absent"):
        tasks.load("emodb", tasks.Options(tmp_path / "nowhere", tmp_path / "cache"))
    assert {row.state for row in tasks.describe(tmp_path / "nowhere") if not row.synthetic} == {"absent"}


def test_a_partial_corpus_runs_and_tells_its_counts(tmp_path):
    task = tasks.load("emodb", tasks.Options(layouts.emodb(tmp_path), tmp_path / "cache"))
    assert "partial" in task.marks
    note = next(note for note in task.notes if "not a complete copy" in note)
    for words in ("utterances 56 of 535", "speakers 4 of 10", "anger 8 of 127", "emodb.bilderbar.info"):
        assert words in note
    assert str(tmp_path) not in " ".join(task.notes)  # notes go into records
    row = next(row for row in tasks.describe(tmp_path) if row.task == "emodb")
    assert (row.state, row.files) == ("partial", "56/535 files")
    (unknown,) = [row for row in tasks.describe(tmp_path) if row.task == "msp_podcast"]
    assert unknown.files == "0 files", "the number of a complete copy is not known"


def test_unusable_audio_is_named_all_of_it_and_can_be_left_out(tmp_path):
    layouts.emodb(tmp_path)
    wav = tmp_path / "EmoDB" / "wav"
    (tmp_path / "bad").mkdir()
    bad = {path for path in write_bad(tmp_path / "bad").values() if path.exists()}
    names = []
    for path, victim in zip(sorted(bad), sorted(wav.iterdir()), strict=False):
        victim.unlink()
        shutil.copy(path, victim.with_suffix(path.suffix))
        names.append(victim.with_suffix(path.suffix).name)
    with pytest.raises(TaskError) as error:
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert f"{len(names)} of 56 audio files cannot be used" in str(error.value) and "--skip-bad" in str(error.value)
    assert len(names) == 10 and all(name in str(error.value) for name in names)
    task = tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache", skip_bad=True))
    assert f"skipped:{len(names)}" in task.marks and task.counts["bad_files"] == len(names)
    assert len(task.utterances) == 56 - len(names) == len(task.problem.ids)
    assert any(Path(names[0]).stem in note for note in task.notes)
    assert str(tmp_path) not in " ".join(task.notes)


def test_of_many_unusable_files_ten_are_named_and_all_are_counted(tmp_path):
    layouts.emodb(tmp_path)
    for path in (tmp_path / "EmoDB" / "wav").iterdir():
        path.write_bytes(b"")
    with pytest.raises(TaskError) as error:
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache", skip_bad=True))
    assert "56 of 56" in str(error.value) and "and 46 more" in str(error.value)
    assert str(error.value).count("is empty") == 10


def test_very_short_and_very_long_audio_is_fine(tmp_path):
    layouts.emodb(tmp_path)
    write_audio(tmp_path / "EmoDB" / "wav" / "03a04Wa.wav", 0.02)
    soundfile.write(tmp_path / "EmoDB" / "wav" / "03a05Wa.wav", np.zeros(1200 * 16000, dtype=np.int16), 16000)
    task = tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.utterances.duration[["03a04Wa", "03a05Wa"]].tolist() == [0.02, 1200]


def test_a_label_that_no_map_knows_names_label_file_and_definition(tmp_path, definitions):
    layouts.emodb(tmp_path)
    folder = tmp_path / "definitions"
    folder.mkdir()
    text = definition.path("emodb").read_text().replace("  boredom: [boredom]\n", "")
    (folder / "emodb.yaml").write_text(text)
    definitions(folder)
    with pytest.raises(TaskError, match=r"03a01La\.wav: label 'boredom' .*definitions/emodb\.yaml \(8 such"):
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    (folder / "emodb.yaml").write_text(text + "drop: [boredom]\n")
    definition.read.cache_clear()
    assert tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache")).counts["excluded"] == {"boredom": 8}


@pytest.mark.parametrize(
    ("change", "words"), [("where: {intensity: [strong]}", "'intensity'"), ("target: sentiment", "'sentiment'")]
)
def test_a_column_that_the_corpus_lacks_is_named(tmp_path, definitions, change, words):
    layouts.emodb(tmp_path)
    (tmp_path / "emodb.yaml").write_text(definition.path("emodb").read_text() + change + "\n")
    definitions(tmp_path)
    with pytest.raises(TaskError, match=f"has no column {words}"):
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_where_keeps_only_what_it_names(tmp_path, definitions):
    layouts.emodb(tmp_path)
    (tmp_path / "emodb.yaml").write_text(definition.path("emodb").read_text() + "where: {sentence: [a01]}\n")
    definitions(tmp_path)
    assert set(tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache")).utterances.sentence) == {"a01"}


@pytest.mark.parametrize("speakers", [("03",), ("03", "08")])
def test_too_few_speakers_are_told(tmp_path, speakers):
    layouts.emodb(tmp_path, speakers)
    with pytest.raises(TaskError, match=r"emodb: .*speakers: 03"):
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_class_missing_from_train_stops_the_task_and_from_test_is_noted(tmp_path):
    layouts.emodb(tmp_path, emotions="WLEAFN")
    for speaker in ("03", "08", "09"):
        write_audio(tmp_path / "EmoDB" / "wav" / f"{speaker}a01Ta.wav")
    task = tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "test lacks classes in 1 of 4 folds: speaker 10 (6 of 7)" in task.notes
    for speaker in ("08", "09"):
        (tmp_path / "EmoDB" / "wav" / f"{speaker}a01Ta.wav").unlink()
    with pytest.raises(TaskError, match="fold 'speaker 03': train has no utterance of sadness"):
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_identical_audio_is_marked_and_stops_only_where_it_crosses(tmp_path):
    layouts.emodb(tmp_path)
    wav = tmp_path / "EmoDB" / "wav"
    shutil.copy(wav / "03a01Wa.wav", wav / "03a01Wb.wav")
    task = tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "identical_audio" in task.marks and task.audit.identical_audio == (("03a01Wa", "03a01Wb"),)
    assert "identical audio: 03a01Wa = 03a01Wb" in task.notes
    shutil.copy(wav / "03a01Wa.wav", wav / "08a01Wb.wav")
    with pytest.raises(TaskError, match=r"08a01Wb\.wav"):
        tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_lossy_copies_of_a_lossless_corpus_are_marked(tmp_path):
    layouts.emodb(tmp_path / "wav")
    layouts.emodb(tmp_path / "opus", suffix=".opus")
    assert "lossy_audio" not in tasks.load("emodb", tasks.Options(tmp_path / "wav", tmp_path / "cache")).marks
    assert "lossy_audio" in tasks.load("emodb", tasks.Options(tmp_path / "opus", tmp_path / "cache")).marks


def test_a_limit_keeps_speakers_and_classes_and_warns_of_no_split(tmp_path):
    layouts.emodb(tmp_path, speakers=("03", "08", "09", "10", "11"))
    task = tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache", limit=35))
    assert len(task.utterances) == 35 and task.counts["speakers"] == 5
    assert not any("classes" in note or "shares" in note for note in task.notes)  # of no concern in a smoke run
    assert set(task.counts["classes"].values()) == {5}
    assert task.audit.hash == tasks.load("emodb", tasks.Options(tmp_path, tmp_path / "cache", limit=35)).audit.hash


@pytest.mark.parametrize("place", ["EmoDB/wav", "URDU/Sad", "IEMOCAP/Session1/sentences/wav/Ses01F_impro01"])
def test_a_name_that_is_not_utf8_is_told_with_its_bytes_escaped(tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True)
    odd = os.fsencode(folder) + b"/Ses01F_\xe9.wav"
    try:
        Path(os.fsdecode(odd)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(TaskError, match=r"Ses01F_\\udce9\.wav.*not UTF-8") as error:
        tasks.load(place.split("/")[0].lower(), tasks.Options(tmp_path, tmp_path / "cache"))
    str(error.value).encode()
    with pytest.raises(TaskError, match="not UTF-8"):
        corpora.module("demo").read(Path(os.fsdecode(b"/\xe9")))


def test_the_result_of_a_load_does_not_depend_on_where_the_data_lie(tmp_path):
    one = tasks.load("emodb", tasks.Options(layouts.emodb(tmp_path / "a"), tmp_path / "cache"))
    two = tasks.load("emodb", tasks.Options(layouts.emodb(tmp_path / "b"), tmp_path / "other", jobs=3))
    assert one.audit == two.audit and one.counts == two.counts


def superb_files(data) -> dict[str, list[str]]:
    """s3prl's split files of the tree, in an order of their own; its training lists by session."""
    home, lists = data / "IEMOCAP_full_release", {}
    kept = {"ang": "ang", "hap": "hap", "exc": "hap", "sad": "sad", "neu": "neu"}
    entries = {str(k): [] for k in range(1, 6)}
    for labels in sorted(home.glob("Session*/dialog/EmoEvaluation/Ses*.txt"), reverse=True):
        for line in labels.read_text().splitlines():
            parts = line.split("\t")
            if line.startswith("[") and parts[2] in kept:
                session = labels.parts[-4]
                path = f"{session}/sentences/wav/{labels.stem}/{parts[1]}.wav"
                entries[session[-1]].append({"path": path, "label": kept[parts[2]], "speaker": parts[1][:6]})
    for k in entries:
        train = [entry for j in reversed(entries) if j != k for entry in entries[j]]
        for part, listed in (("train", train), ("test", entries[k])):
            path = home / "meta_data" / f"Session{k}" / f"{part}_meta_data.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"labels": {}, "meta_data": listed}))
        lists[k] = [entry["path"].split("/")[-1].removesuffix(".wav") for entry in train]
    return lists


def test_superb_without_split_files_is_its_rule_with_another_draw(tmp_path):
    layouts.iemocap(tmp_path)
    task = tasks.load("iemocap_superb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "dev_speakers_shared" in task.marks and any("other draw" in note for note in task.notes)
    for fold in task.problem.folds:
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (64, 16, 20) and not fold.inner


def test_superb_with_s3prls_split_files_repeats_its_very_draw(tmp_path):
    layouts.iemocap(tmp_path)
    lists = superb_files(tmp_path)
    task = tasks.load("iemocap_superb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert any("s3prl's own draw" in note for note in task.notes)
    for k, fold in enumerate(task.problem.folds, start=1):
        listed = lists[str(k)]
        torch.manual_seed(0)
        train, dev = random_split(listed, [int(0.8 * len(listed)), len(listed) - int(0.8 * len(listed))])
        assert set(task.problem.ids[fold.train]) == set(train) and set(task.problem.ids[fold.dev]) == set(dev)
        assert not fold.inner
    assert tasks.load("iemocap", tasks.Options(tmp_path, tmp_path / "cache")).marks == ("partial",)


@pytest.mark.parametrize("damage", ["missing", "text", "short"])
def test_superb_split_files_that_do_not_fit_are_named(tmp_path, damage):
    layouts.iemocap(tmp_path)
    superb_files(tmp_path)
    path = tmp_path / "IEMOCAP_full_release/meta_data/Session3/train_meta_data.json"
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_text("{}")
    else:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({"meta_data": content["meta_data"][1:]}))
    with pytest.raises(TaskError, match=r"Session3/train_meta_data\.json"):
        tasks.load("iemocap_superb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_reader_that_raises_is_named_with_its_line(tmp_path, monkeypatch):
    data = layouts.emodb(tmp_path)
    module = corpora.module("emodb")

    def read(root):
        raise ValueError("not enough values to unpack")

    monkeypatch.setattr(module, "read", read)
    with pytest.raises(TaskError, match=r"emodb cannot be read.*ValueError: not enough.*test_bad_input.py, line \d+"):
        tasks.load("emodb", tasks.Options(data, tmp_path / "cache"))
