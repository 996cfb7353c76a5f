"""Heads of conversations: which turns they use, that they are the networks they are named for, who gains by context."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import downstreams
from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS, sums
from downstreams.recurrent import Network, same
from downstreams.reference_rows import persistence
from downstreams.turn_settings import of_conversation
from tasks.corpora.demo import synthesis
from tests.downstreams.problems import Ragged, features_of, reader, short

HEADS = [head for head in downstreams.names() if "conversation" in downstreams.resolve(head).kinds]
USE_CONTEXT = ("context_gru", "dialogue_rnn", "recent_gru")
LOOK_AHEAD = ("context_gru", "dialogue_rnn")  # where they may
CLASSES = ("anger", "neutral", "sadness")


def of_next_turn(targets, dialogue, turn):
    """Of every row the target of the turn after it in its dialogue; -1 where there is none."""
    at = {(name, t): target for name, t, target in zip(dialogue, turn, targets, strict=True)}
    return np.array([at.get((name, t + 1), -1) for name, t in zip(dialogue, turn, strict=True)])


def talk(causal=False, dialogues=24, seed=0):
    """Dialogues of 3 to 9 turns of two speakers, rows in no order; every seventh turn has no label; three parts."""
    rng = np.random.default_rng(seed)
    lengths = 3 + np.arange(dialogues) % 7
    dialogue = np.repeat(np.arange(dialogues), lengths)
    turn = np.concatenate([np.arange(n) for n in lengths])
    shuffled = rng.permutation(len(turn))
    dialogue, turn = dialogue[shuffled], turn[shuffled]
    targets = rng.integers(0, 3, len(turn))
    pooled = rng.standard_normal((len(turn), 2, 3, 6)).astype(np.float32)
    pooled[:, :, 1, :3] += 1.5 * np.eye(3)[targets][:, None]
    targets[(turn + dialogue) % 7 == 0] = -1
    if causal:
        targets = of_next_turn(targets, dialogue, turn)
    parts = [np.flatnonzero((np.array([0, 0, 1, 2])[dialogue % 4] == k) & (targets >= 0)) for k in range(3)]
    names = np.array([f"d{d}" for d in dialogue])
    problem = Problem(
        ids=np.array([f"u{i:03}" for i in range(len(turn))]),
        kind="conversation",
        classes=CLASSES,
        targets=targets,
        folds=(Fold("1", *parts),),
        groups=names,
        speaker=np.array([f"d{d} {t % 2}" for d, t in zip(dialogue, turn, strict=True)]),
        dialogue=names,
        turn=turn,
        causal=causal,
    )
    frames = Ragged([mean[None, None].astype(np.float16) for mean in pooled[:, 0, 1]])
    return features_of(pooled, frames), problem


def changed_at(features, rows):
    """The same features with other values at these rows."""
    pooled, frames = features.pooled.copy(), Ragged(features.frames)
    pooled[rows] = -4 * pooled[rows] + 1
    for row in rows:
        frames[row] = -4 * frames[row] + 1
    return features_of(pooled, frames)


def read(head, features, problem):
    """Choices with the weights of layers, and scores by utterance."""
    predictions = downstreams.evaluate(short(head), features, problem, [0])
    return (predictions.choices, predictions.layer_weights), predictions.table.set_index("id").drop(
        columns=["target", "fold", "seed", "prediction"]
    )


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("causal", [True, False])
def test_which_turns_a_prediction_depends_on(head, causal):
    """Of a causal problem no later turn, bit for bit; of none another dialogue; a turn without a label is context."""
    features, problem = talk(causal)
    fold = problem.folds[0]
    names, sizes = np.unique(problem.dialogue[fold.test], return_counts=True)
    mine = problem.dialogue == names[sizes.argmax()]
    turn = 4
    assert (problem.turn[mine] > turn).any()
    before = read(head, features, problem)

    def changed_by(rows):
        choices, table = read(head, changed_at(features, np.flatnonzero(rows)), problem)
        assert choices == before[0]
        return set(table.index[(table != before[1].loc[table.index]).any(axis=1)])

    def ids(rows):
        return set(problem.ids[rows]) & set(before[1].index)

    later = changed_by(mine & (problem.turn > turn))
    assert later <= ids(mine) and later & ids(mine & (problem.turn > turn))
    assert bool(later & ids(mine & (problem.turn <= turn))) == (head in LOOK_AHEAD and not causal)

    tested = np.isin(problem.dialogue, problem.dialogue[fold.test])
    assert not changed_by(tested & ~mine) & ids(mine)

    unlabelled = tested & (problem.targets < 0)
    assert bool(changed_by(unlabelled)) == (head in USE_CONTEXT)
    assert not ids(unlabelled)


@pytest.mark.parametrize("head", HEADS)
def test_no_turn_of_test_is_used_in_training_where_parts_share_a_dialogue(head):
    features, problem = talk()
    labelled = np.flatnonzero(problem.has_target)
    crossing = replace(problem, folds=(Fold("1", *(labelled[k::3] for k in range(3))),))
    changed = changed_at(features, crossing.folds[0].test)
    assert read(head, features, crossing)[0] == read(head, changed, crossing)[0]


def double(head, directions):
    """The head's network in double precision, without dropout; turns, speakers and lengths of three dialogues."""
    torch.manual_seed(0)
    network = Network(2, 5, 3, directions, of_conversation(downstreams.resolve(head).settings))
    network.start(torch.Generator().manual_seed(1))
    lengths = [4, 7, 1]
    return network.double(), torch.randn(12, 2, 5, dtype=torch.float64), torch.arange(12) % 3, lengths


