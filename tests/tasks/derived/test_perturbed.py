"""`perturbed:`: test audio changed beside the clean one, training as it was."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import tasks
from commons.corridors.problem import BY_ROW
from commons.errors import Refused, UnknownName
from commons.perturbations import KINDS, SUITES, Kind, refuse_absent
from tasks.derived import noise
from tasks.errors import TaskError
from tasks.splits import audit
from tests.tasks import layouts

PARTS = ("train", "dev")


@pytest.fixture(scope="module")
def demo(demo_cache):
    """A function that opens a task of the demo corpus, and the base itself."""
    options = tasks.Options(demo_cache, demo_cache, limit=48)
    base = tasks.load("demo", options)
    return lambda name, **more: tasks.load(name, replace(options, **more), None, {"demo": base}.get), base


def test_test_is_changed_and_training_is_not(demo):
    load, base = demo
    task = load("perturbed:demo,white@10")
    assert (task.name, task.derivation.base) == ("perturbed:demo,white@10", "demo")
    assert (task.derivation.perturbation.kind, task.derivation.perturbation.level) == ("white", 10)
    assert task.counts == base.counts and task.definition.published == ()
    ids = task.problem.ids
    for fold, own in zip(task.problem.folds, base.problem.folds, strict=True):
        for part in PARTS:
            np.testing.assert_array_equal(getattr(fold, part), getattr(own, part))
        clean = base.problem.ids[own.test]
        assert ids[fold.test].tolist() == [f"{one}~white@10" for one in clean]
        assert [ids[rows].tolist() for rows in fold.beside] == [clean.tolist()]
        np.testing.assert_array_equal(task.problem.targets[fold.test], base.problem.targets[own.test])
        np.testing.assert_array_equal(task.problem.speaker[fold.test], base.problem.speaker[own.test])
    changed = task.utterances["perturbation"].notna().to_numpy()
    assert not changed[: len(base.problem.ids)].any() and changed[len(base.problem.ids) :].all()
    assert task.audit.identical_audio == base.audit.identical_audio


def test_what_a_corpus_tells_of_an_utterance_it_tells_of_the_changed_one(tmp_path):
    layouts.emodb(tmp_path)
    task = tasks.load("perturbed:emodb,white@10", tasks.Options(tmp_path, tmp_path / "cache"))
    problem, twins = task.problem, task.utterances["twin_of"].to_numpy()
    assert problem.sentence is not None and len(set(problem.sentence)) > 1
    place = {one: row for row, one in enumerate(problem.ids)}
    for name in BY_ROW:
        if (column := getattr(problem, name)) is not None:
            np.testing.assert_array_equal(column, column[[place[one] for one in twins]], err_msg=name)


def test_several_changes_are_test_sets_of_one_task(demo):
    load, _ = demo
    single = [load(f"perturbed:demo,{name}") for name in ("white@10", "zeros@100")]
    name = tasks.together(single)
    task = load(name)
    assert name == "perturbed:demo,white@10+zeros@100" and task.derivation.perturbation is None
    for fold, *own in zip(task.problem.folds, *(one.problem.folds for one in single), strict=True):
        ids = [task.problem.ids[rows].tolist() for rows in fold.tests]
        clean, first, second = ids[1], ids[0], ids[2]
        assert clean == single[0].problem.ids[own[0].beside[0]].tolist()
        assert [first, second] == [one.problem.ids[f.test].tolist() for one, f in zip(single, own, strict=True)]
    longer = task.utterances["duration"]
    one = task.utterances.index[0]
    assert longer[f"{one}~zeros@100"] == pytest.approx(longer[one] + 0.2)


def test_the_audit_tells_changes_apart_and_keeps_clean_hashes(demo):
    load, base = demo
    hashes = [load(f"perturbed:demo,{name}").audit.hash for name in ("white@10", "white@11", "pink@10")]
    assert len({base.audit.hash, *hashes}) == 4
    assert load("perturbed:demo,white@10.0").audit.hash == hashes[0]


def test_a_clean_twin_never_trains_its_own_test(demo):
    load, _ = demo
    task = load("perturbed:demo,gain@-6")
    first = task.problem.folds[0]
    twin = first.beside[0][0]
    leaky = replace(first, train=np.append(first.train, twin), beside=(first.beside[0][1:],), inner=())
    shuffled = replace(task.problem, folds=(leaky, *task.problem.folds[1:]))
    free = task.utterances.drop(columns=["speaker", "samples_sha256"])  # what else would tell
    with pytest.raises(
        TaskError, match=f"utterances in test, changed or not, are in train too: {task.problem.ids[twin]}"
    ):
        audit.prove("t", "1", "demo", free, shuffled, speakers_shared=True)
    audit.prove("t", "1", "demo", free, task.problem, speakers_shared=True)


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """A folder of eight recordings."""
    folder = tmp_path_factory.mktemp("voices")
    for i in range(8):
        layouts.write_audio(folder / "deep" / f"{i}.wav")
    return folder


def test_babble_is_drawn_by_content_from_outside_the_task(demo, voices):
    load, base = demo
    task = load("perturbed:demo,babble@10", noise=voices)
    drawn = task.utterances["noise"].iloc[len(base.problem.ids) :]
    assert all(len(set(own)) == noise.TALKERS for own in drawn)
    assert all(path.startswith(str(voices)) for own in drawn for path, _ in own)
    assert len(set(drawn)) > 3
    turned = replace(base, reading=replace(base.reading, utterances=base.utterances[::-1]))
    pool = noise.pool(turned, tasks.Options(voices, voices, noise=voices))
    assert pool == noise.pool(base, tasks.Options(voices, voices, noise=voices))
    assert any("recordings of voices" in note for note in task.notes)


def test_babble_takes_the_neutral_speech_of_a_corpus_at_hand(demo, corpora, tmp_path):
    _, base = demo
    made = noise.pool(base, tasks.Options(corpora, tmp_path))
    assert made.name.startswith("emodb (") and made == noise.pool(base, tasks.Options(corpora, tmp_path / "other"))
    assert {path.rpartition("/")[2][5] for path, _ in made.recordings} == {"N"}  # EmoDB's letter of neutral speech


def test_without_speech_of_others_there_is_no_babble(tmp_path):
    layouts.emodb(tmp_path)
    layouts.emovo(tmp_path, nested=False, sentences=("b1", "b2", "n1"))
    options = tasks.Options(tmp_path, tmp_path / "cache", limit=28)
    with pytest.raises(TaskError, match="--noise DIR, or put another corpus under"):
        tasks.load("perturbed:emodb,babble@10", options)  # the tiny copy of EMOVO is not complete
    (tmp_path / "one").mkdir()
    layouts.write_audio(tmp_path / "one" / "a.wav")
    with pytest.raises(TaskError, match=r"babble needs 6 recordings at least .* one has 1"):
        tasks.load("perturbed:emodb,babble@10", replace(options, noise=tmp_path / "one"))
    with pytest.raises(TaskError, match="there is no such folder"):
        tasks.load("perturbed:emodb,babble@10", replace(options, noise=tmp_path / "two"))


def test_a_suite_leaves_babble_out_where_there_is_no_speech_for_it(demo_cache, tmp_path):
    lines, babble = [], [f"perturbed:demo,babble@{level}" for level in (30, 20, 10, 0)]
    without = tasks.resolve(["perturbed:demo,hard"], demo_cache, lines.append)
    assert not set(babble) & set(without) and "perturbed:demo,white@10" in without
    assert all(f"{name}: babble needs speech of other people: name a folder" in lines[0] for name in babble)
    assert set(babble) < set(tasks.resolve(["perturbed:demo,hard"], demo_cache, noise=tmp_path))
    assert tasks.resolve([babble[0]], demo_cache)[1:] == babble[:1]  # what is named alone fails when it is loaded


CODED = [
    ("ogg", "OPUS", "opus@1"),
    ("mp3", "MPEG_LAYER_III", "mp3@0.9"),
    ("wav", "ULAW", "mulaw"),
    ("wav", "GSM610", "gsm"),
]


@pytest.mark.parametrize(("ending", "encoding", "kind"), CODED)
def test_a_codec_that_the_corpus_went_through_is_marked(tmp_path, demo, ending, encoding, kind):
    """By what the files hold, whatever they are called."""
    load, base = demo
    file = tmp_path / f"one.{ending}"
    soundfile.write(
        file, np.zeros(8000, np.float32), 8000, encoding, format={"ogg": "OGG", "mp3": "MP3"}.get(ending, "WAV")
    )
    coded = replace(base, reading=replace(base.reading, utterances=base.utterances.assign(path=str(file))))
    options = tasks.Options(tmp_path, tmp_path / "cache")
    for name in (kind, "white@3", "opus@0" if encoding != "OPUS" else "mp3@0"):
        marks = tasks.load(f"perturbed:demo,{name}", options, None, {"demo": coded}.get).marks
        assert ("codec_twice" in marks) == (name == kind)
    assert "codec_twice" not in load(f"perturbed:demo,{kind}").marks


def test_names_and_suites(demo_cache):
    def meant(name):
        return tasks.resolve([name], demo_cache, lambda line: None)

    for suite, names in SUITES.items():
        made = meant(f"perturbed:demo,{suite}")
        assert made[0] == "demo" and set(made[1:]) <= {f"perturbed:demo,{name}" for name in names}
    assert meant("perturbed:demo,white@5.0+gain@-6+white@5") == [
        "demo", "perturbed:demo,white@5", "perturbed:demo,gain@-6"
    ]  # fmt: skip
    with pytest.raises(
        UnknownName, match=r"unknown perturbation 'whit': did you mean white\?.*known: babble.*hard.*zeros"
    ):
        meant("perturbed:demo,whit@5")
    for name in ("white@5+", "+white@5", "white@5++gsm"):
        with pytest.raises(Refused, match="a change is missing; expected KIND@LEVEL, several joined by"):
            meant(f"perturbed:demo,{name}")
    for kind in KINDS:
        wrong = [f"{kind}@loud", kind, f"{kind}@1e9", f"{kind}@nan"] if KINDS.find(kind).unit else [f"{kind}@3"]
        for name in wrong:
            with pytest.raises(Refused, match=f"{kind}@LEVEL with a level from|has no level; write {kind} alone"):
                meant(f"perturbed:demo,{name}")
    with pytest.raises(Refused, match="demo_arousal asks for values; perturbed needs a task of classes"):
        meant("perturbed:demo_arousal,white@10")
    with pytest.raises(Refused, match="expected perturbed:TASK,KIND@LEVEL, as in perturbed:emodb,white@10"):
        meant("perturbed:demo")


def test_a_codec_that_libsndfile_lacks_is_refused_before_the_work():
    lacking = SimpleNamespace(name="aac", facts=Kind("AAC, there and back", codec="NO_SUCH"))
    with pytest.raises(Refused, match=r"^aac needs NO_SUCH, which libsndfile .* lacks; update libsndfile$"):
        refuse_absent(lacking)


def test_a_copy_without_audio_and_an_upstream_of_texts_are_refused_in_words(tmp_path, demo):
    layouts.meld(tmp_path)
    layouts.without_audio(tmp_path)
    name = next(n for n in tasks.names() if n.startswith("meld") and tasks.kind(n) == "classification")
    with pytest.raises(TaskError, match="there is no audio to change; python -m tasks check meld says how"):
        tasks.load(f"perturbed:{name},white@10", tasks.Options(tmp_path, tmp_path / "cache"))
    load, _ = demo
    task = load("perturbed:demo,white@10")
    assert tasks.readable(task, "audio", "fbank", tasks.Options(tmp_path, tmp_path))
    with pytest.raises(TaskError, match="words reads text, and only the audio of test is changed here; ask for demo"):
        tasks.refuse_unchanged(task, "text", "words")
    tasks.refuse_unchanged(task, "audio+text", "both")
    tasks.refuse_unchanged(load("demo"), "text", "words")
