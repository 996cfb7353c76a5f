"""Tables as people write them: encodings, separators, headings, labels, paths, names."""

import re
import shutil
from dataclasses import replace

import pytest

import tasks
from commons.errors import Refused
from tasks import corpora, spellings
from tasks.__main__ import main
from tasks.catalogue import names
from tasks.definition import path, read
from tasks.errors import TaskError
from tests.tasks.brought.test_brought import load, table
from tests.tasks.layouts import write_audio


def rewritten(file, *changes):
    """The table with texts replaced, each as often as it is there."""
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encodings_and_separators_are_found_out(tmp_path, encoding, separator):
    file = table(tmp_path)
    plain = load(file, tmp_path)
    file.write_bytes(file.read_text().replace(",", separator).replace("\n", "\r\n").encode(encoding))
    assert load(file, tmp_path).audit.hash == plain.audit.hash


def test_what_spreadsheets_and_pandas_add_is_passed_over(tmp_path):
    file = table(tmp_path)
    plain = load(file, tmp_path)
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f",{head},,", *(f"{i},{row},," for i, row in enumerate(rows)), ",,,,,", ""]))
    assert load(file, tmp_path).audit.hash == plain.audit.hash
    file.write_text(
        "sep=;\n" + "\n".join([f"Unnamed: 0;{head.replace(',', ';')}", *(f"0;{row.replace(',', ';')}" for row in rows)])
    )
    assert load(file, tmp_path).audit.hash == plain.audit.hash
    file.write_bytes(b"PK\x03\x04" + b"\0" * 40)
    with pytest.raises(TaskError, match=r"mine\.csv: is a spreadsheet \(xlsx\); save it as CSV"):
        load(file, tmp_path)


@pytest.mark.parametrize("heading", ["file", "wav", "Audio", "filename", "wav_path", "File Path"])
@pytest.mark.parametrize(("label", "speaker"), [("label", "spk"), ("Class", "speaker_id"), ("emotion_label", "ACTOR")])
def test_headings_as_people_write_them_are_taken_and_said(tmp_path, heading, label, speaker):
    plain = load(table(tmp_path), tmp_path)
    task = load(rewritten(tmp_path / "mine.csv", ("path,speaker,emotion", f"{heading},{speaker},{label}")), tmp_path)
    assert task.audit.hash == plain.audit.hash and task.name == plain.name
    assert f"columns by other names: {heading} is path, {label} is emotion, {speaker} is speaker" in task.notes


@pytest.mark.parametrize("label", ["Emo Label", "emo.label", "EmoLabel", "EMOTION.CLASS", "label_emo", "Gold-Emotion"])
@pytest.mark.parametrize("path", ["Wav.Path", "AudioFilePath", "recording file"])
def test_needed_headings_are_taken_in_any_spelling_and_said(tmp_path, label, path):
    plain = load(table(tmp_path), tmp_path)
    task = load(rewritten(tmp_path / "mine.csv", ("path,speaker,emotion", f"{path},speaker,{label}")), tmp_path)
    assert task.audit.hash == plain.audit.hash and task.name == plain.name
    assert f"columns by other names: {path} is path, {label} is emotion" in task.notes


@pytest.mark.parametrize(
    ("columns", "written", "hint"),
    [
        (
            "path,speaker,emotion",
            "path,speaker,perceived emotion",
            r"did you mean perceived emotion\? rename it",
        ),
        ("path,speaker,emotion,fold", "path,speaker,emo.label,emo.class", "did you mean emo.class or emo.label"),
        ("path,speaker,emotion", "path of it,speaker,emotion", r"did you mean path of it\? rename it to path"),
        ("path,speaker,emotion", "path,spk.name,emotion", r"did you mean spk.name\? rename it to speaker"),
    ],
)
def test_headings_that_may_be_meant_are_asked_about(tmp_path, columns, written, hint):
    file = rewritten(table(tmp_path, columns=columns), (columns, written))
    with pytest.raises(TaskError, match=hint):
        load(file, tmp_path)