@pytest.mark.parametrize("directions", [1, 2])
def test_the_gru_goes_over_each_dialogue_alone(directions):
    network, x, speaker, lengths = double("context_gru", directions)
    given = network(x, speaker, lengths, same)
    gru = network.over_turns.gru
    for own, turns in zip(given.split(lengths), network.projected(x).split(lengths), strict=True):
        assert torch.allclose(own, network.classifier(gru(turns)[0]), atol=1e-12)


def test_recent_turns_are_a_gru_over_each_turn_and_the_five_before_it():
    network, x, speaker, lengths = double("recent_gru", 1)
    given = network(x, speaker, lengths, same)
    gru = network.over_turns.gru
    assert gru.num_layers == 2
    for own, turns in zip(given.split(lengths), network.projected(x).split(lengths), strict=True):
        last = torch.stack([gru(turns[max(0, t - 5) : t + 1])[0][-1] for t in range(len(turns))])
        assert torch.allclose(own, network.classifier(last), atol=1e-12)


def cell(cells, direction):
    """torch's own GRUCell with the weights of one direction."""
    theirs = nn.GRUCell(*cells.weight_ih.shape[1:2], cells.hidden_size).double()
    theirs.load_state_dict({name: part[direction].T.reshape(getattr(theirs, name).shape)
                            for name, part in cells.state_dict().items()})  # fmt: skip
    return theirs


@pytest.mark.parametrize("directions", [1, 2])
def test_dialogue_rnn_equals_its_equations(directions):
    """Turn by turn, with torch's cells, one dialogue and direction after another."""
    network, x, speaker, lengths = double("dialogue_rnn", directions)
    over, expected = network.over_turns, []
    for turns, who in zip(network.projected(x).split(lengths), speaker.split(lengths), strict=True):
        ways = []
        for direction in range(directions):
            whole_cell, party_cell, emotion_cell = (cell(c, direction) for c in (over.all, over.party, over.emotion))
            order = range(len(turns)) if direction == 0 else reversed(range(len(turns)))
            whole, emotion, parties, past = torch.zeros(150).double(), torch.zeros(100).double(), {}, []
            emotions = {}
            for t in order:
                u, own = turns[t], parties.get(int(who[t]), torch.zeros(150).double())
                whole = whole_cell(torch.cat([u, own]), whole)
                scores = torch.stack([g @ (u @ over.attention.weight[direction]) for g in past]) if past else None
                context = sum(a * g for a, g in zip(scores.softmax(0), past, strict=True)) if past else 0 * whole
                own = party_cell(torch.cat([u, context]), own)
                emotion = emotion_cell(own, emotion)
                parties[int(who[t])], emotions[t] = own, emotion
                past.append(whole)
            ways.append(torch.stack([emotions[t] for t in range(len(turns))]))
        expected.append(network.classifier(over.hidden(torch.cat(ways, 1)).relu()))
    assert torch.allclose(network(x, speaker, lengths, same), torch.cat(expected), atol=1e-10)


