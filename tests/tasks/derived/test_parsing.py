"""Derived tasks: another target on the very folds of the base."""

import numpy as np
import pytest

import tasks
from commons.errors import Refused
from tasks import catalogue, definition
from tasks.derivation import Derivation
from tasks.derived import parsing
from tasks.derived.kinds import KINDS, UNIFIED
from tasks.errors import TaskError
from tests.tasks import layouts

SENTENCES = tuple(f"s{i}" for i in range(1, 9))


@pytest.mark.parametrize(("kind", "classes"), [("gender", ("female", "male")), ("sentence", SENTENCES)])
def test_a_column_is_asked_on_the_same_folds(demo_cache, kind, classes):
    base = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    task = tasks.load(f"{kind}:demo", tasks.Options(demo_cache, demo_cache))
    assert task.name == task.definition.name == f"{kind}:demo" and task.problem.classes == classes
    wanted = base.utterances[kind].tolist()
    assert [task.problem.classes[t] for t in task.problem.targets] == wanted
    for fold, other in zip(base.problem.folds, task.problem.folds, strict=True):
        for part in ("train", "dev", "test"):
            np.testing.assert_array_equal(getattr(fold, part), getattr(other, part))
    assert task.audit.hash != base.audit.hash and task.definition.version != base.definition.version
    assert not task.definition.published


@pytest.mark.parametrize("base", ["demo_dialogue", "demo_next"])
def test_of_a_conversation_a_column_is_asked_of_each_turn_by_itself(demo_cache, base):
    task = tasks.load(f"gender:{base}", tasks.Options(demo_cache, demo_cache))
    problem, scored = task.problem, task.problem.has_target
    assert [problem.classes[t] for t in problem.targets[scored]] == task.utterances.gender[scored].tolist()
    assert (problem.kind, problem.causal) == ("classification", False)
    assert task.definition.heads == ("probe",) and not task.definition.next_turn


def test_gender_is_bound_to_speakers_so_only_pooled_figures_mean_something(demo_cache):
    task = tasks.load("gender:demo", tasks.Options(demo_cache, demo_cache))
    assert "speaker~label" in task.marks and task.definition.pooled_only
    assert not tasks.load("demo", tasks.Options(demo_cache, demo_cache)).definition.pooled_only


