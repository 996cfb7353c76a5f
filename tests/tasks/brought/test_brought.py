"""csv: and emobox:, tasks from files that a user brings."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tasks
from commons.errors import UnknownName
from tasks import corpora as registry
from tasks import transcripts, utterances
from tasks.__main__ import main
from tasks.errors import TaskError
from tests.tasks import layouts
from tests.tasks.layouts import write_audio


def table(folder, columns="path,speaker,emotion", speakers=4, more=""):
    """mine.csv with two takes of two emotions of each speaker, and their audio."""
    lines = [columns + more]
    for speaker in range(speakers):
        for emotion in ("anger", "calm"):
            for take in (1, 2):
                place = f"sound/s{speaker}_{emotion}_{take}.wav"
                write_audio(folder / place)
                facts = {
                    "path": place,
                    "speaker": f"s{speaker}",
                    "emotion": emotion,
                    "arousal": f"{take + speaker / 8}",
                }
                facts |= {"partition": ("train", "train", "dev", "test")[speaker % 4], "fold": f"f{speaker // 2}"}
                lines.append(",".join(facts[column] for column in columns.split(",")) + "," * bool(more))
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    return folder / "mine.csv"


def load(file, tmp_path, column=""):
    name = f"csv:{file}{column}"
    assert tasks.resolve([name], tmp_path) == [name]
    return tasks.load(name, tasks.Options(tmp_path / "nowhere", tmp_path / "cache"))


@pytest.mark.parametrize(("speakers", "folds"), [(4, 4), (10, 10), (12, 5)])
def test_a_table_is_a_task_with_speakers_apart(tmp_path, monkeypatch, speakers, folds):
    monkeypatch.chdir(tmp_path)
    task = load(table(tmp_path, speakers=speakers), tmp_path)
    assert (task.name, len(task.problem.folds)) == ("csv:mine", folds)
    assert task.counts["classes"] == {"anger": 2 * speakers, "calm": 2 * speakers} and not task.marks
    assert all(fold.rest_and_test["speakers"] == 0 for fold in task.audit.folds)
    assert "sound-s0_anger_1" in task.utterances.index and tasks.family(task.corpus.name) == ["csv:mine"]
    assert str(tmp_path) not in json.dumps([task.definition.model_dump(mode="json"), task.notes])


def test_a_table_of_a_known_corpuss_recordings_is_of_its_family(tmp_path, capsys):
    """Of links, of copies, and of the very files; and a table of other recordings is its own family."""
    home = layouts.emodb(tmp_path / "data")
    corpus = tasks.load("emodb", tasks.Options(tmp_path / "data", tmp_path / "cache"))
    for place, put in (("copied", shutil.copyfile), ("linked", os.symlink), ("itself", None)):
        folder = tmp_path / place
        folder.mkdir()
        lines = ["path,speaker,emotion"]
        for utterance, row in corpus.utterances.iterrows():
            path = f"{utterance}{Path(row.path).suffix}"
            if put:
                put(row.path, folder / path)
            lines.append(f"{path if put else row.path},{row.speaker},{row.emotion}")
        (folder / "mine.csv").write_text("\n".join(lines) + "\n")
        audio = None if put else home
        options = tasks.Options(tmp_path / "data", tmp_path / "cache", audio=audio)
        task = tasks.load(f"csv:{folder / 'mine.csv'}=Mine", options)
        assert (task.family, task.known_corpus, task.corpus.name) == (corpus.family, "emodb", "Mine")
        assert task.reading.cite == corpus.reading.cite == {"emodb": corpus.corpus.cite}
        assert tasks.load(f"shots:csv:{folder / 'mine.csv'}=Mine,1", options).family == corpus.family
        elsewhere = tasks.load(f"csv:{folder / 'mine.csv'}=Mine", replace(options, data=tmp_path / "nowhere"))
        assert elsewhere.family == elsewhere.known_corpus == "Mine" and elsewhere.reading.cite == {"Mine": ()}
        assert (elsewhere.audit, elsewhere.definition, elsewhere.marks) == (task.audit, task.definition, task.marks)
    places = ["--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    assert main(["check", f"csv:{tmp_path / 'copied' / 'mine.csv'}", *places]) == 0
    assert "the recordings are those of emodb: 56 of 56 files compared are the same" in capsys.readouterr().out
    other = tasks.load(f"csv:{table(tmp_path)}=Other", tasks.Options(tmp_path / "data", tmp_path / "cache"))
    assert other.family == "Other" and not any("the recordings are those of" in note for note in other.notes)


def test_an_official_partition_may_share_speakers_and_is_marked(tmp_path):
    file = table(tmp_path, columns="path,speaker,emotion,partition")
    file.write_text(file.read_text().replace("s3,", "s0,"))
    task = load(file, tmp_path)
    assert "speakers_shared" in task.marks and task.audit.folds[0].rest_and_test["speakers"] == 1
    file.write_text(file.read_text().replace("partition", "fold"))
    with pytest.raises(TaskError, match="speakers are in train and test: s0; put each speaker into one fold"):
        load(file, tmp_path)


def test_tables_of_one_name_in_two_folders_are_two_tasks(tmp_path, monkeypatch):
    folders = [tmp_path / "home" / "a", tmp_path / "home" / "b", tmp_path / "elsewhere" / "a"]
    for folder in folders:
        folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home")
    result = [load(table(folder), tmp_path) for folder in folders]
    assert [task.name for task in result[:2]] == ["csv:a/mine", "csv:b/mine"]
    assert re.fullmatch(r"csv:mine~[0-9a-f]{8}", result[2].name)
    assert all(task.corpus.name == task.corpus.family == task.name for task in result)
    monkeypatch.chdir(tmp_path)
    assert load(folders[2] / "mine.csv", tmp_path).name == "csv:elsewhere/a/mine"


def test_values_and_official_parts_and_folds_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = load(table(tmp_path, "path,speaker,emotion,arousal,partition"), tmp_path, "#arousal")
    assert (task.problem.kind, task.name, task.definition.headline) == ("regression", "csv:mine#arousal", "CCC")
    (fold,) = task.problem.folds
    assert (len(fold.train), len(fold.dev), len(fold.test), fold.inner) == (8, 4, 4, ())
    with pytest.raises(TaskError, match="fewer than two speakers"):
        load(table(tmp_path, "path,speaker,emotion,fold", speakers=3), tmp_path)
    task = load(table(tmp_path, "path,speaker,emotion,fold", speakers=6), tmp_path)
    assert [fold.name for fold in task.problem.folds] == ["fold f0", "fold f1", "fold f2"]


@pytest.mark.parametrize(("trained", "shares"), [(2, True), (3, False), (9, False)])
def test_without_a_dev_part_speakers_of_train_are_dev_where_there_are_enough(tmp_path, trained, shares):
    file = table(tmp_path, "path,speaker,emotion,partition", speakers=trained + 1)
    head, *rows = file.read_text().splitlines()
    rows = [row.rpartition(",")[0] + (",test" if f"s{trained}," in row else ",train") for row in rows]
    file.write_text("\n".join([head, *rows]))
    task = load(file, tmp_path)
    (fold,) = task.problem.folds
    speakers = [set(task.problem.speaker[part]) for part in (fold.train, fold.dev)]
    assert bool(speakers[0] & speakers[1]) == shares == ("dev_speakers_shared" in task.marks)
    assert len(speakers[0] | speakers[1]) == trained and set(task.problem.targets[fold.dev]) == {0, 1}
    assert sorted(np.concatenate(fold.inner)) == sorted([*fold.train, *fold.dev])


def test_absolute_paths_within_the_tables_folder_are_the_same_task(tmp_path):
    file = table(tmp_path)
    relative = load(file, tmp_path)
    file.write_text(file.read_text().replace("sound/", f"{tmp_path}/sound/"))
    assert load(file, tmp_path).audit.hash == relative.audit.hash


def test_columns_may_be_written_in_any_case(tmp_path):
    file = table(tmp_path, "path,speaker,emotion,arousal")
    small = load(file, tmp_path)
    file.write_text(file.read_text().replace("path,speaker,emotion,arousal", "Path,SPEAKER, Emotion,Arousal", 1))
    assert load(file, tmp_path).audit.hash == small.audit.hash
    assert load(file, tmp_path, "#Arousal").problem.kind == "regression"


def test_without_speakers_the_task_says_so(tmp_path):
    task = load(table(tmp_path, "path,emotion,partition"), tmp_path)
    assert task.marks == ("speakers_unknown",) and task.definition.group_by == "utterance"
    assert list(task.problem.groups) == list(task.problem.ids)


def test_columns_without_use_are_told_and_empty_labels_counted(tmp_path):
    file = table(tmp_path, more=",mood")
    file.write_text(file.read_text().replace("sound/s0_anger_1.wav,s0,anger", "sound/s0_anger_1.wav,s0,"))
    task = load(file, tmp_path)
    assert "columns that are not used: mood" in task.notes and task.counts["excluded"] == {"none": 1}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path,speaker", "sound,speaker", r"mine\.csv: has no column path"),
        ("path,speaker,emotion", "path,Emotion,emotion", r"mine\.csv: columns 'Emotion' and 'emotion' have one name"),
        ("emotion", "feeling", r"mine\.csv: has no column emotion, arousal.* columns are path, speaker, feeling"),
        ("speaker,", "talker,", r"mine\.csv: has no column speaker, partition, fold, so there is nothing to split by"),
        ("sound/s0_anger_1.wav", "../s0_anger_1.wav", r"row 2: path '\.\./s0_anger_1\.wav' is not within"),
        ("sound/s0_anger_1.wav", "/etc/passwd", r"row 2: path '/etc/passwd' is not within"),
        ("sound/s0_anger_2.wav", "sound/s0_anger_1.wav", r"'sound-s0_anger_1' occurs twice: in .*row 2 and in .*row 3"),
        ("sound/s0_anger_2.wav", "sound/nothing.wav", r"nothing\.wav cannot be read"),
        (",s0,anger", ",,anger", "speaker is empty for 'sound-s0_anger_1'"),
        (",calm", ",anger", r"one class only \(anger\)"),
        ("s0_anger_1.wav,s0,anger", "s0_anger_1.wav", r"mine\.csv, line 2: has 1 values for 3 columns"),
    ],
)
def test_a_wrong_table_names_file_and_row(tmp_path, old, new, words):
    file = table(tmp_path)
    file.write_text(
        file.read_text().replace(old, new) if old != "sound/s0_anger_1.wav" else file.read_text().replace(old, new, 1)
    )
    with pytest.raises(TaskError, match=words):
        load(file, tmp_path)


def test_slashes_in_ids_become_dashes_where_no_two_become_one(tmp_path):
    file = table(tmp_path)
    head, *rows = file.read_text().splitlines()
    named = [f"s{i // 4}{'/' if i % 2 else chr(92)}u{i},{row}" for i, row in enumerate(rows)]
    file.write_text("\n".join([f"id,{head}", *named]))
    assert load(file, tmp_path).utterances.index.tolist()[:5] == ["s0-u0", "s0-u1", "s0-u2", "s0-u3", "s1-u4"]
    (tmp_path / "asr.csv").write_text("id,text\ns0/u1,well\n")
    assert transcripts.read(tmp_path / "asr.csv").texts == {"s0-u1": "well"}
    file.write_text("\n".join([f"id,{head}", *named, "s0-u1," + rows[0]]))
    with pytest.raises(TaskError, match=r"row 18: 's0-u1' and 's0/u1' would both have the id 's0-u1'; rename one"):
        load(file, tmp_path)


def test_an_id_of_a_reader_with_a_slash_and_a_path_out_of_the_corpus_have_messages_of_their_own(tmp_path):
    with pytest.raises(TaskError, match=r"the id 's0/u0' has a slash"):
        utterances.table([{"id": "s0/u0", "path": tmp_path / "a.wav"}])
    with pytest.raises(TaskError, match=r"utterance 'u0' points outside its corpus \(.*\.\./a\.wav\)"):
        utterances.table([{"id": "u0", "path": tmp_path / ".." / "a.wav"}])


def test_a_column_of_numbers_that_are_no_values_is_refused(tmp_path):
    file = table(tmp_path)
    file.write_text(file.read_text().replace(",emotion", ",channel").replace(",anger", ",0").replace(",calm", ",1"))
    with pytest.raises(TaskError, match="column channel holds numbers that are no classes"):
        tasks.load(f"csv:{file}#channel", tasks.Options(tmp_path, tmp_path / "cache"))


@pytest.mark.parametrize(("column", "value"), [("arousal", "loud"), ("arousal", "nan"), ("partition", "exam")])
def test_a_wrong_value_names_file_and_row(tmp_path, column, value):
    file = table(tmp_path, "path,speaker,emotion,arousal,partition")
    lines = file.read_text().splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(column)] = value
    file.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]))
    with pytest.raises(TaskError, match=rf"mine\.csv, row 4.*{column}.*{value}"):
        load(file, tmp_path)


def test_a_table_in_another_encoding_or_none_is_told(tmp_path):
    file = table(tmp_path)
    file.write_bytes(file.read_bytes().replace(b",calm", ",gêné".encode("latin-1")))
    with pytest.raises(TaskError, match=r"mine\.csv, line 4: the byte 0xea is no utf-8 text; save it"):
        load(file, tmp_path)
    file.write_text(file.read_text(encoding="latin-1"), encoding="utf-8-sig")  # as spreadsheets write it
    assert load(file, tmp_path).problem.classes == ("anger", "gêné")
    file.write_text("path,emotion,speaker\n")
    with pytest.raises(TaskError, match="no row"):
        load(file, tmp_path)
    with pytest.raises(TaskError, match="there is no file"):
        tasks.resolve([f"csv:{tmp_path / 'none.csv'}"], tmp_path)


def emobox(data, home="EmoBox/data", map_key="anger", schema=("wav", "emo")):
    """EmoBox's files for a small EmoDB: two folds, and an older schema of one of them."""
    place = data / home / "emodb"
    stems = sorted(path.stem for path in (data / "EmoDB" / "wav").iterdir())
    words = dict(layouts.EMODB, W="anger", L="boredem", F="happy", T="sad")
    for number in (1, 2):
        test = [stem for stem in stems if stem.startswith(("03", "08") if number == 1 else ("09", "10"))]
        for part, chosen in (("test", test), ("train", [stem for stem in stems if stem not in test])):
            folder = place / f"fold_{number}"
            folder.mkdir(parents=True, exist_ok=True)
            lines = [
                {"key": f"emodb-{s}", schema[0]: f"downloads/emodb/wav/{s}.wav", schema[1]: words[s[5]]} for s in chosen
            ]
            for name in (f"_{number}", f"{number}") if number == 1 else (f"_{number}",):
                text = "".join(json.dumps(line) + "\n" for line in lines)
                (folder / f"emodb_{part}_fold{name}.jsonl").write_text(text)
    labels = {map_key: "Angry", "boredem": "Boredom", "disgust": "Disgust", "fear": "Fear", "happy": "Happy"}
    (place / "label_map.json").write_text(json.dumps(labels | {"Neutral": "Neutral", "sad": "Sad"}))
    return place