@pytest.mark.parametrize("causal", [True, False])
def test_the_speakers_last_emotion(causal):
    """Turns 0 to 5 of speakers A B A A B A; labels 0 1 - 2 2 0; with no label before, the fold's majority, 1."""
    labels, speaker = np.array([0, 1, -1, 2, 2, 0, 1, 1, 1, 1, 1]), np.array(list("ABAABAABAAA"))
    dialogue, turn = np.array(list("ddddddeefff")), np.r_[:6, :2, :3]
    targets = of_next_turn(labels, dialogue, turn) if causal else labels
    there = [np.flatnonzero((targets >= 0) & (dialogue == name)) for name in "fed"]
    problem = Problem(
        ids=np.array(list("uvwxyzabcef")),
        kind="conversation",
        classes=CLASSES,
        targets=targets,
        folds=(Fold("1", *there),),
        groups=dialogue,
        speaker=speaker,
        dialogue=dialogue,
        turn=turn,
        causal=causal,
    )
    predictions = persistence(problem)
    assert predictions.marks == ("oracle",)
    predicted = [CLASSES.index(name) for name in predictions.table["prediction"]]
    # Asked for turns 1 3 4 5, no row has the label of turn 0; else for turns 0 1 3 4 5.
    assert predicted == ([1, 1, 1, 2] if causal else [1, 1, 0, 1, 2])


def scored(predictions, metric):
    index = {name: c for c, name in enumerate(synthesis.EMOTIONS)}
    true, named = (predictions.table[column].map(index).to_numpy() for column in ("target", "prediction"))
    return METRICS[metric](sums(true, named, n_classes=len(index)))[0]


def test_which_heads_learn_that_moods_last(monkeypatch):
    """Dialogues as the demo corpus makes them, 24 pairs of speakers, every turn's features a vague hint at its mood."""
    monkeypatch.setattr(synthesis, "PAIRS", 24)
    rows = list(synthesis.utterances())
    ids, dialogue, speaker, turn, session = (
        np.array([row[name] for row in rows]) for name in ("id", "dialogue", "speaker", "turn", "session")
    )
    labels = np.array([synthesis.EMOTIONS.index(row["emotion"]) for row in rows])
    parts = np.digitize(session.astype(int), [15, 19])
    fold = Fold("1", *(np.flatnonzero(parts == k) for k in range(3)))
    problem = Problem(
        ids=ids,
        kind="conversation",
        classes=synthesis.EMOTIONS,
        targets=labels,
        folds=(fold,),
        groups=dialogue,
        speaker=speaker,
        dialogue=dialogue,
        turn=turn,
        select_on="WF1",
    )
    pooled = np.random.default_rng(0).standard_normal((len(rows), 2, 1, 4)).astype(np.float32)
    pooled[:, 0, 0] += 1.5 * np.eye(4)[labels]
    features = features_of(pooled)
    gru = {"projector": 32, "hidden": 32, "rates": [1e-2], "epochs": 6}
    small = {"no_context": gru, "context_gru": gru, "dialogue_rnn": gru | {"global": 32, "party": 32, "emotion": 32}}
    single = scored(downstreams.evaluate(reader("probe"), features, problem, [0]), "WF1")
    alone, gru, rnn = (
        scored(downstreams.evaluate(reader(head, **settings), features, problem, [0]), "WF1")
        for head, settings in small.items()
    )
    assert alone < single + 1.5
    assert min(gru, rnn) > alone + 3
