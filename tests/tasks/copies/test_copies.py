"""Copies of corpora as people have them: renamed, nested, flat, twice, mixed with what only looks like them."""

import shutil
from pathlib import Path

import pytest

import tasks
from tasks import catalogue, corpora, reading
from tasks.__main__ import main
from tasks.copies import audio_check, search
from tasks.errors import TaskError
from tests.tasks import layouts
from tests.tasks.layouts import write_audio

REAL = [name for name in corpora.names() if not corpora.module(name).CORPUS.synthetic]
BY_NAME = [name for name in REAL if corpora.module(name).CORPUS.pattern]
# Their file names alone do not tell all: a folder tells the emotion, the speaker or the part.
NEED_FOLDERS = {"casia", "esd", "meld", "resd"}


def read(name: str, data: Path):
    return reading.table(corpora.module(name).CORPUS, data, data)[1]


def tree(name: str, data: Path, folder: str) -> Path:
    """A corpus's official tree in a folder of another name."""
    layouts.official(name, data)
    (official,) = data.iterdir()
    (data / folder).parent.mkdir(parents=True, exist_ok=True)
    return official.rename(data / folder)


def same_table(one, other) -> bool:
    return one.drop(columns="path").equals(other.drop(columns="path"))


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("place", ["a/{}/b/c", "my {} copy", "x/y/{}"])
def test_a_renamed_or_nested_copy_is_read_as_the_official_one(tmp_path, name, place):
    corpus = corpora.module(name).CORPUS
    official = read(name, layouts.official(name, tmp_path / "official"))
    root = tree(name, tmp_path / "copy", "tree")
    target = tmp_path / "copy" / place.format(corpus.folders[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    root.rename(target)
    assert same_table(read(name, tmp_path / "copy"), official)
    if corpus.files:
        state = next(row for row in catalogue.describe(tmp_path / "copy") if row.corpus == name).state
        assert state == "partial"


@pytest.mark.parametrize("name", REAL)
def test_a_copy_that_holds_everything_twice_is_read_once_and_says_so(tmp_path, name):
    official = read(name, layouts.official(name, tmp_path / "official"))
    root = tree(name, tmp_path / "copy", corpora.module(name).CORPUS.folders[0])
    shutil.copytree(root, tmp_path / "again")
    (tmp_path / "again").rename(root / "again")
    assert same_table(read(name, tmp_path / "copy"), official)
    if name in BY_NAME:
        result = corpora.audio_files(corpora.module(name).CORPUS.root(tmp_path / "copy"), corpora.module(name).CORPUS)
        assert len(result.same) == len(result.files)
        assert "occur twice with the same bytes" in reading.left_out(result)[0]


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - NEED_FOLDERS))
def test_a_flat_copy_in_other_case_is_read_as_the_official_one(tmp_path, name):
    official = read(name, layouts.official(name, tmp_path / "official"))
    flat = tmp_path / "copy" / corpora.module(name).CORPUS.folders[0].upper()
    flat.mkdir(parents=True)
    for place, path in zip(official.index, official.path, strict=True):
        shutil.copy(path, flat / f"{place.upper()}{Path(path).suffix.upper()}")
    messages = [column for column in ("emotion", "speaker", "sentence") if column in official]
    table = read(name, tmp_path / "copy")
    assert table.index.tolist() == official.index.tolist() and table[messages].equals(official[messages])


@pytest.mark.parametrize("name", REAL)
def test_folders_are_found_in_any_case(tmp_path, name):
    official = read(name, layouts.official(name, tmp_path / "official"))
    root = tree(name, tmp_path / "copy", corpora.module(name).CORPUS.folders[0])
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        folder.rename(folder.with_name(folder.name.upper()))
    table = read(name, tmp_path / "copy")
    if name == "casia":  # its speakers are called by their folders
        assert table.emotion.tolist() == official.emotion.tolist()
    else:
        assert same_table(table, official)
        assert reading.lacking(corpora.module(name).CORPUS, corpora.module(name).CORPUS.root(tmp_path / "copy")) == []