def test_a_heading_that_is_not_used_and_may_be_known_is_said(tmp_path):
    columns = "path,speaker,emotion,partition"
    task = load(rewritten(table(tmp_path, columns=columns), (columns, "path,Speaker.ID,emotion,split")), tmp_path)
    assert "column Speaker.ID is not used; if it is the speaker, rename it to speaker" in task.notes


def test_numbers_as_classes_are_said_and_fractions_refused(tmp_path):
    file = rewritten(table(tmp_path), ("anger\n", "0\n"), ("calm\n", "1\n"))
    task = load(file, tmp_path)
    assert task.problem.classes == ("0", "1")
    (note,) = [note for note in task.notes if "holds numbers (0, 1), and each is a class" in note]
    assert "to ask for values, rename the column to arousal, valence, dominance or sentiment" in note
    semicolons = rewritten(file, (",", ";"))
    for half in ("0.5", "0,5"):
        wrong = semicolons.read_text().replace(";0\n", f";{half}\n")
        (tmp_path / "rated.csv").write_text(wrong)
        with pytest.raises(TaskError, match=r"numbers that are no classes\. To ask for values, rename it to arousal"):
            load(tmp_path / "rated.csv", tmp_path)


def test_two_headings_that_may_be_one_column_are_asked_for(tmp_path):
    file = rewritten(
        table(tmp_path, columns="path,speaker,emotion,fold"), ("path,speaker,emotion,fold", "wav,spk,label,file")
    )
    with pytest.raises(TaskError, match="columns file and wav may each be the path; rename the right one to path"):
        load(file, tmp_path)
    file = rewritten(file, ("wav,spk,label,file", "path,spk,label,class"))
    with pytest.raises(TaskError, match="columns label and class may each be the emotion"):
        load(file, tmp_path)
    assert load(file, tmp_path, "#label").problem.classes == ("anger", "calm")


def test_a_column_that_is_asked_for_by_its_heading_is_the_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = rewritten(table(tmp_path), (",emotion", ",label"))
    assert load(file, tmp_path, "#label").name == load(file, tmp_path, "#emotion").name == "csv:mine"
    file = table(tmp_path, columns="path,speaker,emotion,fold")
    task = load(rewritten(file, ("emotion,fold", "emotion,mood")), tmp_path, "#mood")
    assert (task.name, task.problem.classes) == ("csv:mine#mood", ("f0", "f1"))
    with pytest.raises(TaskError, match="has no column humour, so nothing is asked; its columns are path, speaker"):
        load(file, tmp_path, "#humour")
    with pytest.raises(TaskError, match="column mood holds numbers that are no classes"):
        load(rewritten(file, (",f0", ",0.5"), (",f1", ",1")), tmp_path, "#mood")


def test_values_stay_what_is_asked_where_a_label_stands_beside_them(tmp_path):
    file = rewritten(table(tmp_path, columns="path,speaker,emotion,arousal"), ("emotion", "label"))
    assert load(file, tmp_path).problem.kind == "regression"
    assert load(file, tmp_path, "#label").problem.classes == ("anger", "calm")


def test_spellings_of_one_class_are_one_class_and_said(tmp_path):
    file = table(tmp_path)
    file = rewritten(file, ("s0,anger", "s0,Angry"), ("s1,anger", "s1, ANGER "), ("s2,calm", "s2,Calm"))
    task = load(file, tmp_path)
    assert task.counts["classes"] == {"anger": 8, "calm": 8} and task.definition.labels["calm"] == ("Calm", "calm")
    assert "anger = 2 ANGER + 2 Angry + 4 anger" in task.notes
    file = rewritten(file, ("Angry", "mixed_up"), ("ANGER", "Mixed up"))
    task = load(file, tmp_path)
    assert task.counts["classes"] == {"anger": 4, "calm": 8, "mixed_up": 4}  # no known noun: a spelling of the file's


def test_a_class_that_is_written_in_one_way_keeps_its_name(tmp_path):
    task = load(rewritten(table(tmp_path), (",anger", ",Angry")), tmp_path)
    assert task.problem.classes == ("Angry", "calm")


