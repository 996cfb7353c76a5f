"""From labels to predictions: what a fold's test speakers are labelled decides nothing of that fold."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import downstreams
import tasks
from commons.corridors.problem import Target
from tasks.splits import folds
from tests.downstreams.problems import Ragged, features_of, short


@pytest.fixture(scope="module")
def embedded(demo_cache, tmp_path_factory):
    """The tasks of the embedded corpus by their names, each read once."""
    return cache(lambda name: tasks.load(name, tasks.Options(tmp_path_factory.mktemp("data"), demo_cache)))


def with_further_targets(problem, utterances, rng):
    """The problem with a target of each kind, for heads that learn several."""
    symbols = np.empty(len(problem.ids), dtype=object)
    for row in range(len(symbols)):
        symbols[row] = rng.integers(0, 2, size=1 + row % 2)
    of = {name: utterances[name].to_numpy() for name in ("gender", "intensity")}
    gender, intensity = ((values == np.unique(values)[1]).astype(np.int64) for values in of.values())
    also = (
        Target("gender", "classification", ("female", "male"), gender),
        Target("intensity", "ordinal", ("normal", "strong"), intensity, (0.5, 1.0)),
        Target("phonemes", "sequence", ("a", "b"), symbols),
    )
    return replace(problem, also=also)


def other_values(target, rows, rng):
    """The target with other values of some rows, and without some of them."""
    values = target.values.copy()
    values[rows] = values[rng.permutation(rows)]
    values[rows[::5]] = None if target.kind == "sequence" else -1
    return replace(target, values=values)


@pytest.mark.parametrize("parts", [(), (3, 7)], ids=["alone", "fused"])
@pytest.mark.parametrize("head", downstreams.names())
def test_permuted_labels_of_the_test_speakers_change_nothing_of_their_fold(head, parts, embedded):
    """The task's own split rules (dev part, inner groups) and the head together, bit for bit; also where features are
    those of two parts, which heads weigh."""
    # Selected by UA, by which the heads of conversations weigh their loss, too.
    reader = short(head)
    if reader.further:
        reader = short(head, probes=True)
    task = embedded("demo" if "classification" in reader.kinds else "demo_next")
    problem, rng = task.problem, np.random.default_rng(0)
    if reader.further:
        problem = with_further_targets(problem, task.utterances, rng)
    pooled = rng.standard_normal((len(problem.ids), 2, 3, 10)).astype(np.float32)
    pooled[:, :, 1] += problem.targets[:, None, None] * rng.standard_normal(10)
    frames = Ragged([mean[None, None] + rng.standard_normal((3, 1, 10)) for mean in pooled[:, 0, 1]])
    features = features_of(pooled, frames, parts)
    ends = (0, len(problem.folds) - 1)
    before = downstreams.evaluate(reader, features, replace(problem, folds=tuple(problem.folds[k] for k in ends)), [0])
    assert bool(before.further) == reader.further
    tests = {fold.name: fold.test for fold in problem.folds}
    for fold in (problem.folds[k] for k in ends):
        theirs = np.isin(problem.speaker, np.unique(problem.speaker[fold.test])) & problem.has_target
        targets = problem.targets.copy()
        targets[theirs] = rng.permutation(targets[theirs]) // 2  # so that classes are counted otherwise, too
        split = folds.build(tests, problem.ids, problem.speaker, targets, task.definition.dev)
        also = tuple(other_values(target, np.flatnonzero(theirs), rng) for target in problem.also)
        alone = tuple(split[k] for k in ends if split[k].name == fold.name)
        after = downstreams.evaluate(reader, features, replace(problem, targets=targets, folds=alone, also=also), [0])
        assert len(before.choices) == len(ends) and len(after.choices) == 1
        rows = [p.table[p.table["fold"] == fold.name].drop(columns="target") for p in (before, after)]
        assert rows[0].equals(rows[1].set_axis(rows[0].index))
        chosen = [[c for c in p.choices if c["fold"] == fold.name] for p in (before, after)]
        assert chosen[0] == chosen[1]
        assert [one.name for one in before.further] == [one.name for one in after.further]
        for one, other in zip(before.further, after.further, strict=True):
            # Which answers are scored follows from the labels; those of both are the same.
            own, again = (further.table[further.table["fold"] == fold.name].set_index("id") for further in (one, other))
            both = own.index.intersection(again.index)
            assert len(both) and own.loc[both].drop(columns="target").equals(again.loc[both].drop(columns="target"))
