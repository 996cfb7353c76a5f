"""What every head must hold to, whatever it is; a new head is tested by being in the registry."""

import inspect
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

import downstreams
from commons.corridors.features import NEEDS
from commons.corridors.problem import KINDS as PROBLEM_KINDS
from commons.errors import UnknownName
from commons.metrics import METRICS, sums
from downstreams.errors import DownstreamError
from downstreams.registry import HEADS as HEADS_BY_NAME
from downstreams.registry import Evaluate, EvaluateFolds, EvaluateInFolder
from tests.downstreams.problems import CLASSES, KINDS, Ragged, build, features_of, short
from tests.downstreams.problems import make as made

ROOT = Path(__file__).resolve().parents[2]
HEADS = downstreams.names()
make = partial(made, n=160, speakers=4)
TREATED = [(head, kind) for head in HEADS for kind in KINDS if kind in downstreams.resolve(head).kinds]


def run(head, features, problem, seeds=2):
    reader = short(head)
    return downstreams.evaluate(reader, features, problem, downstreams.seeds(reader, seeds))


def kind_of(head):
    return downstreams.resolve(head).kinds[0]


def two_folds(problem):
    """The problem with its first two folds alone."""
    return replace(problem, folds=problem.folds[:2])


@cache
def usual(head, kind):
    """The predictions of the head, of two seeds, on two folds of the problem that `make` gives: made once."""
    features, problem = make(kind)
    return run(head, features, two_folds(problem))


def of_fold(predictions, name):
    """Everything the head chose and predicted for one fold, target column aside."""
    table = predictions.table[predictions.table["fold"] == name]
    chosen = [index for index, choice in enumerate(predictions.choices) if choice["fold"] == name]
    weights = predictions.layer_weights and [predictions.layer_weights[index] for index in chosen]
    held_out = predictions.held_out
    if held_out is not None:
        held_out = held_out[held_out["fold"] == name].to_dict("list")
    table = table.drop(columns="target").reset_index(drop=True)
    return table, [predictions.choices[index] for index in chosen], weights, held_out


@pytest.mark.parametrize(("head", "kind"), TREATED)
def test_a_fold_is_blind_to_the_labels_of_its_test_speakers(head, kind):
    """Permuting them, wherever they occur, leaves the fold, which is then alone, bit-equal: choices and predictions."""
    features, problem = make(kind)
    fold = problem.folds[0]
    speaker = np.isin(problem.speaker, np.unique(problem.speaker[fold.test]))
    targets = problem.targets.copy()
    targets[speaker] = np.random.default_rng(7).permutation(targets[speaker])
    assert (targets != problem.targets).any()
    other = build(kind, targets, problem.speaker.astype(int))
    after = run(head, features, replace(other, folds=other.folds[:1]))
    (table, *choices), (table_after, *choices_after) = (of_fold(own, fold.name) for own in (usual(head, kind), after))
    assert table.equals(table_after)
    assert choices == choices_after


@pytest.mark.parametrize("head", HEADS)
def test_a_fold_is_blind_to_the_features_of_its_test_speakers(head):
    """Other features of other test utterances change neither choices nor an utterance's prediction."""
    features, problem = make(kind_of(head))
    fold = problem.folds[0]
    changed = features_of(features.pooled.copy(), Ragged(features.frames))
    # A turn is predicted from its whole dialogue.
    unit = problem.ids if problem.dialogue is None else problem.dialogue
    others = fold.test[unit[fold.test] != unit[fold.test[0]]]
    changed.pooled[others] *= -3
    for row in others:
        changed.frames[row] = -3 * changed.frames[row]
    after = run(head, changed, two_folds(problem))
    (table, *choices), (table_after, *choices_after) = (
        of_fold(predictions, fold.name) for predictions in (usual(head, kind_of(head)), after)
    )
    assert choices == choices_after
    kept = ~table["id"].isin(problem.ids[others])
    assert table[kept].equals(table_after[kept])


@pytest.mark.parametrize(("head", "kind"), TREATED)
def test_every_test_utterance_is_predicted_once_a_seed(head, kind):
    features, problem = make(kind, signal=1.6)
    predictions = run(head, features, problem, seeds=1 if kind != kind_of(head) else 2)
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


