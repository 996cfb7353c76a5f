"""Split rules: what they promise, for any table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons.errors import EmorepError
from tasks.errors import TaskError
from tasks.splits import folds

seeds = st.integers(0, 2**32 - 1)


def random_table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids, speakers and targets of a corpus of 3 to 24 speakers who each have few or most of up to 6 classes."""
    chance = np.random.default_rng(seed)
    fewest, speakers, targets = chance.choice([1, 4, 5]), [], []
    for speaker in range(chance.integers(3, 25)):
        classes = chance.permutation(6)[: chance.integers(fewest, 7)]
        labels = np.r_[classes, chance.choice(classes, chance.integers(0, 30))]
        speakers += [f"s{speaker:02d}"] * len(labels)
        targets += labels.tolist()
    ids = np.array([f"u{i:04d}" for i in range(len(speakers))])
    return ids, np.array(speakers), np.array(targets)


def grouped(seed: int, speakers: np.ndarray) -> dict[str, np.ndarray]:
    """Test folds of one speaker each, or of several."""
    names = sorted(set(speakers))
    if seed % 2 or len(names) < 8:
        return folds.leave_one_out("speaker", speakers)
    return folds.leave_groups_out("speaker", speakers, [names[k::4] for k in range(4)])


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["next_folds", "superb"]))
def test_parts_are_whole_and_speakers_never_cross_into_test(seed, dev_rule):
    ids, speakers, targets = random_table(seed)
    built = folds.build(grouped(seed, speakers), ids, speakers, targets, dev_rule)
    assert sorted(np.concatenate([fold.test for fold in built])) == list(range(len(ids)))
    for fold in built:
        assert sorted(np.r_[fold.train, fold.dev, fold.test]) == list(range(len(ids)))
        assert not set(speakers[fold.test]) & set(speakers[np.r_[fold.train, fold.dev]])
        for part in (fold.train, fold.dev, fold.test, *fold.inner):
            assert part.dtype == np.int64 and (np.diff(part) > 0).all()
        if dev_rule == "superb":  # choices are made on the protocol's own dev part
            assert len(fold.dev) and not fold.inner
            continue
        assert sorted(np.concatenate(fold.inner)) == sorted(np.r_[fold.train, fold.dev])
        owners = [set(speakers[group]) for group in fold.inner]
        assert len(set().union(*owners)) == sum(map(len, owners))  # a speaker is in one inner group
        assert 2 <= len(fold.inner) <= folds.MOST_SINGLE_SPEAKERS


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["next_folds", "superb"]))
def test_nothing_of_a_fold_depends_on_the_labels_of_its_test_speakers(seed, dev_rule):
    ids, speakers, targets = random_table(seed)
    tests = grouped(seed, speakers)
    before = folds.build(tests, ids, speakers, targets, dev_rule)
    chance = np.random.default_rng(seed)
    for k, fold in enumerate(before):
        permuted = targets.copy()
        permuted[fold.test] = chance.permutation(permuted[fold.test])
        constant = targets.copy()
        constant[fold.test] = chance.integers(6)
        for changed in (permuted, constant):
            after = folds.build_one(k, tests, ids, speakers, changed, dev_rule)
            for part in ("train", "dev", "test"):
                np.testing.assert_array_equal(getattr(fold, part), getattr(after, part))
            assert len(fold.inner) == len(after.inner)
            for one, other in zip(fold.inner, after.inner, strict=True):
                np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_dev_is_the_next_folds_that_serve_else_a_stratified_fifth(seed):
    ids, speakers, targets = random_table(seed)
    tests = grouped(seed, speakers)
    parts = list(tests.values())
    for k, fold in enumerate(folds.build(tests, ids, speakers, targets)):
        rest = np.r_[fold.train, fold.dev]
        classes = set(targets[rest])
        of_two = {c for c in classes if len(set(speakers[rest][targets[rest] == c])) > 1}

        def rows(of):
            return np.sort(np.concatenate([parts[j] for j in of]))

        for most in (len(rest) / 2, len(rest)):  # of the first fold
            names, taken = [j % len(parts) for j in range(k + 1, k + len(parts))], []
            while names and not (
                taken
                and of_two <= set(targets[rows(taken)])
                and len(set(speakers[rows(taken)])) > 1
                and 6 * len(rows(taken)) >= len(rest)
            ):
                grown = [*taken, names.pop(0)]
                fits = len(rows(grown)) <= (len(rest) / 2 if taken else most)
                if fits and classes == set(targets[np.setdiff1d(rest, rows(grown))]):
                    taken = grown
            if taken and of_two <= set(targets[rows(taken)]):
                break
        if taken and of_two <= set(targets[rows(taken)]):
            np.testing.assert_array_equal(fold.dev, rows(taken))
        else:
            for c in classes:
                n, there = (targets[rest] == c).sum(), (targets[fold.dev] == c).sum()
                assert there == (0 if n == 1 else max(1, round(n / 5)))
        assert set(targets[fold.train]) == classes


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_inner_groups_are_balanced_and_every_inner_train_keeps_its_classes(seed):
    chance = np.random.default_rng(seed)
    n_speakers, classes = chance.integers(9, 30), 4
    counts = chance.integers(0, 9, (n_speakers, classes))
    counts[:3] += 1  # at least three speakers have each class
    counts[counts.sum(1) == 0, 0] = 1  # a speaker says something
    speakers = np.repeat([f"s{i:02d}" for i in range(n_speakers)], counts.sum(1))
    targets = np.concatenate([np.repeat(np.arange(classes), row) for row in counts])
    groups = folds.inner_groups(np.arange(len(targets)), speakers, targets)
    assert len(groups) == 5
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 2 * counts.sum(1).max()
    for group in groups:
        assert set(np.delete(targets, group)) == set(targets)


