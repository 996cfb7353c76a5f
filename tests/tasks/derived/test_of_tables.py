"""Controls, transfer, shots and labels of a user's table."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tasks
from commons.errors import EmorepError, Refused
from tasks.derivation import Derivation
from tasks.derived import parsing
from tasks.errors import TaskError
from tests.tasks import layouts
from tests.tasks.brought.test_brought import table
from tests.tasks.brought.test_tables import rewritten


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A data folder with EmoDB and URDU, and a table whose classes have names of its own, in the working folder."""
    layouts.emodb(tmp_path / "data")
    layouts.urdu(tmp_path / "data")
    folder = tmp_path / "work"
    rewritten(
        table(folder, columns="path,speaker,emotion"),
        (",anger", ",Angry"),
        (",calm", ",NEU"),
        *((f"_calm_2.wav,s{i},NEU", f"_calm_2.wav,s{i},odd") for i in range(4)),
    )
    file = folder / "mine.csv"
    head, *rows = file.read_text().splitlines()
    genders = [f"{row},{'female' if 's0' in row or 's2' in row else 'male'}" for row in rows]
    file.write_text(
        "\n".join([f"{head},gender,sentence,language", *(f"{row},t{i % 2},Polish" for i, row in enumerate(genders))])
    )
    monkeypatch.chdir(folder)
    return tasks.Options(tmp_path / "data", tmp_path / "cache")


def loaded(name, options):
    first, *own = tasks.resolve([name], options.data)
    return tasks.load(first, options), own


@pytest.mark.parametrize("kind", ["gender", "sentence", "speaker"])
def test_controls_of_a_table(there, kind):
    task, own = loaded(f"{kind}:csv:mine.csv=Mine", there)
    assert (task.name, own, task.corpus.name) == (f"{kind}:Mine", [], "Mine")
    assert task.derivation == Derivation(kind, kind, "Mine") and len(task.problem.classes) == (
        4 if kind == "speaker" else 2
    )


def test_few_labels_and_fewer_classes_of_a_table(there):
    task, _ = loaded("labels:csv:mine.csv,anger+neutral", there)
    assert (task.name, task.problem.classes) == ("labels:csv:mine,anger+neutral", ("anger", "neutral"))
    assert task.definition.labels == {"anger": ("Angry",), "neutral": ("NEU",)}
    assert task.counts["classes"] == {"anger": 8, "neutral": 4}
    assert "csv:mine: left out 4 odd, which are not asked for" in task.notes
    rewritten(there.data.parent / "work" / "mine.csv", (",odd", ",NEU"))
    task, _ = loaded("shots:mine.csv,2", there)
    assert (task.name, task.derivation.shots, task.derivation.base) == ("shots:csv:mine,2", 2, "csv:mine")
    assert all(len(fold.train) + len(fold.dev) == 4 for fold in task.problem.folds)


@pytest.mark.parametrize(
    ("name", "called", "tested"),
    [
        ("transfer:emodb,csv:mine.csv", "transfer:emodb,csv:mine", 12),
        ("transfer:csv:mine.csv=Mine,emodb", "transfer:Mine,emodb", 16),
        ("transfer-standardised:mine.csv,urdu", "transfer-standardised:csv:mine,urdu", None),
    ],
)
def test_transfer_from_and_to_a_table_goes_through_the_label_algebra(there, name, called, tested):
    task, own = loaded(name, there)
    assert (task.name, task.problem.classes) == (called, ("anger", "neutral"))
    assert tested in (None, len(task.problem.folds[0].test))
    beside = [tasks.load(one, there) for one in own]
    assert [one.problem.classes for one in beside] == [("anger", "neutral")]
    assert beside[0].derivation.base == task.derivation.base == called.rpartition(",")[2]
    assert any("anger = 8 Angry" in note for note in task.notes)
    assert set(task.derivation.source_corpora) == {called.partition(":")[2].rpartition(",")[0]}


def test_a_mapping_of_labels_reaches_transfer(there):
    file = rewritten(there.data.parent / "work" / "mine.csv", ("Angry", "A"), ("NEU", "B"))
    with pytest.raises(Refused, match="they share no class"):
        tasks.resolve(["transfer:emodb,csv:mine.csv"], there.data)
    (file.parent / "map").write_text("A=fear\nB=sadness\nodd=\n")
    made, own = tasks.resolve(["transfer:emodb,csv:mine.csv"], there.data, labels=file.parent / "map")
    task = tasks.load(made, tasks.Options(there.data, there.cache, labels=file.parent / "map"))
    assert task.problem.classes == ("fear", "sadness") and own == "csv:mine.csv"


def test_two_tables_may_be_joined_and_a_comma_in_a_path_parts_nothing(there):
    folder = there.data.parent / "work" / "a, b"
    other = table(folder)
    for path in folder.rglob("*.wav"):
        audio, rate = soundfile.read(path)
        soundfile.write(path, audio / 2, rate)
    task, _ = loaded(f"transfer:csv:{other},csv:mine.csv", there)
    assert task.name.endswith(",csv:mine") and task.problem.classes == ("anger", "neutral")
    assert loaded(f"shots:csv:{other},2", there)[0].derivation.shots == 2
    assert loaded(f"speaker:csv:{other}", there)[0].name == "speaker:csv:a, b/mine"
    with pytest.raises(EmorepError, match=r"expected \w+:TASK, as in"):
        tasks.resolve(["speaker:csv:mine.csv,emodb"], there.data)


