"""The label algebra: what corpora share, and that nothing else is merged."""

from itertools import combinations

import pytest

from tasks import catalogue, definition, label_algebra
from tasks.errors import TaskError

TASKS = {name: tuple(definition.read(definition.path(name)).labels) for name in catalogue.names()}
OF_CLASSES = {name: classes for name, classes in TASKS.items() if classes}


def test_merges_lead_from_a_class_of_some_task_to_one_that_merges_no_further():
    everything = set().union(*OF_CLASSES.values())
    for narrow, broad in label_algebra.merges().items():
        assert {narrow, broad} <= everything and broad not in label_algebra.merges()


@pytest.mark.parametrize("pair", list(combinations(OF_CLASSES, 2)), ids="+".join)
def test_shared_classes_are_held_by_both(pair):
    sets = [OF_CLASSES[name] for name in pair]
    common = label_algebra.shared(sets)
    both = set(sets[0]) & set(sets[1]) - set(label_algebra.merges())
    assert common == label_algebra.shared(sets[::-1]) and both <= set(common)
    for classes in sets if len(common) >= label_algebra.FEWEST else ():
        held = label_algebra.onto(classes, common)
        assert set(held.values()) == set(common)
        assert all(wanted in (own, label_algebra.merges().get(own)) for own, wanted in held.items())


@pytest.mark.parametrize(
    ("sets", "common"),
    [
        ([("calm", "neutral", "anger"), ("calm", "neutral", "anger")], ("anger", "calm", "neutral")),
        ([("calm", "neutral", "anger"), ("neutral", "anger")], ("anger", "neutral")),
        ([("calm", "anger"), ("neutral", "anger")], ("anger", "neutral")),
        ([("calm", "anger"), ("calm", "neutral", "anger")], ("anger", "neutral")),
        ([("excitement", "happiness"), ("enthusiasm", "sadness")], ("happiness",)),
        ([("anger", "fear", "sadness"), ("anger", "fear"), ("fear", "sadness")], ("fear",)),
    ],
)
def test_a_class_stands_alone_only_where_all_have_it_and_the_broader_one(sets, common):
    assert label_algebra.shared(sets) == common


@pytest.mark.parametrize(("wanted", "words"), [(["anger"], "at least 2"), (["anger", "joy"], "no class joy; it has")])
def test_classes_that_cannot_be_are_told(wanted, words):
    with pytest.raises(TaskError, match=words):
        label_algebra.onto(("anger", "neutral"), wanted)