@pytest.mark.parametrize("head", [head for head in HEADS if kind_of(head) != "regression"])
def test_what_is_held_out_is_no_test_utterance_and_gives_the_figure_that_chose(head):
    _, problem = make(kind_of(head))
    predictions = usual(head, kind_of(head))
    held_out, metric = predictions.held_out, METRICS[problem.select_on]
    scores = held_out[[f"score:{name}" for name in CLASSES]].to_numpy()
    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    for choice in predictions.choices:
        fold = next(fold for fold in problem.folds if fold.name == choice["fold"])
        own = ((held_out["fold"] == choice["fold"]) & (held_out["seed"] == choice["seed"])).to_numpy()
        rows = problem.ids.searchsorted(held_out["id"][own], sorter=np.argsort(problem.ids))
        rows = np.argsort(problem.ids)[rows]
        assert not np.isin(rows, fold.test).any() and len(set(rows)) == own.sum() > 0
        assert (np.asarray(CLASSES)[problem.targets[rows]] == held_out["target"][own]).all()
        counts = sums(problem.targets[rows], scores[own].argmax(1), n_classes=len(CLASSES))
        assert float(metric(counts)[0]) == pytest.approx(choice["dev"])


@pytest.mark.parametrize("head", HEADS)
def test_by_layer_holds_what_the_chosen_layer_predicted(head):
    predictions = usual(head, kind_of(head))
    if predictions.by_layer is None:
        pytest.skip("this head chooses no layer")
    for choice in predictions.choices:
        rows = np.flatnonzero((predictions.table["fold"] == choice["fold"]) & (predictions.table["seed"] == 0))
        named = np.asarray(CLASSES)[predictions.by_layer[choice["layer"], rows]]
        assert (named == predictions.table["prediction"].to_numpy()[rows]).all()


@pytest.mark.parametrize("head", [head for head in HEADS if kind_of(head) == "classification"])
def test_further_test_sets_change_neither_training_nor_predictions_by_a_bit(head):
    """Each test set is predicted by itself: equal features get equal predictions, whatever stands beside them."""
    features, problem = make(n=60, speakers=3)
    n, twice = len(problem.ids), np.tile(np.arange(len(problem.ids)), 3)
    more = features_of(features.pooled[twice].copy(), Ragged([features.frames[row] for row in twice]))
    more.pooled[n : 2 * n] *= 9  # the first further set is unlike the others in features and in lengths
    for row in range(n, 2 * n):
        more.frames[row] = np.tile(more.frames[row], (3, 1, 1))
    more.frames.offsets = np.cumsum([0, *map(len, more.frames)])
    several = replace(
        problem,
        ids=np.array([f"{problem.ids[row]}~{i // n}" if i >= n else problem.ids[row] for i, row in enumerate(twice)]),
        **{name: getattr(problem, name)[twice] for name in ("targets", "groups", "speaker")},
        folds=tuple(replace(fold, beside=(fold.test + n, fold.test + 2 * n)) for fold in problem.folds),
    )
    alone, together = run(head, features, problem, 1), run(head, more, several, 1)
    assert together.choices == alone.choices and len(together.table) == 3 * len(alone.table)
    first = together.table[together.table["id"].isin(problem.ids)].reset_index(drop=True)
    assert first.equals(alone.table)
    last = together.table[together.table["id"].str.endswith("~2")].reset_index(drop=True)
    assert last.drop(columns="id").equals(alone.table.drop(columns="id"))


@pytest.mark.parametrize("head", HEADS)
def test_the_same_again(head):
    features, problem = make(kind_of(head))
    first, second = usual(head, kind_of(head)), run(head, features, two_folds(problem))
    assert first.table.equals(second.table)
    assert first.choices == second.choices


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.resolve(head).deterministic])
def test_seeds_differ_and_what_one_gives_does_not_depend_on_the_others(head):
    features, problem = make(kind_of(head))
    both = usual(head, kind_of(head)).table
    alone = downstreams.evaluate(short(head), features, two_folds(problem), [1]).table
    first, second = (both[both["seed"] == seed].reset_index(drop=True) for seed in (0, 1))
    assert second.equals(alone)
    assert not second.drop(columns="seed").equals(first.drop(columns="seed"))