def test_a_column_that_the_corpus_lacks_is_told(tmp_path):
    layouts.urdu(tmp_path)
    with pytest.raises(TaskError, match="sentence:urdu: URDU-Dataset has no column sentence"):
        tasks.load("sentence:urdu", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_column_with_one_value_is_told(tmp_path):
    layouts.emodb(tmp_path, texts=("a01",))
    with pytest.raises(TaskError, match=r"one sentence only \(a01\)"):
        tasks.load("sentence:emodb", tasks.Options(tmp_path, tmp_path / "cache"))


def test_a_base_that_asks_for_values_is_told(demo_cache):
    with pytest.raises(Refused, match="gender:demo_arousal: demo_arousal asks for values"):
        tasks.load("gender:demo_arousal", tasks.Options(demo_cache, demo_cache))


@pytest.mark.parametrize("name", ["gender:emodb,urdu", "sentence:demo,demo"])
def test_too_many_arguments_are_told(tmp_path, name):
    with pytest.raises(Refused, match=r"expected (gender|sentence):TASK"):
        tasks.resolve([name], tmp_path)


@pytest.mark.parametrize("name", ["emodb", "emovo", "ravdess", "urdu", "savee"])
def test_speakers_are_shared_and_sentences_are_not(tmp_path, name):
    layouts.TREES[definition.read(definition.path(name)).corpus](tmp_path)
    base, task = (tasks.load(each, tasks.Options(tmp_path, tmp_path / "cache")) for each in (name, f"speaker:{name}"))
    problem, rows = task.problem, task.utterances
    messages = "sentence" in rows and rows["sentence"].nunique() > 1
    unit = rows["sentence" if messages else "samples_sha256"].to_numpy()
    assert ("sentences_unknown" in task.marks) == (not messages) and "speakers_shared" in task.marks
    assert "speaker~label" not in task.marks
    assert set(problem.classes) <= set(base.utterances["speaker"])
    for fold in problem.folds:
        known = np.r_[fold.train, fold.dev]
        assert not set(unit[fold.test]) & set(unit[known])
        assert set(problem.targets[fold.test]) <= set(problem.targets[fold.train]) == set(range(len(problem.classes)))
        assert len(fold.inner) > 1
    tested = np.concatenate([fold.test for fold in problem.folds])
    assert sorted(tested) == np.flatnonzero(problem.targets >= 0).tolist()
    assert [problem.classes[t] for t in problem.targets[tested]] == rows["speaker"].iloc[tested].tolist()
    left = set(base.utterances["speaker"]) - set(problem.classes)
    assert bool(left) == any(f"left out {len(left)} speakers" in note for note in task.notes)


def test_a_corpus_that_does_not_tell_speakers_is_told(tmp_path):
    layouts.TREES["cmu_mosi"](tmp_path)
    with pytest.raises(TaskError, match="has no column speaker"):
        tasks.load("speaker:mosi_binary", tasks.Options(tmp_path, tmp_path / "cache"))


def test_some_classes_of_a_task_on_its_own_folds(tmp_path):
    layouts.ravdess(tmp_path)
    base, task = (
        tasks.load(name, tasks.Options(tmp_path, tmp_path / "cache"))
        for name in ("ravdess", "labels:ravdess,anger+neutral")
    )
    words = np.array([*base.problem.classes, ""], dtype=object)[base.problem.targets]
    merged = {"anger": "anger", "neutral": "neutral", "calm": "neutral"}
    result = [task.problem.classes[t] if t >= 0 else None for t in task.problem.targets]
    assert result == [merged.get(word) for word in words]
    for fold, own in zip(task.problem.folds, base.problem.folds, strict=True):
        assert set(fold.test) == {row for row in own.test if words[row] in merged}
    assert "ravdess: neutral = 4 calm + 4 neutral" in task.notes and task.counts["classes"]["neutral"] == 8


def test_a_suite_stands_for_its_tasks(tmp_path):
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    messages = []
    assert tasks.resolve(["shots:ser10,4"], tmp_path, messages.append) == ["shots:urdu,4", "shots:emodb,4"]
    assert "meld: meld is absent" in messages[0]
    assert tasks.resolve(["shots: emodb , 04", "labels:emodb,fear+anger+fear"], tmp_path) == [
        "shots:emodb,4",
        "labels:emodb,anger+fear",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_suite_goes_on_without_a_corpus_that_cannot_be_read_and_says_so(tmp_path, deny, kind):
    for corpus in ("emodb", "urdu", "emovo"):
        layouts.TREES[corpus](tmp_path)
    deny(tmp_path / "EMOVO")
    more = {"shots": ",4", "labels": ",anger+neutral", "perturbed": ",white@10"}.get(kind, "")
    lines = []
    names = tasks.resolve([f"{kind}:ser10{more}"], tmp_path, lines.append)
    if kind in UNIFIED:
        names = parsing.parse(names[0], tasks.Options(tmp_path, tmp_path)).tasks
    assert any("emodb" in name for name in names) and not any("emovo" in name for name in names)
    assert f"emovo: {tmp_path / 'EMOVO'} cannot be read (Permission denied)" in "".join(lines)
    for name in names:
        derived = parsing.parse(name, tasks.Options(tmp_path, tmp_path)) if ":" in name else None
        assert derived is None or "emovo" not in derived.tasks


def test_every_kind_is_listed_and_parses_as_it_is_written(tmp_path):
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    written = {"TASK": "emodb", "K": "4", "CLASS+CLASS": "anger+fear", "SOURCE": "urdu", "TARGET": "emodb",
               "SUITE": "ser10", "KIND@LEVEL": "white@10"}  # fmt: skip
    for kind, facts in zip(KINDS, KINDS.values(), strict=True):
        name = f"{kind}:{','.join(written[part] for part in facts.form.split(','))}"
        assert parsing.parse(name, tasks.Options(tmp_path, tmp_path)).name == name
        assert f"{kind}:{facts.form}" in tasks.derived_kinds()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentence:emodb", Derivation("sentence", "sentence", "emodb")),
        ("speaker:emodb", Derivation("speaker", "speaker", "emodb")),
        ("shots: emodb , 04", Derivation("shots", "shots 4", "emodb", shots=4)),
        ("labels:emodb,sadness+anger", Derivation("labels", "labels anger+sadness", "emodb")),
        ("transfer:emodb,urdu", Derivation("transfer", "transfer", "urdu", ("emodb",), ("emodb",))),
        (
            "transfer-standardised:emovo_text,urdu",
            Derivation("transfer-standardised", "transfer-standardised", "urdu", ("emovo_text",), ("emovo",)),
        ),
        (
            "across-languages:ser10,emodb",
            Derivation("across-languages", "across-languages", "emodb", ("ser10",), ("urdu", "emovo")),
        ),
    ],
)
def test_a_derived_task_says_how_it_came_from_others(tmp_path, name, expected):
    for corpus in ("emodb", "urdu", "emovo"):
        layouts.TREES[corpus](tmp_path)
    assert parsing.parse(name, tasks.Options(tmp_path, tmp_path)).derivation == expected
    task = tasks.load(name, tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.derivation == expected and task.name == parsing.parse(name, tasks.Options(tmp_path, tmp_path)).name


@pytest.mark.parametrize(
    ("name", "aspect"), [("shots:meld_binary,2", "polarity shots 2"), ("gender:demo_next", "gender")]
)
def test_what_the_base_asks_is_kept_where_its_target_is(tmp_path, name, aspect):
    assert parsing.parse(name, tasks.Options(tmp_path, tmp_path)).derivation.aspect == aspect


def test_a_task_of_its_own_came_from_no_other(demo_cache):
    assert tasks.load("demo", tasks.Options(demo_cache, demo_cache)).derivation is None


# A task of levels has no draws of labels and no pairs of classes.
COUNTED = [
    name
    for name in catalogue.names()
    if (own := definition.read(definition.path(name))).counts and own.kind != "ordinal"
]


@pytest.mark.parametrize("name", COUNTED)
def test_tasks_are_derived_of_one_that_counts_its_classes(tmp_path, name):
    base = definition.read(definition.path(name))
    layouts.TREES[base.corpus](tmp_path)
    for derived in (f"shots:{name},1", f"labels:{name},{'+'.join(list(base.labels)[:2])}", f"speaker:{name}"):
        assert tasks.load(derived, tasks.Options(tmp_path, tmp_path / "cache")).definition.counts == base.counts
