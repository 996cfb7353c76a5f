"""Further targets: columns that a head which learns several tasks may train on."""

import re

import numpy as np
import pandas as pd
import pytest

import tasks
from commons.metrics import CLASSIFICATION
from tasks import catalogue, corpora, definition, further, intensity, reading
from tests.tasks import layouts

SHIPPED = [definition.read(definition.path(name)) for name in catalogue.names()]
OF_CLASSES = {  # corpus -> its tasks
    one.corpus: [other for other in SHIPPED if (other.corpus, other.kind) == (one.corpus, CLASSIFICATION)]
    for one in SHIPPED
    if one.kind == CLASSIFICATION and one.corpus != "demo"
}
ALSO = ("gender", "intensity", "valence", "phonemes")


@pytest.fixture
def ask(tmp_path, definitions):
    """Give tasks of the registry further targets."""
    definitions(tmp_path)
    shipped = {name: definition.Path(definition.__file__).with_name("definitions") / f"{name}.yaml"
               for name in ("demo", "emodb", "urdu")}  # fmt: skip

    def write(**columns: tuple[str, ...]) -> None:
        for name, path in shipped.items():
            more = f"also: [{', '.join(columns[name])}]\n" if name in columns else ""
            plain = re.sub(r"(?m)^also: .*\n", "", path.read_text())
            (tmp_path / f"{name}.yaml").write_text(plain + more)
        definition.read.cache_clear()

    return write


def test_each_column_is_a_target_of_its_own_kind(ask, demo_cache):
    ask(demo=ALSO)
    task = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    assert task.problem.also == (), "they are made for heads that ask"
    gender, intensity, valence, phonemes = task.full_problem.also
    assert [target.name for target in task.full_problem.also] == list(ALSO) == list(task.definition.also)
    assert (gender.kind, gender.classes) == ("classification", ("female", "male"))
    assert (intensity.kind, intensity.classes, intensity.places) == ("ordinal", ("normal", "strong"), (0.5, 1.0))
    assert (valence.kind, valence.classes) == ("regression", ())
    spoken = [" ".join(phonemes.classes[i] for i in symbols) for symbols in phonemes.values]
    assert phonemes.kind == "sequence" and spoken == task.utterances.phonemes.str.replace("g", "ɡ").tolist()
    assert [gender.classes[value] for value in gender.values] == task.utterances.gender.tolist()
    np.testing.assert_array_equal(valence.values, task.utterances.valence)
    assert all(target.mask.all() for target in (gender, valence, phonemes))
    assert (intensity.mask == (task.utterances.emotion != "neutral")).all(), "neutral speech has no intensity"
    assert task.definition.model_dump()["also"] == ALSO


def test_rows_without_a_value_are_masked():
    table = pd.DataFrame(
        {
            "intensity": ["strong", None, "high"],
            "style": ["b", None, "a"],
            "arousal": [1.5, None, 3.0],
            "corpus": ["ravdess", "emodb", "cremad"],
            "dominance": [None, None, None],
        },
        index=list("abc"),
    )
    asked = ("intensity", "style", "arousal", "dominance", "session")
    levels, words, values = further.targets(table, asked, "joined")
    assert levels.classes == ("low", "normal", "medium", "high/strong") and levels.places == (0.333, 0.5, 0.667, 1.0)
    assert levels.values.tolist() == [3, -1, 3] and words.values.tolist() == [1, -1, 0]
    assert words.mask.tolist() == levels.mask.tolist() == [True, False, True]
    assert values.mask.tolist() == [True, False, True] and values.values[2] == 3.0


def test_a_task_without_further_targets_stays_what_it_was(ask, demo_cache):
    ask()
    plain = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    assert plain.full_problem.also == () and "also" not in plain.definition.model_dump()
    ask(demo=ALSO)
    more = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    assert more.audit == plain.audit and more.also_hash != plain.also_hash == ""


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gender:demo", ALSO[1:]),
        ("speaker:demo", ALSO),
        ("shots:demo,2", ALSO),
        ("labels:demo,anger+sadness", ALSO),
    ],
)
def test_derived_tasks_keep_all_but_what_they_ask_themselves(ask, demo_cache, name, kept):
    ask(demo=ALSO)
    task = tasks.load(name, tasks.Options(demo_cache, demo_cache))
    assert tuple(target.name for target in task.full_problem.also) == task.definition.also == kept


def test_a_transfer_drops_them(ask, tmp_path):
    ask(emodb=("gender",), urdu=("gender",))
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    task = tasks.load("transfer:emodb,urdu", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.full_problem.also == () == task.definition.also


def test_what_joined_corpora_lack_is_masked(ask, tmp_path):
    ask(emodb=("gender",), urdu=("gender", "phonemes"))
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    task = tasks.load("unified:emodb,urdu", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.definition.also == ("gender", "phonemes")
    gender, *spoken = task.full_problem.also
    assert gender.mask.all()
    for target in spoken:  # none, where espeak-ng is absent
        assert (target.mask == (task.utterances["corpus"] == "emodb")).all()


def test_levels_are_those_of_arousal_where_a_user_says_so(tmp_path):
    layouts.TREES["iemocap"](tmp_path)
    layouts.emodb(tmp_path)

    def levels(name, **said):
        task = tasks.load(name, tasks.Options(tmp_path, tmp_path / "cache", **said))
        return task, [target for target in task.full_problem.also if target.name == "intensity"]

    for name in ("iemocap", "unified:emodb,iemocap"):
        (plain, none), (task, (target,)) = levels(name), levels(name, by_arousal=True)
        assert none == [] and task.audit.hash == plain.audit.hash
        rows = task.utterances
        there = rows["arousal"].notna() & (rows["emotion"] != "neutral")
        assert (target.mask == there).all() and set(target.values[there]) == set(range(len(target.classes)))
        places = (rows["arousal"][there] - 1) / 4
        assert (np.abs(places - np.array(target.places)[target.values[there]]) <= 1 / 8).all()
    assert levels("iemocap_arousal", by_arousal=True)[1] == []


@pytest.mark.parametrize("corpus", OF_CLASSES)
def test_tasks_of_classes_have_all_that_their_corpus_has(corpus, tmp_path):
    """Those on other folds or labels, too: a head of several targets then learns the same on each."""
    layouts.TREES[corpus](tmp_path)
    _, rows = reading.table(corpora.module(corpus).CORPUS, tmp_path, tmp_path / "cache")
    has = {name for name in ("gender", "text") if name in rows and rows[name].notna().any()}
    has |= {"intensity"} & set(rows) if corpus in intensity.read().levels else set()
    for asked in OF_CLASSES[corpus]:
        assert set(asked.also) == {"phonemes" if name == "text" else name for name in has}, asked.name


def test_a_target_of_one_class_is_none() -> None:
    """As in a corpus of men alone: there is nothing to tell."""
    rows = pd.DataFrame({"gender": ["male", "male", None], "speaker": ["a", "b", "c"]})
    assert further.targets(rows, ("gender",), "savee") == ()
    (both,) = further.targets(rows.assign(gender=["male", "female", None]), ("gender",), "savee")
    assert both.classes == ("female", "male")
