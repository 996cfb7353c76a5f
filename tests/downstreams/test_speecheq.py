"""`speecheq`: each branch learns from those utterances alone that have its label, and none moves the others' labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import downstreams
from downstreams import branches
from downstreams.branches import OfLevels, OfSymbols
from downstreams.class_loss import ClassLoss
from downstreams.errors import DownstreamError
from downstreams.multi_task import Losses, MultiTaskHead
from downstreams.settings import SpeechEq
from tests.downstreams.problems import SYMBOLS, make_several, short

OFF = {"intensity": 0.0, "phonemes": 0.0, "gender": 0.0}
TINY = SpeechEq(projection=8, hidden=8, attention=4)


@pytest.fixture(scope="module")
def made():
    features, problem = make_several(n=100, speakers=5)
    return features, replace(problem, folds=problem.folds[:1])


@pytest.fixture(scope="module")
def whole(made):
    """The predictions of all branches, and of the probes."""
    return run(*made, probes=True)


def run(features, problem, seeds=(0,), **settings):
    return downstreams.evaluate(short("speecheq", **settings), features, problem, list(seeds))


def masked(problem, name, rows):
    """The problem without some rows' values of a further target."""
    changed = []
    for target in problem.also:
        values = target.values.copy()
        if target.name == name:
            values[rows] = None if target.kind == "sequence" else -1
        changed.append(replace(target, values=values))
    return replace(problem, also=tuple(changed))


def pieces(problem, n=6):
    """A network with a branch for each label, losses, frames and which are valid, of the first training rows."""
    fold = problem.folds[0]
    whole = branches.readable(problem, np.full(len(problem.ids), 15), 3000)
    labels = branches.labels(problem, fold, {"intensity": 1, "phonemes": 1, "gender": 1}, "masked", whole)
    draws = torch.Generator().manual_seed(0)
    forms = [label.form for label in labels]
    network = MultiTaskHead(1, 10, len(problem.classes), TINY, forms, draws, lambda name: draws)
    losses = Losses(labels, ClassLoss(torch.tensor(problem.targets)), 1.0)
    rows = fold.train[:n]
    return network, losses, torch.randn(n, 15, 1, 10, generator=draws), torch.ones(n, 15, dtype=torch.bool), rows


def test_every_branch_and_probe_answers_for_the_test_utterances_that_have_its_label(made, whole):
    problem = made[1]
    test = problem.folds[0].test
    further = {one.name: one for one in whole.further}
    assert set(further) == {"intensity", "gender", "phonemes", "gender_probe", "speaker_probe"}
    for target in problem.also:
        table = further[target.name].table
        assert table["id"].tolist() == problem.ids[test[target.mask[test]]].tolist()
        assert further[target.name].classes == target.classes and further[target.name].places == target.places
    assert set(" ".join(further["phonemes"].table["prediction"]).split()) <= set(SYMBOLS)
    assert whole.marks == ("sentences_shared",)
    row = problem.ids.tolist().index(further["phonemes"].table["id"].iloc[0])
    assert further["phonemes"].table["target"].iloc[0] == " ".join(SYMBOLS[i] for i in problem.also[2].values[row])


def test_the_speaker_probe_is_tested_on_other_sentences_of_its_training_speakers(made, whole):
    _, problem = made
    fold = problem.folds[0]
    table = {one.name: one for one in whole.further}["speaker_probe"].table
    rows = np.searchsorted(problem.ids, table["id"])
    assert set(rows) < set(fold.train) and table["target"].tolist() == problem.speaker[rows].tolist()
    assert len(np.unique(problem.sentence[rows])) < len(np.unique(problem.sentence[fold.train]))
    assert set(fold.train) - set(rows) == set(
        fold.train[~np.isin(problem.sentence[fold.train], problem.sentence[rows])]
    )


def test_the_same_seed_gives_the_same_of_every_branch_and_another_does_not(made):
    first, second = run(*made, seeds=(0, 1)), run(*made, seeds=(1,))
    for both, alone in zip(first.further, second.further, strict=True):
        several = [both.table[both.table["seed"] == seed].reset_index(drop=True) for seed in (0, 1)]
        assert several[1].equals(alone.table)
        assert not several[0].drop(columns="seed").equals(several[1].drop(columns="seed"))