def test_a_class_of_two_speakers_is_split_over_inner_groups():
    # 20 speakers have class 0; two of them also have the rare class 1.
    speakers = np.array([f"s{i:02d}" for i in range(20) for _ in range(5)] + ["s03", "s04"])
    targets = np.array([0] * 100 + [1, 1])
    for group in folds.inner_groups(np.arange(102), speakers, targets):
        assert set(np.delete(targets, group)) == {0, 1}


@pytest.mark.parametrize(("speakers", "groups"), [(3, 3), (8, 8), (9, 5), (28, 5)])
def test_up_to_eight_speakers_are_groups_of_their_own(speakers, groups):
    names = np.repeat([f"s{i:02d}" for i in range(speakers)], 4)
    assert len(folds.inner_groups(np.arange(len(names)), names, np.tile([0, 1], len(names) // 2))) == groups


def test_rows_that_are_in_no_test_are_in_no_part():
    ids, speakers = np.array(list("abcdefgh")), np.array(list("11223344"))
    tests = {name: test[:1] for name, test in folds.leave_one_out("speaker", speakers).items()}
    built = folds.build(tests, ids, speakers, np.zeros(8, dtype=np.int64))
    assert set(np.r_[built[0].train, built[0].dev, built[0].test]) == {0, 2, 4, 6}


@pytest.mark.parametrize("speakers", [1, 2])
def test_too_few_speakers_are_told(speakers):
    names = np.repeat([f"s{i}" for i in range(speakers)], 4)
    with pytest.raises(TaskError, match=r"fewer than two speakers .*s0.*needs three"):
        folds.build(folds.leave_one_out("speaker", names), names, names, np.tile([0, 1], 2 * speakers))


def test_a_speaker_in_no_group_or_in_two_is_told():
    speakers = np.array(["a", "b", "c"])
    with pytest.raises(TaskError, match="'c'"):
        folds.leave_groups_out("speaker", speakers, [["a"], ["b"]])
    with pytest.raises(TaskError, match="once"):
        folds.leave_groups_out("speaker", speakers, [["a"], ["b", "a"], ["c"]])


def test_groups_of_which_nothing_is_there_are_left_out():
    result = folds.leave_groups_out("speaker", np.array(["a", "b"]), [["a"], ["b", "x"], ["y"]])
    assert list(result) == ["speaker a", "speaker b x"]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6))
def test_balanced_groups_are_of_whole_speakers_and_alike_in_size(seed, k):
    _, speakers, _ = random_table(seed)
    tests = folds.leave_balanced_groups_out("speaker", speakers, k)
    assert sorted(np.concatenate(list(tests.values()))) == list(range(len(speakers)))
    owners = [set(speakers[test]) for test in tests.values()]
    assert len(set().union(*owners)) == sum(map(len, owners)) and len(tests) == min(k, len(set(speakers)))
    if len(set(speakers)) > k:
        sizes = [len(test) for test in tests.values()]
        assert max(sizes) - min(sizes) <= np.unique(speakers, return_counts=True)[1].max()


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_crossed_folds_share_neither_speaker_nor_sentence_and_test_each_row_once(seed):
    ids, speakers, targets = random_table(seed)
    sentences = np.random.default_rng(seed).choice(["a", "b", "c", "d"], len(ids))
    parts = folds.leave_balanced_groups_out("speaker", speakers, 3)
    tested = []
    for k, tests in folds.crossed(parts, folds.leave_out("sentence", sentences, 2)):
        try:
            fold = folds.build_one(k, tests, ids, speakers, targets)
        except EmorepError:  # too few speakers are left of these sentences
            continue
        rest = np.r_[fold.train, fold.dev]
        assert not set(speakers[rest]) & set(speakers[fold.test])
        assert not set(sentences[rest]) & set(sentences[fold.test])
        tested += fold.test.tolist()
    assert len(set(tested)) == len(tested)


def test_an_official_split_keeps_its_parts_and_leaves_other_rows_out():
    partition = np.array(["train"] * 10 + ["dev"] * 3 + ["test"] * 4 + ["test2"] * 2)
    ids, units = np.array([f"u{i}" for i in range(19)]), np.array([f"s{i}" for i in range(19)])
    there = np.arange(19) != 16
    (fold,) = folds.official(partition, ids, units, there, np.zeros(19, dtype=np.int64), "partition")
    assert [part.tolist() for part in (fold.train, fold.dev, fold.test)] == [
        list(range(10)),
        [10, 11, 12],
        [13, 14, 15],
    ]
    assert fold.inner == ()
    (fold,) = folds.official(partition, ids, units, there, np.zeros(19, dtype=np.int64), "fifth")
    assert (len(fold.train), len(fold.dev), len(fold.inner)) == (8, 2, 5)
    with pytest.raises(TaskError, match="official dev part has no usable utterance"):
        folds.official(np.where(partition == "dev", "", partition), ids, units, there, units, "partition")