def test_words_for_no_label_are_no_class_and_told(tmp_path):
    file = rewritten(table(tmp_path), ("s0_anger_1.wav,s0,anger", "s0_anger_1.wav,s0,NaN"), ("s1,calm", "s1,none"))
    task = load(file, tmp_path)
    assert task.counts["excluded"] == {"none": 3} and task.counts["classes"] == {"anger": 7, "calm": 6}
    assert "emotion: read as no value: NaN (1 rows), none (2 rows)" in task.notes
    assert "3 of 16 rows have no label in emotion, and are left out" in task.notes


def test_labels_are_mapped_by_a_heading_or_a_file(tmp_path):
    file = rewritten(table(tmp_path), (",anger", ",A1"), (",calm", ",C"))
    plain = load(file, tmp_path)
    assert plain.problem.classes == ("A1", "C")
    task = load(rewritten(file, (",emotion", ",label:A1=anger|C=calm")), tmp_path)
    assert task.definition.labels == {"anger": ("A1",), "calm": ("C",)} and "label A1 is anger" in task.notes
    file = rewritten(file, (",label:A1=anger|C=calm", ",emotion"), ("s0,A1", "s0,other"))
    (tmp_path / "map.txt").write_text("# mine\na1=anger\nC: calm\nother=\nX=fear\n")
    options = tasks.Options(tmp_path, tmp_path / "cache", labels=tmp_path / "map.txt")
    task = tasks.load(f"csv:{file}", options)
    assert task.counts["classes"] == {"anger": 6, "calm": 8} and task.counts["excluded"] == {"other": 2}
    assert "labels are mapped that no row has: X" in task.notes
    (tmp_path / "map.txt").write_text("anger\n")
    with pytest.raises(TaskError, match=r"map\.txt: 'anger' maps no label; write a line a label, such as Angry=anger"):
        tasks.load(f"csv:{file}", options)


def test_backslashes_part_folders_and_names_without_suffix_find_audio(tmp_path):
    plain = load(table(tmp_path), tmp_path)
    assert load(rewritten(tmp_path / "mine.csv", ("sound/", "sound\\")), tmp_path).audit.hash == plain.audit.hash
    assert load(rewritten(tmp_path / "mine.csv", (".wav", "")), tmp_path).audit.hash == plain.audit.hash


@pytest.mark.parametrize(
    "written", ["sound/", "C:\\Users\\ann\\sound\\", "/home/ann/sound/", "../there/sound/", "{there}/sound/"]
)
def test_audio_may_lie_where_the_user_says(tmp_path, written):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    plain = load(table(there), tmp_path)
    file = here / "mine.csv"
    file.write_text((there / "mine.csv").read_text().replace("sound/", written.format(there=there)))
    with pytest.raises(TaskError, match=r"--audio DIR"):
        tasks.resolve([f"csv:{file}"], tmp_path)
    assert tasks.resolve([f"csv:{file}"], tmp_path, audio=there) == [f"csv:{file}"]
    task = tasks.load(f"csv:{file}", tasks.Options(tmp_path, tmp_path / "cache", audio=there))
    assert task.audit.hash == plain.audit.hash
    with pytest.raises(TaskError, match=r"--audio DIR"):
        tasks.resolve([f"csv:{file}"], tmp_path, audio=here)


def test_a_table_has_the_name_that_the_user_gives_it(tmp_path, monkeypatch):
    file = table(tmp_path, columns="path,speaker,emotion,arousal")
    options = tasks.Options(tmp_path, tmp_path / "cache")
    for where in (tmp_path, tmp_path.parent):  # whatever the working folder
        monkeypatch.chdir(where)
        task = tasks.load(f"csv:{file}=My corpus", options)
        assert (task.name, task.corpus.name, task.corpus.title) == ("My corpus",) * 3
        assert task.definition.title == "My corpus: emotion" and task.definition.corpus == "My corpus"
    assert tasks.load(f"csv:{file}=My corpus#arousal", options).name == "My corpus#arousal"
    assert tasks.load(f"csv:{file}#arousal=My corpus", options).name == "My corpus#arousal"
    for name in ("a/b", "a:b", ".hidden", "x" * 61, "emodb", "ser10", "a,b"):
        with pytest.raises(Refused, match="name"):
            tasks.resolve([f"csv:{file}={name}"], tmp_path)
    other = file.with_name("a=b#c.csv")
    other.write_text(file.read_text())
    assert tasks.load(f"csv:{other}=X", options).name == "X"


