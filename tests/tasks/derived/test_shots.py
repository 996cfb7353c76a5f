"""Few labels: draws that are nested, the same for everybody, and all that trains and chooses."""

import numpy as np
import pytest

import tasks
from tasks.derived import shots
from tests.tasks import layouts

KS = (1, 2, 3, 4, 100)


@pytest.fixture(scope="module")
def few(tmp_path_factory, demo_cache):
    """(base, task of K): the demo corpus, and one of two speakers a class."""
    data = layouts.urdu(tmp_path_factory.mktemp("urdu"))
    cache = tmp_path_factory.mktemp("cache")
    folders = {"demo": (demo_cache, demo_cache), "urdu": (data, cache)}
    return {
        name: (
            tasks.load(name, tasks.Options(*where)),
            {k: tasks.load(f"shots:{name},{k}", tasks.Options(*where)) for k in KS},
        )
        for name, where in folders.items()
    }


@pytest.mark.parametrize("name", ["demo", "urdu"])
def test_k_of_each_class_train_or_all_there_are_and_fewer_are_within_more(few, name):
    base, of = few[name]
    targets = base.problem.targets
    for d in range(shots.DRAWS):
        for f, own in enumerate(base.problem.folds):
            rest, before = np.r_[own.train, own.dev], np.empty(0, dtype=np.int64)
            for k in KS:
                fold = of[k].problem.draws[d][f]
                known = np.r_[fold.train, fold.dev]
                for c in range(len(base.problem.classes)):
                    assert (targets[known] == c).sum() == min(k, (targets[rest] == c).sum())
                assert set(before) <= set(known) <= set(rest)
                assert set(fold.test) == set(own.test) and fold.name == own.name
                before = known


@pytest.mark.parametrize("name", ["demo", "urdu"])
def test_what_is_chosen_is_chosen_within_the_k(few, name):
    base, of = few[name]
    n = len(base.problem.classes)
    for k in KS[1:]:
        for fold in of[k].problem.folds:
            known = np.sort(np.r_[fold.train, fold.dev])
            np.testing.assert_array_equal(np.sort(np.concatenate(fold.inner)), known)
            assert 1 < len(fold.inner) <= 5 and len(fold.dev) >= n
            for group in (*fold.inner, fold.dev):
                left = np.setdiff1d(known, group)
                assert set(base.problem.targets[left]) == set(range(n)), "no class is lost to what is left out"
    for fold in of[1].problem.folds:
        assert len(fold.train) == n and not len(fold.dev) and not fold.inner
    assert "nothing can be chosen" in " ".join(of[1].notes) and "nothing can be chosen" not in " ".join(of[2].notes)


def test_draws_differ_and_follow_from_ids_alone(few, demo_cache):
    base, of = few["demo"]
    first = [tuple(sorted(draw[0].train)) for draw in of[2].problem.draws]
    assert len(set(first)) > shots.DRAWS // 2
    assert tasks.load("shots:demo,2", tasks.Options(demo_cache, demo_cache)).audit.hash == of[2].audit.hash
    fold = base.problem.folds[0]
    permuted = base.problem.targets.copy()
    permuted[fold.test] = permuted[fold.test][::-1]
    for k in KS:
        one, two = (shots.drawn(fold, k, 3, base.problem.ids, t) for t in (base.problem.targets, permuted))
        np.testing.assert_array_equal(one.train, two.train)


def test_a_class_of_fewer_is_told(few):
    assert "some folds have fewer than 100 of a class, and all are taken" in " ".join(few["urdu"][1][100].notes)
    assert "fewer than" not in " ".join(few["demo"][1][1].notes)


def test_every_draw_is_in_the_audit(few):
    """A draw beyond the first changes the key of a cell as well."""
    assert len({task.audit.hash for task in few["demo"][1].values()}) == len(KS)
