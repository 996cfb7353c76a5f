"""Derived tasks: another target on the very folds of the base."""

import numpy as np
import pytest

import tasks
from tasks.errors import TaskError
from tests.tasks import layouts

SENTENCES = tuple(f"s{i}" for i in range(1, 9))


@pytest.mark.parametrize(("kind", "classes"), [("gender", ("female", "male")), ("sentence", SENTENCES)])
def test_a_column_is_asked_on_the_same_folds(demo_cache, kind, classes):
    base = tasks.load("demo", demo_cache, demo_cache)
    task = tasks.load(f"{kind}:demo", demo_cache, demo_cache)
    assert task.name == task.definition.name == f"{kind}:demo" and task.problem.classes == classes
    wanted = base.utterances[kind].tolist()
    assert [task.problem.classes[t] for t in task.problem.targets] == wanted
    for fold, other in zip(base.problem.folds, task.problem.folds, strict=True):
        for part in ("train", "dev", "test"):
            np.testing.assert_array_equal(getattr(fold, part), getattr(other, part))
    assert task.audit.hash != base.audit.hash and task.definition.version != base.definition.version
    assert not task.definition.published


def test_gender_is_bound_to_speakers_so_only_pooled_figures_mean_something(demo_cache):
    task = tasks.load("gender:demo", demo_cache, demo_cache)
    assert "speaker~label" in task.marks and task.definition.pooled_only
    assert not tasks.load("demo", demo_cache, demo_cache).definition.pooled_only


def test_a_column_that_the_corpus_lacks_is_told(tmp_path):
    layouts.urdu(tmp_path)
    with pytest.raises(TaskError, match="sentence:urdu: URDU-Dataset does not tell the sentence"):
        tasks.load("sentence:urdu", tmp_path, tmp_path / "cache")


def test_a_column_with_one_value_is_told(tmp_path):
    layouts.emodb(tmp_path, texts=("a01",))
    with pytest.raises(TaskError, match=r"one sentence only \(a01\)"):
        tasks.load("sentence:emodb", tmp_path, tmp_path / "cache")


def test_a_base_that_asks_for_values_is_told(demo_cache):
    with pytest.raises(TaskError, match="gender:demo_arousal: demo_arousal asks for values"):
        tasks.load("gender:demo_arousal", demo_cache, demo_cache)


@pytest.mark.parametrize("name", ["gender:emodb,urdu", "sentence:demo,demo"])
def test_too_many_arguments_are_told(tmp_path, name):
    with pytest.raises(TaskError, match="takes 1 task"):
        tasks.resolve([name], tmp_path)