@pytest.mark.parametrize("head", HEADS)
def test_outputs_are_of_the_test_rows_of_the_first_seed(head):
    predictions = usual(head, kind_of(head))
    if predictions.outputs is None:
        pytest.skip("this head has no first layer")
    assert len(predictions.outputs) == (predictions.table["seed"] == 0).sum()
    assert np.isfinite(predictions.outputs).all()
    assert (predictions.outputs.std(0) > 0).any()


@pytest.mark.parametrize("head", HEADS)
def test_kinds_that_a_head_cannot_treat_are_refused(head):
    for kind in set(KINDS) - set(downstreams.resolve(head).kinds):
        with pytest.raises(DownstreamError, match=f"not {kind}"):
            run(head, *make(kind))


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.resolve(head).deterministic])
def test_a_fold_without_a_dev_part_is_named(head):
    features, problem = make(kind_of(head))
    bare = replace(problem.folds[3], dev=np.array([], dtype=int), inner=())
    with pytest.raises(DownstreamError, match="fold '3' has no dev part"):
        run(head, features, replace(problem, folds=(*problem.folds[:3], bare)))


def with_dev(problem, part, **changed):
    """The problem with dev parts cut down: `part` of the rows of every fold."""
    folds = tuple(replace(fold, dev=part(fold.dev), inner=()) for fold in problem.folds)
    return replace(problem, folds=folds, **changed)


@pytest.mark.parametrize("head", [h for h in HEADS if not downstreams.resolve(h).deterministic])
def test_where_dev_lacks_a_class_ua_is_the_mean_recall_of_those_it_has(head):
    """Of two classes of equal size that is WA: the same choices."""
    features, problem = make(kind_of(head))

    def two_classes(dev):
        return np.concatenate([dev[problem.targets[dev] == c][:8] for c in (0, 2)])

    reader = short(head, class_weights="none")
    ua, wa = (
        downstreams.evaluate(reader, features, with_dev(problem, two_classes, select_on=metric), [0])
        for metric in ("UA", "WA")
    )
    assert ua.choices == wa.choices
    assert ua.table.equals(wa.table)
    assert len({choice.get("step", choice.get("epoch")) for choice in ua.choices}) > 1


@pytest.mark.parametrize("head", [h for h in HEADS if kind_of(h) in ("classification", "conversation")])
def test_classes_weigh_alike_where_they_do_in_the_headline_or_where_a_setting_says_so(head):
    """A rare class is predicted more often by a loss that weighs classes alike."""
    features, problem = made(kind_of(head), signal=0.3)
    rare = np.flatnonzero(problem.targets == 0)
    kept = np.setdiff1d(np.arange(len(problem.ids)), rare[np.arange(len(rare)) % 4 > 0])
    folds = tuple(
        replace(fold, **{part: np.intersect1d(getattr(fold, part), kept) for part in ("train", "dev")},
                inner=tuple(np.intersect1d(group, kept) for group in fold.inner))
        for fold in problem.folds[:2]
    )  # fmt: skip
    often = {}
    for metric, weights in (("UA", "headline"), ("UA", "balanced"), ("WA", "headline"), ("WA", "none"), ("UA", "none")):
        asked = replace(problem, folds=folds, select_on=metric)
        table = downstreams.evaluate(short(head, class_weights=weights), features, asked, [0]).table
        often[metric, weights] = (table["prediction"] == CLASSES[0]).sum()
    assert often["UA", "headline"] == often["UA", "balanced"] > often["UA", "none"]
    assert often["WA", "headline"] == often["WA", "none"]


# What saturates goes on for long with rates that are merely large.
LONG = ("finetune", "finetune_ecapa", "finetune_lora", "finetune_speecheq", "finetune_top3")
FAR = dict.fromkeys(("superb", "attentive", "ecapa", "mscnn", "speecheq", *LONG), 1e30)
FAR |= dict.fromkeys(("context_gru", "dialogue_rnn", "no_context", "recent_gru"), 1e37)
DIVERGING = {head: {"rates": [1e-3, far]} for head, far in FAR.items()} | {"emotion2vec": {"top_rate": 1e30}}
DIVERGED = {head: {"rates": [far]} for head, far in FAR.items()} | {"emotion2vec": {"rate": 1e30, "top_rate": 1e30}}