def test_the_kaggle_copy_of_ravdess_is_read_once(tmp_path, capsys):
    layouts.ravdess(tmp_path / "official")
    folder = tmp_path / "data" / "ravdess-emotional-speech-audio"
    speech = tmp_path / "official" / "RAVDESS" / "Audio_Speech_Actors_01-24"
    shutil.copytree(speech, folder / "audio_speech_actors_01-24")
    shutil.copytree(speech, folder, dirs_exist_ok=True)
    assert same_table(read("ravdess", tmp_path / "data"), read("ravdess", tmp_path / "official"))
    assert main(["check", "ravdess", "--data", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().out
    assert f"folder   {folder}" in said
    twice = "the folder itself and audio_speech_actors_01-24 (32 files, such as 03-01-01-01-02-01-01.wav)"
    assert f"twice    32 files with the same bytes, the first is read: {twice}" in said
    assert "taken    32 of Actor_01\n" not in said and "taken    8 of Actor_01\n" in said
    task = tasks.load("ravdess", tasks.Options(tmp_path / "data", tmp_path / "cache"))
    assert "32 files occur twice with the same bytes: each is read once" in task.notes
    official = tasks.load("ravdess", tasks.Options(tmp_path / "official", tmp_path / "cache"))
    assert official.audit.hash == task.audit.hash and not any("twice" in note for note in official.notes)


def test_what_only_looks_like_ravdess_is_left_out_and_told(tmp_path, capsys):
    layouts.ravdess(tmp_path)
    speech = tmp_path / "RAVDESS" / "Audio_Speech_Actors_01-24"
    for actor in (25, 26):  # TESS as it is passed on
        write_audio(speech / f"Actor_{actor}" / f"03-01-01-01-01-01-{actor}.wav")
    write_audio(speech / "Actor_01" / "01-01-01-01-01-01-01.wav")
    write_audio(speech / "Actor_25" / "OAF_back_angry.wav")
    table = read("ravdess", tmp_path)
    assert len(table) == 32 and not set(table.speaker) & {"25", "26"}
    assert next(row for row in catalogue.describe(tmp_path) if row.corpus == "ravdess").present == 32
    main(["check", "ravdess", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")])
    said = capsys.readouterr().out
    assert "left out 2 files of an actor above 24" in said and "left out 1 files sound of the video files" in said
    assert "other    1 audio files whose names are not the corpus's, such as OAF_back_angry.wav" in said
    notes = tasks.load("ravdess", tasks.Options(tmp_path, tmp_path / "cache")).notes
    assert any("left out 2 files: of an actor above 24" in note for note in notes)


def test_savee_of_one_folder_and_tess_nested_twice(tmp_path):
    official = read("savee", layouts.savee(tmp_path / "official"))
    for utterance, path in official.path.items():
        target = tmp_path / "data" / "surrey-audiovisual-expressed-emotion-savee" / "ALL" / f"{utterance}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert same_table(read("savee", tmp_path / "data"), official)
    tess = read("tess", layouts.tess(tmp_path / "official"))
    kaggle = tmp_path / "data" / "toronto-emotional-speech-set-tess"
    for nested in (
        "TESS Toronto emotional speech set data",
        "tess toronto emotional speech set data/TESS Toronto data",
    ):
        shutil.copytree(tmp_path / "official" / "TESS", kaggle / nested)
    assert same_table(read("tess", tmp_path / "data"), tess)


def test_other_bytes_under_one_name_are_listed_folder_against_folder(tmp_path):
    layouts.emodb(tmp_path / "one")
    for copy in ("a/wav", "b/wav"):
        shutil.copytree(tmp_path / "one" / "EmoDB" / "wav", tmp_path / "data" / "emodb" / copy)
    for path in sorted((tmp_path / "data" / "emodb" / "b" / "wav").iterdir())[:20]:
        path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(TaskError, match=r"20 files below .* other bytes") as error:
        read("emodb", tmp_path / "data")
    assert "  a and b (20 files, such as 03a01Aa.wav)" in str(error.value) and str(error.value).count("\n") == 1


def test_the_official_place_comes_before_another_of_the_same_name(tmp_path, capsys):
    layouts.cafe(tmp_path)
    official = read("cafe", tmp_path)
    shutil.copytree(tmp_path / "CaFE" / "CaFE_48k", tmp_path / "CaFE" / "CaFE_192k")
    for path in (tmp_path / "CaFE" / "CaFE_192k").rglob("*.wav"):
        path.write_bytes(path.read_bytes() + b"\0\0")
    assert read("cafe", tmp_path).equals(official)
    main(["check", "cafe", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")])
    said = capsys.readouterr().out
    assert f"left out {len(official)} files that have the name of a file at the official place" in said
    assert "CaFE_48k and CaFE_192k" in said


def test_of_several_folders_the_corpus_own_is_read_then_the_fullest(tmp_path, capsys):
    layouts.emodb(tmp_path / "x", speakers=("03", "08"))
    for folder, speakers in (("emodb-small", ("03",)), ("berlin-database-of-emotional-speech", ("03", "08", "09"))):
        layouts.emodb(tmp_path / "make", speakers=speakers)
        (tmp_path / "make" / "EmoDB").rename(tmp_path / "x" / folder)
    corpus = corpora.module("emodb").CORPUS
    place = corpus.place(tmp_path / "x")
    assert place.root == tmp_path / "x" / "EmoDB" and sorted(place.others.values()) == [14, 42]
    main(["check", "emodb", "--data", str(tmp_path / "x"), "--cache", str(tmp_path / "cache")])
    assert f"unread   14 more files of it are in {tmp_path / 'x' / 'emodb-small'}" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "x" / "EmoDB")
    assert corpus.root(tmp_path / "x").name == "berlin-database-of-emotional-speech"


@pytest.mark.parametrize(
    ("folder", "names", "yes"),
    [
        ("ravdess-emotional-speech-audio", ("ravdess",), True),
        ("RavdessAndTess", ("ravdess",), True),
        ("RESD", ("esd",), False),
        ("ASVP-ESD", ("esd",), True),
        ("tesseract", ("tess",), False),
        ("TESS_v2", ("tess",), True),
        ("Crema_D", ("crema-d",), True),
        ("CMU_MOSEI", ("cmu-mosi", "mosi"), False),
        ("emodb_2.0", ("emodb",), True),
        ("", ("emodb",), False),
    ],
)
def test_a_folder_bears_a_long_name_anywhere_and_a_short_one_as_a_word(folder, names, yes):
    assert search.bears(folder, names) == yes


def test_the_data_folder_may_be_the_corpus_itself_and_hold_several(tmp_path, monkeypatch):
    official = read("emodb", layouts.emodb(tmp_path / "official"))
    assert same_table(read("emodb", tmp_path / "official" / "EmoDB"), official)
    monkeypatch.chdir(tmp_path / "official" / "EmoDB")
    assert corpora.module("emodb").CORPUS.root(Path(".")) == Path(".")
    assert corpora.module("tess").CORPUS.root(Path(".")) is None
    several = tmp_path / "data" / "speech-emotion-recognition-en"
    for name, folder in (("cremad", "Crema"), ("ravdess", "Ravdess"), ("savee", "Savee"), ("tess", "Tess")):
        tree(name, tmp_path / name, "tree").rename(several.mkdir(parents=True, exist_ok=True) or several / folder)
    states = {row.corpus: row.state for row in catalogue.describe(tmp_path / "data")}
    assert {states[name] for name in ("cremad", "ravdess", "savee", "tess")} == {"partial"}


def test_a_corpus_in_a_folder_of_another_is_not_mistaken_for_it(tmp_path):
    layouts.resd(tmp_path)
    (tmp_path / "RESD").rename(tmp_path / "esd")
    assert {row.corpus: row.state for row in catalogue.describe(tmp_path)}["esd"] == "absent"
    with pytest.raises(TaskError, match="esd is absent"):
        read("esd", tmp_path)


def test_archives_that_nobody_unpacked_are_named(tmp_path):
    (tmp_path / "nemo-hf" / "data").mkdir(parents=True)
    (tmp_path / "nemo-hf" / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match=r"nemo is absent: it has no audio files, but .*train-.*parquet. Unpack"):
        read("nemo", tmp_path)


def test_links_are_followed_but_not_in_circles(tmp_path):
    layouts.emodb(tmp_path / "store")
    (tmp_path / "data" / "emodb").mkdir(parents=True)
    (tmp_path / "data" / "emodb" / "wav").symlink_to(tmp_path / "store" / "EmoDB" / "wav")
    (tmp_path / "data" / "emodb" / "round").symlink_to(tmp_path / "data")
    assert len(read("emodb", tmp_path / "data")) == 56


@pytest.mark.parametrize("place", ["", "EmoDB", "EmoDB/wav"])
def test_a_folder_without_permission_is_said_and_never_called_absent(tmp_path, deny, capsys, place):
    layouts.emodb(tmp_path)
    deny(tmp_path / place)
    row = next(row for row in catalogue.describe(tmp_path) if row.task == "emodb")
    assert row.state == "unread" and "Permission denied" in row.problem and str(tmp_path / place) in row.problem
    places = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(["list", *places]) == 0
    assert "Permission denied" in capsys.readouterr().out
    assert main(["check", "emodb", *places]) == 1
    said = capsys.readouterr().err
    assert "Permission denied" in said and "absent" not in said and "Traceback" not in said


def test_a_closed_folder_of_another_name_is_said_too(tmp_path, deny, capsys):
    (tmp_path / "private").mkdir()
    deny(tmp_path / "private")
    with pytest.raises(TaskError, match=r"emodb is absent \(no permission to read .*private\)"):
        read("emodb", tmp_path)
    assert main(["list", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'private'} cannot be read (Permission denied)\n")


def test_a_git_lfs_pointer_is_named_as_one(tmp_path, capsys):
    layouts.cremad(tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    audio = next((tmp_path / "CREMA-D" / "AudioWAV").iterdir())
    audio.write_text(pointer)
    main(["check", "cremad", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")])
    assert f"{audio} is a git-lfs pointer, not audio; run `git lfs pull`" in capsys.readouterr().out
    (tmp_path / "CREMA-D" / "VideoDemographics.csv").write_text(pointer)
    with pytest.raises(TaskError, match=r"VideoDemographics.csv: is a git-lfs pointer.*git lfs pull"):
        read("cremad", tmp_path)
    layouts.iemocap(tmp_path, sessions=(1,))
    labels = next((tmp_path / "IEMOCAP_full_release").glob("Session1/dialog/EmoEvaluation/S*.txt"))
    labels.write_text(pointer)
    with pytest.raises(TaskError, match=rf"{labels.name}: is a git-lfs pointer"):
        read("iemocap", tmp_path)


def test_a_missing_session_and_transcript_are_named(tmp_path, capsys):
    layouts.iemocap(tmp_path, sessions=(1, 2, 4, 5))
    home = tmp_path / "IEMOCAP_full_release"
    shutil.rmtree(home / "Session2" / "dialog" / "transcriptions")
    (home / "Session4" / "dialog" / "transcriptions" / "Ses04F_impro01.txt").unlink()
    assert main(["check", "iemocap", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().out
    assert "no Session2/dialog/transcriptions, no Session3" in said
    assert "Session3/" not in said and "text (none for 42, such as Ses02F_impro01_F000)" in said
    notes = tasks.load("iemocap", tasks.Options(tmp_path, tmp_path / "cache")).notes
    assert "the copy lacks Session2/dialog/transcriptions, Session3" in notes


def test_a_rate_that_no_file_has_is_told(tmp_path, capsys):
    layouts.nemo(tmp_path)
    main(["check", "nemo", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")])
    assert "none has" not in capsys.readouterr().out
    for path in (tmp_path / "nEMO" / "samples").iterdir():
        write_audio(path, rate=16000)
    main(["check", "nemo", "--data", str(tmp_path), "--cache", str(tmp_path / "cache")])
    assert "rates    16000 Hz 36; none has the corpus's own, 24000 Hz" in capsys.readouterr().out


def wav(path: Path, rate: int = 16000, bits: int = 16, form: int = 1, block: int | None = None) -> Path:
    """Noise whose header claims another rate or sample size."""
    data = bytearray(write_audio(path, 0.5).read_bytes())
    data[20:22] = form.to_bytes(2, "little")
    data[24:28] = rate.to_bytes(4, "little")
    data[32:34] = (2 if block is None else block).to_bytes(2, "little")
    data[34:36] = bits.to_bytes(2, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"rate": 1}, "claims 1 Hz"),
        ({"rate": 999}, "claims 999 Hz"),
        ({"rate": 2_000_000_000}, "claims 2000000000 Hz"),
        ({"bits": 3}, "claims whole numbers of 3 bits"),
        ({"bits": 0}, "claims whole numbers of 0 bits"),
        ({"bits": 32, "form": 3, "block": 2}, "claims floats of 32 bits in blocks of 2 bytes"),
    ],
)
def test_a_wav_header_that_claims_the_impossible_is_refused(tmp_path, claims, words):
    with pytest.raises(audio_check.BadAudio, match=words):
        audio_check.read(wav(tmp_path / "a.wav", **claims))
    assert audio_check.read(wav(tmp_path / "b.wav")).rate == 16000
    assert audio_check.read(wav(tmp_path / "c.wav", rate=8000)).rate == 8000


def test_globs_stay_within_folders_and_may_have_a_suffix(tmp_path):
    layout = search.Layout(folders=("x",), globs=("audio/*.wav", "[OY]A*/[!.]?", "**/deep_*"))
    official, other = ("audio/a", "OAF/ab", "a/b/deep_1", "deep_2"), ("audio/b/c", "XAF/de")
    for place in (*official, *other):
        write_audio(tmp_path / f"{place}.wav")
    seen = search.look(layout, tmp_path)
    assert sorted(seen.files.values()) == sorted(tmp_path / f"{place}.wav" for place in official)
    assert sorted(seen.strange) == sorted(tmp_path / f"{place}.wav" for place in other)