def test_with_other_weights_0_it_is_the_head_of_the_state_alone(made, whole):
    features, problem = made
    off = run(features, problem, **OFF)
    alone = run(features, replace(problem, also=()), **OFF)
    assert off.table.equals(alone.table) and off.choices == alone.choices and off.further == ()
    assert not off.table.equals(whole.table)


@pytest.mark.parametrize("name", OFF)
def test_a_branch_without_labels_in_train_moves_nothing_and_is_named(made, name):
    features, problem = made
    absent = run(features, masked(problem, name, problem.folds[0].train))
    off = run(features, problem, **{name: 0.0})
    assert absent.table.equals(off.table)
    assert [one.name for one in absent.further] == [one.name for one in off.further]
    assert f"without:{name}" in absent.marks and f"without:{name}" not in off.marks


@pytest.mark.parametrize("name", OFF)
def test_a_batch_without_a_label_gives_its_branch_no_gradient(made, name):
    network, losses, x, valid, rows = pieces(masked(made[1], name, made[1].folds[0].train[:6]))
    losses(network, x, valid, rows, None).backward()
    for other in OFF:
        gradients = [own.grad for own in network.branch(other).parameters() if own.numel()]
        assert all(own is None for own in gradients) if other == name else any(own.any() for own in gradients)


@pytest.mark.parametrize("name", OFF)
def test_utterances_without_a_label_change_nothing_of_the_loss_of_the_others(made, name):
    network, losses, x, valid, rows = pieces(masked(made[1], name, made[1].folds[0].train[[1, 4]]))
    label = next(own for own in losses.labels if own.target.name == name)
    has = label.usable[rows]
    assert 0 < has.sum() < len(rows)
    frames, vectors, branch = network.each_projected(x, valid), network(x, valid)[1], network.branch(name)
    everyone = branches.loss(branch, label, frames, vectors, rows, rows)
    own = [frames[i] for i in np.flatnonzero(has)]
    alone = branches.loss(branch, label, own, vectors[has], rows[has], rows[has])
    torch.testing.assert_close(everyone, alone)


def test_the_parts_of_a_batch_sum_to_its_loss(made):
    network, losses, x, valid, rows = pieces(made[1])
    parts = [losses(network, x[part], valid[part], rows[part], None, rows) for part in ([0, 3], [1, 2, 4, 5])]
    torch.testing.assert_close(sum(parts), losses(network, x, valid, rows, None))


def test_mixup_mixes_the_state_and_leaves_the_other_branches_as_they_are(made):
    """Where the state weighs nothing, and without dropout, the loss is that of the branches of utterances alone."""
    network, losses, x, valid, rows = pieces(made[1])
    network.dropout = 0.0
    mixed = replace(losses, of_classes=replace(losses.of_classes, mixup=1.0))
    alone, together = (
        [own(network, x, valid, rows, torch.Generator().manual_seed(1)) for own in (replace(loss, state=0.0), loss)]
        for loss in (losses, mixed)
    )
    torch.testing.assert_close(alone[0], together[0])
    assert abs(alone[1] - together[1]) > 1e-3


def test_a_sequence_is_read_as_if_it_were_alone():
    branch = OfSymbols(4, 3)
    frames, values = [torch.randn(5, 4), torch.randn(9, 4)], [np.array([0, 2]), np.array([1])]
    alone = [branch.losses([one], [value])[0] for one, value in zip(frames, values, strict=True)]
    torch.testing.assert_close(branch.losses(frames, values), torch.stack(alone))
    for one, together in zip(frames, branch.decoded(frames), strict=True):
        assert branch.decoded([one])[0].tolist() == together.tolist()


def test_symbols_are_aligned_with_frames_that_nobody_marked():
    draws = torch.Generator().manual_seed(0)
    directions = torch.randn(3, 8, generator=draws)
    values = [np.array(own) for own in ([0, 1, 2], [2, 0], [1, 0, 1], [2, 1], [0, 2, 1], [1, 2, 0])]
    frames = [directions[torch.as_tensor(own)].repeat_interleave(4, 0) for own in values]
    torch.manual_seed(0)
    branch = OfSymbols(8, 3)
    optimiser = torch.optim.Adam(branch.parameters(), 0.1)
    for _ in range(60):
        optimiser.zero_grad()
        branch.losses(frames, values).mean().backward()
        optimiser.step()
    assert [own.tolist() for own in branch.decoded(frames)] == [own.tolist() for own in values]