@pytest.mark.parametrize("head", [head for head in HEADS if not downstreams.resolve(head).deterministic])
def test_a_head_that_diverged_is_not_chosen(head):
    """The argmax of NaN is class 0: where dev has no other, it would be right every time."""
    features, problem = make(kind_of(head))
    problem = with_dev(problem, lambda dev: dev[problem.targets[dev] == 0])
    choices = downstreams.evaluate(short(head, **DIVERGING[head]), features, problem, [0]).choices
    assert all(choice.get("rate") in (None, 1e-3) and np.isfinite(choice["dev"]) for choice in choices)
    assert any(choice["dev"] < 100 for choice in choices)
    with pytest.raises(DownstreamError, match=r"not finite.*overflow"):
        downstreams.evaluate(short(head, **DIVERGED[head]), features, problem, [0])


@pytest.mark.parametrize("head", HEADS)
def test_features_that_do_not_fit_are_refused(head):
    features, problem = make(kind_of(head))
    fewer = features_of(features.pooled[:-1], Ragged(features.frames[:-1]))
    for wrong in (fewer, replace(features, pooled=None, frames=None, live=None)):
        with pytest.raises(DownstreamError, match="160 utterances"):
            run(head, wrong, problem)
    features.pooled[17, 0, 2, 3] = np.nan
    features.frames[17][0, 0, 3] = np.inf
    with pytest.raises(DownstreamError, match="u0017"):
        run(head, features, problem)


def test_an_unknown_head_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean probe"):
        downstreams.resolve("prob")


@pytest.mark.parametrize("head", HEADS)
def test_a_head_cites_the_same_with_settings_of_ones_own(head, tmp_path):
    (tmp_path / "mine.yaml").write_text("{}")
    own = downstreams.resolve(f"{head}@{tmp_path / 'mine.yaml'}")
    assert own.cite == downstreams.resolve(head).cite == HEADS_BY_NAME.find(head).cite


@pytest.mark.parametrize("head", HEADS)
def test_a_reader_is_plain_and_travels(head):
    """Of plain values alone, so that a job can carry it; its settings are those of the key of a cell."""
    reader = downstreams.resolve(head)
    assert (reader.name, reader.head) == (head, head)
    assert pickle.loads(pickle.dumps(reader)) == reader == downstreams.resolve(head)
    assert json.loads(json.dumps(reader.settings)) == reader.settings
    assert reader.needs and reader.needs <= set(NEEDS)
    assert reader.kinds and set(reader.kinds) <= set(PROBLEM_KINDS)
    assert dict(downstreams.describe())[head]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_has_the_signature_of_the_protocol(head):
    facts = HEADS_BY_NAME.find(head)
    protocol = EvaluateInFolder if facts.resumes else EvaluateFolds if facts.keeps_folds else Evaluate
    wanted = inspect.signature(protocol.__call__).parameters.values()
    assert list(inspect.signature(facts.load()).parameters.values()) == list(wanted)[1:]