def of_emodb(folder, name, rename, text="", **more):
    """A table of copies of EmoDB's anger and neutral below the data folder, its speakers renamed."""
    lines = [",".join(["path,speaker,emotion", *more])]
    for path in sorted((folder / "EmoDB" / "wav").glob(f"*{text}[WN]a.wav")):
        (folder.parent / "work" / name).mkdir(exist_ok=True)
        place = Path(shutil.copy(path, folder.parent / "work" / name))
        emotion = {"W": "anger", "N": "neutral"}[path.name[5]]
        lines.append(",".join([f"{name}/{place.name}", rename(path.name[:2]), emotion, *more.values()]))
    (folder.parent / "work" / f"{name}.csv").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", ["transfer:csv:mine.csv=Mine,emodb", "transfer-standardised:emodb,csv:mine.csv=Mine"])
def test_a_table_of_a_known_corpuss_recordings_is_joined_with_it_where_its_speakers_have_the_same_names(there, kind):
    of_emodb(there.data, "mine", lambda who: f"s{who}")
    with pytest.raises(TaskError, match=r"recordings of emodb, under other names \((s03 is 03|03 is s03), .*the names"):
        loaded(kind, there)
    of_emodb(there.data, "mine", str)
    task, _ = loaded(kind, there)
    who = task.utterances["speaker"].to_numpy()
    assert "same_family" in task.marks and "audio_shared" not in task.marks and len(task.problem.folds) == 4
    assert not any(set(who[np.r_[fold.train, fold.dev]]) & set(who[fold.test]) for fold in task.problem.folds)


@pytest.mark.parametrize("kind", ["transfer:csv:mine.csv=Mine,ravdess_song", "unified:csv:mine.csv=Mine,ravdess_song"])
def test_a_table_of_speech_is_not_joined_with_song_where_some_speakers_have_other_names(there, kind):
    """The two have no recording in common: the corpus's own reader says who speaks. 10 is 10 in both, 1 is 01."""
    ravdess = layouts.ravdess(there.data)
    lines = ["path,speaker,emotion"]
    for path in sorted(ravdess.rglob("03-01-0[45]-*.wav")):
        place = Path(shutil.copy(path, there.data.parent / "work"))
        parts = path.stem.split("-")
        lines.append(f"{place.name},{int(parts[6])},{'sadness' if parts[2] == '04' else 'anger'}")
    (there.data.parent / "work" / "mine.csv").write_text("\n".join(lines))
    with pytest.raises(TaskError, match=r"recordings of ravdess, under other names \(1 is 01"):
        loaded(kind, there)


@pytest.mark.parametrize("kind", ["transfer", "unified"])
def test_two_tables_of_one_corpus_are_refused_where_no_name_of_a_speaker_is_in_both(there, kind):
    of_emodb(there.data, "one", str, "a01")
    of_emodb(there.data, "two", lambda who: f"s{who}", "b02")
    with pytest.raises(TaskError, match="may hold the same speakers, recordings of emodb, under other names; give"):
        loaded(f"{kind}:csv:one.csv,csv:two.csv", there)
    of_emodb(there.data, "two", str, "b02")
    assert ("same_family" in loaded(f"{kind}:csv:one.csv,csv:two.csv", there)[0].marks) == (kind == "transfer")


def test_tables_of_one_corpus_are_dealt_into_joint_folds_as_one_family(there):
    of_emodb(there.data, "one", str, "a01")
    of_emodb(there.data, "two", str, "b02")
    task, _ = loaded("unified:csv:one.csv,csv:two.csv", there)
    assert [len(fold.test) for fold in task.problem.folds] == [4] * 4, "a speaker of both tables is dealt once"
    assert [fold.name for fold in task.problem.folds] == [f"joint fold {k}" for k in (1, 2, 3, 4)]


def test_a_recording_is_in_one_part_of_a_transfer_alone(there):
    """Of tables whose corpus is not at hand, too: their audio tells."""
    of_emodb(there.data, "one", str)
    of_emodb(there.data, "two", lambda who: f"s{who}")
    shutil.rmtree(there.data / "EmoDB")
    with pytest.raises(TaskError, match="the same audio is in train and in test"):
        loaded("transfer:csv:one.csv,csv:two.csv", there)


def test_across_languages_trains_on_no_corpus_whose_recordings_a_table_holds(there):
    of_emodb(there.data, "mine", str, language="Polish")
    with pytest.raises(TaskError, match="mine holds recordings of emodb, which trains"):
        loaded("across-languages:ser10,csv:mine.csv", there)


def test_across_languages_needs_the_language_of_a_table(there):
    task, _ = loaded("across-languages:ser10,csv:mine.csv", there)
    assert set(task.derivation.source_corpora) == {"emodb", "urdu"} and task.corpus.language == "pl"
    file = rewritten(there.data.parent / "work" / "mine.csv", ("Polish", "de-DE"))
    assert parsing.parse("across-languages:ser10,csv:mine.csv", there).derivation.source_corpora == ("urdu",)
    rewritten(file, (",language", ",note"))
    with pytest.raises(Refused, match=r"the language of mine\.csv is unknown; add a column language, such as en or de"):
        tasks.resolve(["across-languages:ser10,csv:mine.csv"], there.data)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transfer:csv:mine.csv,csv:mine.csv", "two corpora are expected"),
        ("transfer:emodb,csv:none.csv", "there is no file .*none.csv"),
        ("speaker:csv:mine.csv#sentence#x", "there is no file|has no column"),
        ("labels:csv:mine.csv,anger+joy", "no class joy; it has Angry, NEU, odd"),
    ],
)
def test_what_cannot_be_asked_of_a_table_is_told(there, name, words):
    with pytest.raises(EmorepError, match=words):
        tasks.resolve([name], there.data)


def test_a_table_of_values_has_controls_neither(there):
    table(there.data.parent / "work", columns="path,speaker,arousal")
    with pytest.raises(Refused, match="asks for values"):
        parsing.parse("speaker:csv:mine.csv", there)
