"""What every head must hold to, whatever it is; a new head is tested by being in the registry."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import downstreams
from downstreams.errors import DownstreamError, UnknownName
from tests.downstreams.problems import CLASSES, KINDS, Ragged, build, make, short

HEADS = downstreams.names()
TREATED = [(head, kind) for head in HEADS for kind in KINDS if kind in downstreams.kinds(head)]


def run(head, features, problem, seeds=2):
    return downstreams.evaluate(head, features, problem, downstreams.seeds(head, seeds), settings=short(head))


def kind_of(head):
    return downstreams.kinds(head)[0]


def of_fold(predictions, name):
    """Everything the head chose and predicted for one fold, target column aside."""
    table = predictions.table[predictions.table["fold"] == name]
    chosen = [index for index, choice in enumerate(predictions.choices) if choice["fold"] == name]
    weights = predictions.layer_weights and [predictions.layer_weights[index] for index in chosen]
    return table.drop(columns="target"), [predictions.choices[index] for index in chosen], weights


@pytest.mark.parametrize(("head", "kind"), TREATED)
def test_a_fold_is_blind_to_the_labels_of_its_test_speakers(head, kind):
    """Permuting them, wherever they occur, leaves the fold's choices and predictions bit-equal."""
    features, problem = make(kind)
    before = run(head, features, problem)
    rng = np.random.default_rng(7)
    for fold in problem.folds[:2]:
        speaker = np.isin(problem.speaker, np.unique(problem.speaker[fold.test]))
        targets = problem.targets.copy()
        targets[speaker] = rng.permutation(targets[speaker])
        assert (targets != problem.targets).any()
        after = run(head, features, build(kind, targets, problem.speaker.astype(int)))
        table, *choices = of_fold(before, fold.name)
        table_after, *choices_after = of_fold(after, fold.name)
        assert table.equals(table_after)
        assert choices == choices_after


@pytest.mark.parametrize("head", HEADS)
def test_a_fold_is_blind_to_the_features_of_its_test_speakers(head):
    """What other utterances of the test set sound like changes neither choices nor an utterance's prediction."""
    features, problem = make(kind_of(head))
    fold = problem.folds[0]
    changed = SimpleNamespace(pooled=features.pooled.copy(), frames=Ragged(features.frames))
    # A turn hears its dialogue.
    heard = problem.ids if problem.dialogue is None else problem.dialogue
    others = fold.test[heard[fold.test] != heard[fold.test[0]]]
    changed.pooled[others] *= -3
    for row in others:
        changed.frames[row] = -3 * changed.frames[row]
    (table, *choices), (table_after, *choices_after) = (
        of_fold(run(head, f, problem), fold.name) for f in (features, changed)
    )
    assert choices == choices_after
    kept = ~table["id"].isin(problem.ids[others])
    assert table[kept].equals(table_after[kept])


@pytest.mark.parametrize(("head", "kind"), TREATED)
def test_every_test_utterance_is_predicted_once_a_seed(head, kind):
    features, problem = make(kind, signal=1.6)
    predictions = run(head, features, problem)
    table = predictions.table
    assert list(table.columns[:5]) == ["id", "fold", "seed", "target", "prediction"]
    for _, rows in table.groupby("seed"):
        assert sorted(rows["id"]) == sorted(problem.ids)
    if kind == "regression":
        assert np.corrcoef(table["target"], table["prediction"])[0, 1] > 0.5
    else:
        scores = table[[f"score:{name}" for name in CLASSES]].to_numpy()
        assert np.allclose(scores.sum(1), 1, atol=1e-5)
        assert (np.asarray(CLASSES)[scores.argmax(1)] == table["prediction"]).all()
        assert (table["target"] == table["prediction"]).mean() > 0.5
    assert predictions.layer in (None, 1)  # the one that carries the target, where the head chooses one


@pytest.mark.parametrize("head", HEADS)
def test_by_layer_holds_what_the_chosen_layer_predicted(head):
    features, problem = make(kind_of(head))
    predictions = run(head, features, problem)
    if predictions.by_layer is None:
        pytest.skip("this head chooses no layer")
    for choice in predictions.choices:
        rows = np.flatnonzero((predictions.table["fold"] == choice["fold"]) & (predictions.table["seed"] == 0))
        named = np.asarray(CLASSES)[predictions.by_layer[choice["layer"], rows]]
        assert (named == predictions.table["prediction"].to_numpy()[rows]).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_same_again(head):
    features, problem = make(kind_of(head))
    first, second = run(head, features, problem), run(head, features, problem)
    assert first.table.equals(second.table)
    assert first.choices == second.choices


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.deterministic(head)])
def test_seeds_differ_and_what_one_gives_does_not_depend_on_the_others(head):
    features, problem = make(kind_of(head))
    both = run(head, features, problem).table
    alone = downstreams.evaluate(head, features, problem, [1], settings=short(head)).table
    first, second = (both[both["seed"] == seed].reset_index(drop=True) for seed in (0, 1))
    assert second.equals(alone)
    assert not second.drop(columns="seed").equals(first.drop(columns="seed"))