@pytest.mark.parametrize("schema", [("wav", "emo"), ("audio", "label")])
def test_emoboxs_folds_are_run_and_its_defects_told(tmp_path, schema):
    emobox(layouts.emodb(tmp_path), schema=schema)
    assert tasks.resolve(["emobox:emodb"], tmp_path) == ["emobox:emodb"]
    task = tasks.load("emobox:emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert [len(fold.test) for fold in task.problem.folds] == [28, 28] and set(task.counts["classes"].values()) == {8}
    assert "labels that EmoBox's label map lacks or spells otherwise: 'neutral' (8)" in task.notes
    assert "2 of EmoBox's fold files exist in two schemas; the newer one is read" in task.notes
    assert "speakers_shared" not in task.marks and all(f.matches for f in task.definition.published)
    assert task.reading.cite["emodb"] == task.corpus.cite and task.reading.cite["EmoBox's folds"]
    for fold in task.problem.folds:
        assert len(fold.dev) == 7 and not fold.inner and not np.intersect1d(fold.train, fold.dev).size


def test_emoboxs_dev_part_is_taken_out_of_train(tmp_path):
    place = emobox(layouts.emodb(tmp_path)) / "fold_2"
    lines = (place / "emodb_train_fold_2.jsonl").read_text().splitlines()
    (place / "emodb_valid_fold_2.jsonl").write_text("\n".join(lines[::2]) + "\n")
    task = tasks.load("emobox:emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    fold = task.problem.folds[1]
    assert (len(fold.train), len(fold.dev)) == (14, 14)
    assert "14 utterances of dev or test were in train, too; they are removed from train" in task.notes


def test_emobox_of_a_part_of_a_corpus_tells_what_is_lost(tmp_path):
    emobox(layouts.emodb(tmp_path))
    (tmp_path / "EmoDB" / "wav" / "03a01Wa.wav").unlink()
    task = tasks.load("emobox:emodb", tasks.Options(tmp_path, tmp_path / "cache"))
    assert "partial" in task.marks and "1 of 56 utterances that EmoBox lists are missing in this copy" in task.notes
    shutil.rmtree(tmp_path / "EmoDB" / "wav")
    with pytest.raises(TaskError, match="emodb is absent"):
        tasks.load("emobox:emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_emobox_runs_a_corpus_that_has_no_reader_from_a_folder_that_is_named(tmp_path):
    layouts.emodb(tmp_path)
    place = emobox(tmp_path, home="files")
    for path in sorted(place.rglob("*.jsonl")):
        path.write_text(path.read_text().replace("emodb", "polish"))
        path.rename(path.with_name(path.name.replace("emodb", "polish")))
    place.rename(place.with_name("polish"))
    (tmp_path / "EmoDB").rename(tmp_path / "Polish")
    assert tasks.resolve(["emobox:polish"], tmp_path, emobox=tmp_path / "files") == ["emobox:polish"]
    task = tasks.load("emobox:polish", tasks.Options(tmp_path, tmp_path / "cache", emobox=tmp_path / "files"))
    assert "speakers_unknown" in task.marks and len(task.utterances) == 56 and task.definition.group_by == "utterance"


def test_emobox_tells_files_of_one_name_by_their_folders(tmp_path):
    layouts.casia(tmp_path)
    place = tmp_path / "EmoBox" / "casia" / "fold_1"
    place.mkdir(parents=True)
    for part, speakers in (("train", ("wangzhe", "zhaoquanyin", "ZhaoZuoxiang")), ("test", ("liuchanhg",))):
        lines = [
            json.dumps({"key": "k", "wav": f"downloads/casia/{speaker}/{emotion}/{sentence}.wav", "emo": emotion})
            for speaker in speakers
            for emotion in ("angry", "fear", "happy", "neutral", "sad", "surprise")
            for sentence in (201, 202)
        ]
        (place / f"casia_{part}_fold_1.jsonl").write_text("\n".join(lines) + "\n")
    task = tasks.load("emobox:casia", tasks.Options(tmp_path, tmp_path / "cache"))
    assert set(task.problem.speaker[task.problem.folds[0].test]) == {"liuchanhg"} and len(task.utterances) == 48
    assert not any("labels differ" in note for note in task.notes)


@pytest.mark.parametrize("damage", ["missing", "text"])
def test_broken_fold_files_are_named(tmp_path, damage):
    path = emobox(layouts.emodb(tmp_path)) / "fold_2" / "emodb_test_fold_2.jsonl"
    path.unlink() if damage == "missing" else path.write_text('{"key": "k"}\n')
    with pytest.raises(TaskError, match=r"emodb_test_fold_2\.jsonl"):
        tasks.load("emobox:emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_an_unknown_corpus_of_emobox_or_no_files_at_all_are_told(tmp_path):
    with pytest.raises(TaskError, match="EMOREP_EMOBOX"):
        tasks.resolve(["emobox:emodb"], tmp_path)
    emobox(layouts.emodb(tmp_path))
    with pytest.raises(UnknownName, match="did you mean emodb"):
        tasks.resolve(["emobox:emodbb"], tmp_path)


@pytest.mark.parametrize(
    ("name", "tests", "shared"),
    [("emodb", [107] * 5, 10), ("urdu", [100], 18), ("emovo", [98] * 6, 0), ("ravdess", [240] * 6, 0)],
)
def test_emoboxs_own_files_on_the_real_corpora(corpora, reference, pytestconfig, name, tests, shared):
    task = tasks.load(
        f"emobox:{name}",
        tasks.Options(corpora, pytestconfig.cache.mkdir("emorep"), emobox=reference / "emobox", jobs=2),
    )
    assert [len(fold.test) for fold in task.problem.folds] == tests
    assert max(fold.rest_and_test["speakers"] for fold in task.audit.folds) == shared
    assert ("speakers_shared" in task.marks) == bool(shared)
    assert task.counts["classes"] == registry_classes(name)
    assert not any("labels differ" in note for note in task.notes)


def registry_classes(name):
    return dict(registry.module(name).CORPUS.classes)