def test_the_settings_that_keys_hold_are_those_that_they_held_before():
    """A changed default changes the key of every cell of the head: raise its version with it."""
    turns = {"version": 1, "projector": 100, "dropout": 0.5, "batch": 8, "rates": [3e-4, 1e-3, 3e-3], "decay": 1e-3,
             "epochs": 60}  # fmt: skip
    probe = {"version": 2, "strengths": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10_000.0]}
    gru, rnn = {"network": "gru", "hidden": 100}, {"global": 150, "party": 150, "emotion": 100, "hidden": 100}
    sizes = {"version": 1, "channels": 128, "scale": 8, "joined": 384, "squeeze": 64, "attention": 64, "embedding": 96,
             "hidden": 256, "dropout": 0.5}  # fmt: skip
    tuned = {"aggregator": "mean", "layers": "last", "batch": 32, "steps": 1500, "epochs": 20, "scorings": 30,
             "rates": [1e-5, 1e-4], "random_rates": [1e-5, 1e-4, 1e-3], "trial": 0.2, "head_factor": 10.0,
             "head_rates": [1e-4, 1e-3], "decay": 0.01, "warmup": 0.1, "clip": 1.0, "longest": 30.0, "averaged": 5,
             "precision": "auto", "then": "nothing", "then_rates": [3e-4, 1e-3, 3e-3],
             "then_epochs": 30, "readout": "average"}  # fmt: skip
    frames = sizes | {"layers": "last", "batch": 32, "rates": [3e-4, 1e-3, 3e-3], "decay": 0.01,
              "warmup": 0.1, "epochs": 30, "clip": 5.0}  # fmt: skip
    branches = {"network": "speecheq", "state": 1.0, "focal": 0.0, "intensity": 0.1, "phonemes": 0.1, "gender": 0.1,
                "neutral": "masked", "projection": 256, "probes": True}  # fmt: skip
    settings = {head: dict(downstreams.resolve(head).settings) for head in HEADS}
    assert {own.pop("class_weights") for own in settings.values()} == {"headline"}
    assert settings == {
        "probe": probe | {"statistics": ["mean"]},
        "probe_stats": probe | {"statistics": ["mean", "std"]},
        "selected": {"version": 1, "counts": [4, 8, 16, 32, 64, 128, 256],
                     "strengths": [0.1, 1.0, 10.0, 100.0]},
        "last_four": {"version": 2, "layers": 4, "strengths": probe["strengths"]},
        "superb": {"version": 1, "projector": 256, "batch": 32, "clip": 1.0, "rates": [1e-5, 1e-4, 1e-3],
                   "epochs": 271, "steps": 30_000, "evaluations": 30},
        "emotion2vec": {"version": 1, "hidden": 256, "batch": 128, "epochs": 100, "rate": 5e-4, "top_rate": 1e-3,
                        "rise": 10, "momentum": 0.9},
        "attentive": frames | {"network": "attentive"},
        "ecapa": frames | {"network": "ecapa"},
        "mscnn": frames | {"network": "mscnn"},
        "finetune": sizes | tuned | {"top": None},
        "finetune_ecapa": sizes | tuned | {"top": None, "then": "ecapa", "then_averaged": 5},
        "finetune_top3": sizes | tuned | {"top": 3},
        "speecheq": {"version": 1, "attention": 64, "hidden": 256, "dropout": 0.5} | branches
        | {name: frames[name] for name in ("layers", "batch", "rates", "decay", "warmup", "epochs", "clip")},
        "finetune_speecheq": sizes | tuned | branches | {"top": None, "aggregator": "attentive"},
        "finetune_lora": sizes | tuned
        | {"top": None, "lora": 16, "rates": [2.5e-4, 5e-4], "random_rates": [2.5e-4, 5e-4]},
        "context_gru": turns | gru | {"context": True},
        "dialogue_rnn": turns | rnn | {"context": True, "network": "dialogue_rnn"},
        "no_context": turns | gru | {"context": False},
        "recent_gru": turns | {"context": True, "network": "recent_gru", "hidden": 100, "layers": 2, "turns": 6},
    }  # fmt: skip


def test_names_and_their_lines_import_nothing_heavy():
    program = """
import sys, downstreams
downstreams.describe(), [downstreams.resolve(name).kinds for name in downstreams.names()], downstreams.references("x")
print(*{"numpy", "pandas", "torch", "yaml"} & set(sys.modules))
"""
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert printed.stdout.strip() == ""


def test_references_of_a_kind_of_problem():
    assert list(downstreams.references("classification")) == list(downstreams.references("regression"))
    assert list(downstreams.references("conversation")) == ["majority", "duration", "text_length", "persistence"]
    assert "persistence" not in downstreams.references("classification")
    _, problem = make()
    with pytest.raises(UnknownName, match="unknown reference 'majorty': did you mean majority"):
        downstreams.reference("majorty", problem, np.ones(len(problem.ids)))
    with pytest.raises(DownstreamError, match="no dialogues"):
        downstreams.reference("persistence", problem, np.ones(len(problem.ids)))