@pytest.mark.parametrize("head", HEADS)
def test_outputs_are_of_the_test_rows_of_the_first_seed(head):
    features, problem = make(kind_of(head))
    predictions = run(head, features, problem)
    if predictions.outputs is None:
        pytest.skip("this head has no first layer")
    assert len(predictions.outputs) == (predictions.table["seed"] == 0).sum()
    assert np.isfinite(predictions.outputs).all()
    assert (predictions.outputs.std(0) > 0).any()


@pytest.mark.parametrize("head", HEADS)
def test_kinds_that_a_head_cannot_treat_are_refused(head):
    for kind in set(KINDS) - set(downstreams.kinds(head)):
        with pytest.raises(DownstreamError, match=f"not {kind}"):
            run(head, *make(kind))


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.deterministic(head)])
def test_a_fold_without_a_dev_part_is_named(head):
    features, problem = make(kind_of(head))
    bare = replace(problem.folds[3], dev=np.array([], dtype=int), inner=())
    with pytest.raises(DownstreamError, match="fold '3' has no dev part"):
        run(head, features, replace(problem, folds=(*problem.folds[:3], bare)))


def with_dev(problem, part, **changed):
    """The problem with dev parts cut down: `part` of the rows of every fold."""
    folds = tuple(replace(fold, dev=part(fold.dev), inner=()) for fold in problem.folds)
    return replace(problem, folds=folds, **changed)


# The loss of the heads of conversations weighs classes by the metric, too.
@pytest.mark.parametrize("head", [h for h in HEADS if not downstreams.deterministic(h) and kind_of(h) in KINDS[:1]])
def test_where_dev_lacks_a_class_ua_is_the_mean_recall_of_those_it_has(head):
    """Of two classes of equal size that is WA: the same choices."""
    features, problem = make(kind_of(head))

    def two_classes(dev):
        return np.concatenate([dev[problem.targets[dev] == c][:8] for c in (0, 2)])

    ua, wa = (run(head, features, with_dev(problem, two_classes, select_on=metric)) for metric in ("UA", "WA"))
    assert ua.choices == wa.choices
    assert ua.table.equals(wa.table)
    assert len({choice.get("step", choice.get("epoch")) for choice in ua.choices}) > 1


# What saturates goes on for long with rates that are merely large.
FAR = {"superb": 1e30} | dict.fromkeys(("context_gru", "dialogue_rnn", "no_context"), np.inf)
DIVERGING = {head: {"rates": [1e-3, far]} for head, far in FAR.items()} | {"emotion2vec": {"top_rate": 1e30}}
DIVERGED = {head: {"rates": [far]} for head, far in FAR.items()} | {"emotion2vec": {"rate": 1e30, "top_rate": 1e30}}


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.deterministic(head)])
def test_a_head_that_diverged_is_not_chosen(head):
    """The argmax of NaN is class 0: where dev has no other, it would be right every time."""
    features, problem = make(kind_of(head))
    problem = with_dev(problem, lambda dev: dev[problem.targets[dev] == 0])
    settings = short(head) | DIVERGING[head]
    choices = downstreams.evaluate(head, features, problem, [0], settings=settings).choices
    assert all(choice.get("rate") in (None, 1e-3) and np.isfinite(choice["dev"]) for choice in choices)
    assert any(choice["dev"] < 100 for choice in choices)
    with pytest.raises(DownstreamError, match=r"not finite.*overflow"):
        downstreams.evaluate(head, features, problem, [0], settings=short(head) | DIVERGED[head])


@pytest.mark.parametrize("head", HEADS)
def test_features_that_do_not_fit_are_refused(head):
    features, problem = make(kind_of(head))
    fewer = SimpleNamespace(pooled=features.pooled[:-1], frames=Ragged(features.frames[:-1]))
    for wrong in (fewer, SimpleNamespace(pooled=None, frames=None)):
        with pytest.raises(DownstreamError, match="240 utterances"):
            run(head, wrong, problem)
    features.pooled[17, 0, 2, 3] = np.nan
    features.frames[17][0, 0, 3] = np.inf
    with pytest.raises(DownstreamError, match="u0017"):
        run(head, features, problem)


def test_an_unknown_head_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean probe"):
        downstreams.resolve("prob")
