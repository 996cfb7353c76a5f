"""Further targets: columns that a head which learns several tasks may train on."""

import numpy as np
import pandas as pd
import pytest

import tasks
from tasks import definition
from tasks.errors import TaskError
from tasks.splits import problems
from tests.tasks import layouts

ALSO = ("gender", "intensity", "valence")


@pytest.fixture
def ask(tmp_path, definitions):
    """Give tasks of the registry further targets."""
    definitions(tmp_path)
    shipped = {name: definition.Path(definition.__file__).with_name("definitions") / f"{name}.yaml"
               for name in ("demo", "emodb", "urdu")}  # fmt: skip

    def write(**columns: tuple[str, ...]) -> None:
        for name, path in shipped.items():
            more = f"also: [{', '.join(columns[name])}]\n" if name in columns else ""
            (tmp_path / f"{name}.yaml").write_text(path.read_text() + more)
        definition.read.cache_clear()

    return write


def test_each_column_is_a_target_of_its_own_kind(ask, demo_cache):
    ask(demo=ALSO)
    task = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    gender, intensity, valence = task.problem.also
    assert [target.name for target in task.problem.also] == list(ALSO) == list(task.definition.also)
    assert (gender.kind, gender.classes) == ("classification", ("female", "male"))
    assert (intensity.kind, intensity.classes) == ("classification", ("normal", "strong"))
    assert (valence.kind, valence.classes) == ("regression", ())
    assert [gender.classes[value] for value in gender.values] == task.utterances.gender.tolist()
    np.testing.assert_array_equal(valence.values, task.utterances.valence)
    assert all(target.mask.all() for target in task.problem.also)
    assert task.definition.model_dump()["also"] == ALSO


def test_rows_without_a_value_are_masked():
    table = pd.DataFrame({"intensity": ["strong", None, "normal"], "arousal": [1.5, None, 3.0]}, index=list("abc"))
    words, values = problems.further(table, ("intensity", "arousal"))
    assert words.values.tolist() == [1, -1, 0] and words.mask.tolist() == [True, False, True]
    assert values.mask.tolist() == [True, False, True] and values.values[2] == 3.0


def test_a_task_without_further_targets_stays_what_it_was(ask, demo_cache):
    ask()
    plain = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    assert plain.problem.also == () and "also" not in plain.definition.model_dump()
    ask(demo=ALSO)
    more = tasks.load("demo", tasks.Options(demo_cache, demo_cache))
    assert more.audit.hash == plain.audit.hash and more.audit.also_hash != plain.audit.also_hash


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gender:demo", ("intensity", "valence")),
        ("speaker:demo", ALSO),
        ("shots:demo,2", ALSO),
        ("labels:demo,anger+sadness", ALSO),
    ],
)
def test_derived_tasks_keep_all_but_what_they_ask_themselves(ask, demo_cache, name, kept):
    ask(demo=ALSO)
    task = tasks.load(name, tasks.Options(demo_cache, demo_cache))
    assert tuple(target.name for target in task.problem.also) == task.definition.also == kept


def test_a_transfer_drops_them(ask, tmp_path):
    ask(emodb=("gender",), urdu=("gender",))
    layouts.emodb(tmp_path)
    layouts.urdu(tmp_path)
    task = tasks.load("transfer:emodb,urdu", tasks.Options(tmp_path, tmp_path / "cache"))
    assert task.problem.also == () == task.definition.also


def test_a_column_that_the_corpus_lacks_is_named(ask, demo_cache):
    ask(demo=("gender", "dominance"))
    with pytest.raises(TaskError, match=r"demo\.yaml: also: demo has no column dominance"):
        tasks.load("demo", tasks.Options(demo_cache, demo_cache))