def test_two_tables_of_one_name_are_refused(tmp_path):
    table(tmp_path)
    (tmp_path / "other.csv").write_text((tmp_path / "mine.csv").read_text())
    both = [f"csv:{tmp_path / name}=X" for name in ("mine.csv", "other.csv")]
    for kind in ("", "speaker:"):
        with pytest.raises(Refused, match=r"mine\.csv=X and .*other\.csv=X are both .*X in results"):
            tasks.resolve([kind + name for name in both], tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_a_table_may_be_named_without_its_kind(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    file = table(tmp_path).rename(tmp_path / f"mine{suffix}")
    assert tasks.resolve([file.name, f"{file}=X#emotion"], tmp_path) == [f"csv:{file.name}", f"csv:{file}=X#emotion"]
    assert tasks.resolve([f"speaker:{file.name}"], tmp_path) == [f"speaker:csv:{file.name}"]
    with pytest.raises(TaskError, match=r"there is no file .*none\.csv"):
        tasks.resolve(["none.csv"], tmp_path)


def test_split_is_the_partition_where_its_words_are(tmp_path):
    file = table(tmp_path, columns="path,speaker,emotion,partition")
    plain = load(file, tmp_path)
    file = rewritten(file, ("partition", "split"), (",dev", ",Validation"))
    task = load(file, tmp_path)
    assert task.audit.hash == plain.audit.hash
    assert {"columns by other names: split is partition", "partition Validation is read as dev"} <= set(task.notes)
    task = load(rewritten(file, (",Validation", ",exam")), tmp_path)
    assert len(task.problem.folds) == 4  # speakers are left out
    assert "column split is not taken for partition: 'exam' is none of train, dev, test" in task.notes
    with pytest.raises(TaskError, match=r"nothing to split by .did you mean partition by split"):
        load(rewritten(file, ("speaker", "who")), tmp_path)


def test_rows_without_a_speaker_are_not_one_speaker(tmp_path):
    file = table(tmp_path, columns="path,speaker,emotion,partition")
    for word in ("", "nan"):
        with pytest.raises(
            TaskError, match=r"speaker is empty for .* and 3 more of 16 rows; fill it in for all rows, or drop"
        ):
            load(rewritten(file, (",s0,", f",{word},")), tmp_path)
        rewritten(file, (f",{word},", ",s0,"))
    file = table(tmp_path, columns="path,speaker,emotion,fold")
    with pytest.raises(TaskError, match="speaker is empty for"):
        load(rewritten(file, (",s0,", ",,")), tmp_path)
    file = rewritten(file, (",s1,", ",,"), (",s2,", ",,"), (",s3,", ",,"))
    assert "speakers_unknown" in load(file, tmp_path).marks


def test_slips_among_speakers_are_told(tmp_path):
    file = table(tmp_path, columns="path,speaker,emotion,arousal")
    head, *rows = file.read_text().splitlines()
    rows = [f"{row},{'F' if i % 2 else 'female'}" for i, row in enumerate(rows)]
    rows[0] = rows[0].rpartition(",")[0] + ",male"
    file.write_text("\n".join([head + ",Sex", *rows]).replace(",s3,", ",S2,"))
    task = load(file, tmp_path, "#emotion")
    assert "speakers that differ in case or blanks only are counted as different: S2 and s2" in task.notes
    assert "gender female is written as F, female" in task.notes
    assert "speakers of two genders: s0 (3 female, 1 male)" in task.notes


def test_identical_recordings_are_told(tmp_path):
    file = table(tmp_path)
    (tmp_path / "sound" / "s0_calm_2.wav").write_bytes((tmp_path / "sound" / "s0_calm_1.wav").read_bytes())
    task = load(file, tmp_path)
    assert "identical audio: sound-s0_calm_1 = sound-s0_calm_2" in task.notes and "identical_audio" in task.marks


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sound/s0_anger_1.wav", "so\0und.wav", r"mine\.csv, row 2: path 'so\\x00und\.wav' holds a zero byte"),
        ("s0,anger", 's0,"' + "x" * 140_000 + '"', r"mine\.csv, line 2: a value is longer than 131,072 characters"),
        ("s0,anger", 's0,"an\nger"', r"mine\.csv, row 2: emotion holds a line break; is a quote"),
        ("sound/", "nowhere/", r"none of its 16 audio files exists, such as .*--audio DIR"),
    ],
)
def test_hostile_values_are_one_clear_line(tmp_path, old, new, words):
    file = table(tmp_path)
    file.write_text(file.read_text().replace(old, new, 1 if old != "sound/" else -1))
    with pytest.raises(TaskError, match=words) as caught:
        load(file, tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_huge_value_in_a_corpuss_label_file_is_one_clear_line(tmp_path):
    (tmp_path / "labels.csv").write_text('a,b\n1,"' + "x" * 140_000 + '"\n')
    with pytest.raises(TaskError, match=r"labels\.csv, line 2: field larger than field limit .* is a quote left open"):
        corpora.records(tmp_path / "labels.csv", ["a"])


def test_a_name_with_a_zero_byte_or_of_any_length_is_one_short_line(tmp_path):
    for name in ("csv:a\0b.csv", "csv:" + "x" * 5000):
        with pytest.raises(TaskError, match="there is no file") as caught:
            tasks.resolve([name], tmp_path)
        assert len(str(caught.value)) < 700 and "\0" not in str(caught.value)


def test_nouns_of_the_corpora_are_spelled_as_they_are():
    shipped = {label for name in names() for label in read(path(name)).labels}
    assert {label: spellings.noun(label) for label in shipped} == {label: label for label in shipped}


def test_check_counts_a_table_before_a_run(tmp_path, capsys):
    file = rewritten(table(tmp_path), ("s0,anger", "s0,Angry"))
    assert main(["check", f"csv:{file}=Mine", "--cache", str(tmp_path / "cache"), "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for line in ("found    16 utterances, 4 speakers", "classes  anger 8, calm 8", "speaker  s0 4, s1 4, s2 4, s3 4",
                 "task     Mine: emotion, one speaker left out", "anger = 2 Angry + 6 anger",
                 "marks    none"):  # fmt: skip
        assert line in said
    (tmp_path / "sound" / "s0_calm_1.wav").write_bytes(b"")
    assert main(["check", str(file), "--cache", str(tmp_path / "cache")]) == 1
    assert "1 audio files cannot be used" in capsys.readouterr().out
    write_audio(tmp_path / "sound" / "s0_calm_1.wav")
    file = rewritten(file, ("s3,calm", "s3,joy"))
    assert main(["check", str(file), "--cache", str(tmp_path / "cache")]) == 1
    assert re.search(r"cannot be run: .*train has no utterance of joy", capsys.readouterr().out)


def test_what_a_table_tells_of_speakers_is_kept_and_changes_no_key(tmp_path):
    file = table(tmp_path)
    plain = load(file, tmp_path)
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{head},Age,accent", *(f"{row},{20 + i % 3},north" for i, row in enumerate(rows)), ""]))
    task = load(file, tmp_path)
    assert set(task.utterances["age"]) == {"20", "21", "22"} and set(task.utterances["accent"]) == {"north"}
    assert task.audit.folds_hash == plain.audit.folds_hash
    assert tasks.load(f"csv:{file}#Age", tasks.Options(tmp_path, tmp_path / "cache")).problem.classes == (
        "20",
        "21",
        "22",
    )


def test_files_that_lie_elsewhere_than_the_user_says_are_counted(tmp_path):
    file = table(tmp_path)
    shutil.copytree(tmp_path / "sound", tmp_path / "enhanced" / "sound")
    (tmp_path / "enhanced" / "sound" / "s0_calm_1.wav").unlink()
    options = tasks.Options(tmp_path / "nowhere", tmp_path / "cache", audio=tmp_path / "enhanced")
    task = tasks.load(f"csv:{file}", options)
    assert any(
        "1 of 16 audio files are not in the folder of --audio, but in the table's" in note for note in task.notes
    )
    assert str(tmp_path) not in "".join(task.notes)
    with pytest.raises(TaskError, match="no such folder; name the folder of the table's audio"):
        tasks.load(f"csv:{file}", replace(options, audio=tmp_path / "none"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((("sound/s0_calm_1.wav", ""),), "row 4: path is empty; name its audio file"),
        ((("sound/s0_calm_1.wav", "sound/.."),), "path 'sound/..' is a folder; name the audio file in it"),
    ],
)
def test_a_path_that_names_no_file_is_one_line(tmp_path, change, said):
    with pytest.raises(TaskError, match=re.escape(said)):
        load(rewritten(table(tmp_path), *change), tmp_path)


@pytest.mark.parametrize("column", ["perturbation", "noise", "duration"])
def test_a_column_that_would_change_the_audio_cannot_be_asked_for(tmp_path, column):
    file = rewritten(table(tmp_path), ("path,speaker,emotion", f"path,speaker,{column}"), (",calm", ",white@5"))
    with pytest.raises(TaskError, match=f"column {column} has a name that has a meaning of its own here; rename it"):
        load(file, tmp_path, f"#{column}")


def test_names_with_dots_find_their_audio_and_stay_apart(tmp_path):
    file = rewritten(table(tmp_path), (".wav", ""), ("_anger_1", "_anger.1"), ("_anger_2", "_anger.2"))
    for sound in (tmp_path / "sound").glob("*_anger_?.wav"):
        sound.rename(sound.with_name(sound.name.replace("anger_", "anger.")))
    assert "sound-s0_anger.1" in (ids := load(file, tmp_path).utterances.index) and len(ids) == 16


def test_rows_without_a_label_decide_no_split(tmp_path):
    file = table(tmp_path, "path,speaker,emotion,partition")
    rewritten(file, ("anger,dev", ",dev"), ("calm,dev", ",dev"))
    fold = load(file, tmp_path).problem.folds[0]
    assert len(fold.dev), "dev is made of speakers of train, as where there is none"
    rewritten(file, ("anger,test", ",test"), ("calm,test", ",test"))
    with pytest.raises(TaskError, match="no row with a label has partition test"):
        load(file, tmp_path)
    many = table(tmp_path, speakers=12)
    rewritten(many, *((f"s{n},{label}", f"s{n},") for n in (10, 11) for label in ("anger", "calm")))
    assert len(load(many, tmp_path).problem.folds) == 10


def test_na_is_no_gender_though_it_may_be_a_speaker(tmp_path):
    file = rewritten(table(tmp_path), ("path,speaker,emotion", "path,speaker,emotion,gender"),
                     *((f"s{n},{label}", f"{'NA' if n == 1 else f's{n}'},{label},{'NA' if n == 1 else 'female'}")
                       for n in range(4) for label in ("anger", "calm")))  # fmt: skip
    rows = load(file, tmp_path).utterances
    assert set(rows["speaker"]) == {"s0", "NA", "s2", "s3"} and set(rows["gender"].dropna()) == {"female"}


def test_a_column_of_values_that_holds_words_is_left_out_and_told(tmp_path):
    """As in MELD's own tables: the emotion is asked for."""
    file = rewritten(table(tmp_path), ("path,speaker,emotion", "path,speaker,emotion,sentiment"),
                     (",anger", ",anger,negative"), (",calm", ",calm,neutral"))  # fmt: skip
    task = load(file, tmp_path)
    assert task.problem.classes == ("anger", "calm")
    assert any("column sentiment holds words, no values, and is not used" in note for note in task.notes)


def test_a_table_of_texts_has_no_files_to_write(tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("text,speaker,emotion\n" + "\n".join(
        f"words {n},s{n % 4},{('anger', 'calm')[n // 4 % 2]}" for n in range(16)) + "\n")  # fmt: skip
    assert main(["table", f"csv:{tmp_path / 'mine.csv'}", "--output", str(tmp_path / "o.csv"), "--data",
                 str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]) == 1  # fmt: skip
    assert "needs whole files" in capsys.readouterr().err