@pytest.mark.parametrize("levels", [2, 4])
def test_a_higher_value_reaches_higher_levels(levels):
    branch = OfLevels(1, levels)
    torch.nn.init.ones_(branch.linear.weight)
    torch.nn.init.normal_(branch.steps)
    shares = branch.probabilities(torch.linspace(-30, 60, 200)[:, None])
    assert (shares > -1e-6).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(200))
    likeliest = shares.argmax(1)
    assert (likeliest.diff() >= 0).all() and (likeliest[0], likeliest[-1]) == (0, levels - 1)
    losses = [branch.losses(torch.tensor([[-20.0]]), np.array([level])).item() for level in range(levels)]
    assert losses == sorted(losses)


@pytest.mark.parametrize("neutral", ["masked", "zero"])
def test_neutral_speech_has_no_intensity_or_lies_below_the_lowest_level(made, neutral):
    features, problem = made
    problem = replace(problem, classes=("anger", "neutral", "sadness"))
    calm, fold = problem.targets == 1, problem.folds[0]
    (label,) = branches.labels(problem, fold, {"intensity": 1.0}, neutral, np.ones(len(problem.ids), dtype=bool))
    level = problem.also[0].values
    if neutral == "masked":
        assert not label.usable[calm].any() and label.levels == 2
        assert (label.values[~calm] == level[~calm]).all()
    else:
        assert label.usable[fold.train][calm[fold.train]].all() and label.levels == 3
        assert (label.values[fold.train][calm[fold.train]] == 0).all() and (
            label.values[~calm & (level >= 0)] > 0
        ).all()
    (further,) = run(features, problem, neutral=neutral, gender=0.0, phonemes=0.0).further
    assert not np.isin(further.table["id"], problem.ids[calm]).any()  # it is never scored
    scores = further.table[["score:normal", "score:strong"]].to_numpy()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


def test_neutral_speech_of_speakers_without_levels_has_no_intensity(made):
    problem = replace(made[1], classes=("anger", "neutral", "sadness"))
    fold = problem.folds[0]
    unlevelled = np.flatnonzero(problem.speaker == problem.speaker[fold.train[0]])
    problem = masked(problem, "intensity", unlevelled)
    (label,) = branches.labels(problem, fold, {"intensity": 1.0}, "zero", np.ones(len(problem.ids), dtype=bool))
    assert not label.usable[unlevelled].any()
    others = np.setdiff1d(fold.train, unlevelled)
    assert label.usable[others][problem.targets[others] == 1].all()


def test_a_sequence_that_does_not_fit_its_frames_is_left_out_and_counted(made):
    features, problem = made
    also = list(problem.also)
    values = also[2].values.copy()
    row = problem.folds[0].train[1]
    values[row] = np.zeros(12, dtype=np.int64)  # equal symbols need a frame between them
    also[2] = replace(also[2], values=values)
    predictions = run(features, replace(problem, also=tuple(also)))
    assert predictions.choices[0]["phonemes_unread"] == 1
    assert predictions.table.equals(run(features, masked(problem, "phonemes", [row])).table)


def test_where_no_sequence_fits_its_frames_the_branch_is_off_and_all_are_counted(made):
    features, problem = made
    long = np.array([np.zeros(12, dtype=np.int64)] * len(problem.ids) + [None], dtype=object)[:-1]
    also = tuple(replace(own, values=long) if own.kind == "sequence" else own for own in problem.also)
    predictions = run(features, replace(problem, also=also))
    assert predictions.choices[0]["phonemes_unread"] == len(problem.folds[0].train)
    assert "without:phonemes" in predictions.marks and "phonemes" not in {one.name for one in predictions.further}


def test_a_target_of_another_kind_is_refused_by_name(made):
    features, problem = made
    level = problem.also[0]
    wrong = replace(problem, also=(replace(level, kind="classification", places=()),))
    with pytest.raises(DownstreamError, match="target intensity: the branch learns a target of kind ordinal"):
        run(features, wrong)
