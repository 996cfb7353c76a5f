"""Heads of conversations: what they may hear, that they are the networks they say, and who makes use of context."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import downstreams
from downstreams.recurrent import Network, same
from downstreams.references import persistence
from downstreams.registry import get
from tasks import demo, loading
from tasks.metrics import METRICS, sums
from tasks.problem import Fold, Problem
from tests.downstreams.problems import Ragged, short

HEADS = [head for head in downstreams.names() if "conversation" in downstreams.kinds(head)]
HEAR_CONTEXT = ("context_gru", "dialogue_rnn")
CLASSES = ("anger", "neutral", "sadness")


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
        targets = loading.of_next_turn(targets, dialogue, turn)
    parts = [np.flatnonzero((np.array([0, 0, 1, 2])[dialogue % 4] == k) & (targets >= 0)) for k in range(3)]
    names = np.array([f"d{d}" for d in dialogue])
    problem = Problem(
        np.array([f"u{i:03}" for i in range(len(turn))]), "conversation", CLASSES, targets, (Fold("1", *parts),),
        names, np.array([f"d{d} {t % 2}" for d, t in zip(dialogue, turn, strict=True)]), names, turn, "WA", causal,
    )  # fmt: skip
    frames = Ragged([mean[None, None].astype(np.float16) for mean in pooled[:, 0, 1]])
    return SimpleNamespace(pooled=pooled, frames=frames), problem


def loud(features, rows):
    """The same features with other sounds at these rows."""
    pooled, frames = features.pooled.copy(), Ragged(features.frames)
    pooled[rows] = -4 * pooled[rows] + 1
    for row in rows:
        frames[row] = -4 * frames[row] + 1
    return SimpleNamespace(pooled=pooled, frames=frames)


def read(head, features, problem, **settings):
    """Choices, and scores by utterance."""
    found = downstreams.evaluate(head, features, problem, [0], settings=short(head) | settings)
    return found.choices, found.table.set_index("id").drop(columns=["target", "fold", "seed", "prediction"])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("causal", [True, False])
def test_what_a_turn_hears(head, causal):
    """Of a causal problem no later turn, bit for bit; of none another dialogue; a turn without a label is context."""
    features, problem = talk(causal)
    fold = problem.folds[0]
    names, sizes = np.unique(problem.dialogue[fold.test], return_counts=True)
    mine = problem.dialogue == names[sizes.argmax()]
    turn = 4
    assert (problem.turn[mine] > turn).any()
    before = read(head, features, problem)

    def changed_by(rows):
        choices, table = read(head, loud(features, np.flatnonzero(rows)), problem)
        assert choices == before[0]
        return set(table.index[(table != before[1].loc[table.index]).any(axis=1)])

    def ids(rows):
        return set(problem.ids[rows]) & set(before[1].index)

    later = changed_by(mine & (problem.turn > turn))
    assert later <= ids(mine) and later & ids(mine & (problem.turn > turn))
    assert bool(later & ids(mine & (problem.turn <= turn))) == (head in HEAR_CONTEXT and not causal)

    tested = np.isin(problem.dialogue, problem.dialogue[fold.test])
    assert not changed_by(tested & ~mine) & ids(mine)

    unlabelled = tested & (problem.targets < 0)
    assert bool(changed_by(unlabelled)) == (head in HEAR_CONTEXT)
    assert not ids(unlabelled)


@pytest.mark.parametrize("head", HEADS)
def test_no_turn_of_test_is_heard_in_training_where_parts_share_a_dialogue(head):
    features, problem = talk()
    labelled = np.flatnonzero(problem.has_target)
    crossing = replace(problem, folds=(Fold("1", *(labelled[k::3] for k in range(3))),))
    changed = loud(features, crossing.folds[0].test)
    assert read(head, features, crossing)[0] == read(head, changed, crossing)[0]


def double(head, directions):
    """The head's network in double precision, without dropout; turns, speakers and lengths of three dialogues."""
    torch.manual_seed(0)
    network = Network(2, 5, 3, directions, get(head).settings)
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
    """Turns 0 to 5 of speakers A B A A B A; labels 0 1 - 2 2 0; what no label tells is the fold's majority, 1."""
    labels, speaker = np.array([0, 1, -1, 2, 2, 0, 1, 1, 1, 1, 1]), np.array(list("ABAABAABAAA"))
    dialogue, turn = np.array(list("ddddddeefff")), np.r_[:6, :2, :3]
    targets = loading.of_next_turn(labels, dialogue, turn) if causal else labels
    there = [np.flatnonzero((targets >= 0) & (dialogue == name)) for name in "fed"]
    problem = Problem(np.array(list("uvwxyzabcef")), "conversation", CLASSES, targets, (Fold("1", *there),), dialogue,
                      speaker, dialogue, turn, "WA", causal)  # fmt: skip
    found = persistence(problem)
    assert found.marks == ("oracle",)
    told = [CLASSES.index(name) for name in found.table["prediction"]]
    # Asked for turns 1 3 4 5, the label of turn 0 is nobody's to know; else for turns 0 1 3 4 5.
    assert told == ([1, 1, 1, 2] if causal else [1, 1, 0, 1, 2])


def scored(found, metric):
    index = {name: c for c, name in enumerate(demo.EMOTIONS)}
    true, named = (found.table[column].map(index).to_numpy() for column in ("target", "prediction"))
    return METRICS[metric](sums(true, named, n_classes=len(index)))[0]


def test_who_finds_that_moods_last(monkeypatch):
    """Dialogues as the demo corpus makes them, 24 pairs of speakers, every turn's sound a vague hint at its mood."""
    monkeypatch.setattr(demo, "PAIRS", 24)
    rows = list(demo.utterances())
    ids, dialogue, speaker, turn, session = (
        np.array([row[name] for row in rows]) for name in ("id", "dialogue", "speaker", "turn", "session")
    )
    labels = np.array([demo.EMOTIONS.index(row["emotion"]) for row in rows])
    parts = np.digitize(session.astype(int), [15, 19])
    fold = Fold("1", *(np.flatnonzero(parts == k) for k in range(3)))
    problem = Problem(ids, "conversation", demo.EMOTIONS, labels, (fold,), dialogue, speaker, dialogue, turn, "WF1")
    pooled = np.random.default_rng(0).standard_normal((len(rows), 2, 1, 4)).astype(np.float32)
    pooled[:, 0, 0] += 1.5 * np.eye(4)[labels]
    features = SimpleNamespace(pooled=pooled)
    short = {"rates": [3e-3], "epochs": 12}
    single = scored(downstreams.evaluate("probe", features, problem, [0]), "WF1")
    alone, gru, rnn = (
        scored(downstreams.evaluate(head, features, problem, [0], settings=short), "WF1")
        for head in ("no_context", *HEAR_CONTEXT)
    )
    assert alone < single + 1.5
    assert gru > alone + 3 and rnn > alone + 2
