"""Small made-up problems for the heads: speakers, classes and layers of which one tells more than the others."""

from types import SimpleNamespace

import numpy as np

from tasks.problem import Fold, Problem

KINDS = ("classification", "regression", "conversation")
CLASSES = ("anger", "happiness", "sadness")


TURNS = {"epochs": 8, "rates": [1e-2], "batch": 32}
SHORT = {
    "superb": {"epochs": 20, "evaluations": 5},
    "emotion2vec": {"epochs": 8},
    **dict.fromkeys(("context_gru", "dialogue_rnn", "no_context"), TURNS),
}


def short(head):
    """Settings under which a head that is trained step by step is done soon."""
    return SHORT.get(head, {})


class Ragged(list):
    """Frames of every utterance, (T_i, 1, D) float16, and the offsets that features of the store have."""

    def __init__(self, frames):
        super().__init__(frames)
        self.offsets = np.cumsum([0, *map(len, frames)])


def make(kind="classification", n=240, depth=3, width=12, speakers=6, official_dev=False, seed=0, signal=0.8):
    """(features, problem): leave one speaker out; layer 1 carries `signal` of the target, the others hardly any."""
    rng = np.random.default_rng(seed)
    speaker = np.arange(n) % speakers
    latent = rng.standard_normal(n)
    targets = np.digitize(latent, [-0.4, 0.4]) if kind != "regression" else latent
    pooled = rng.standard_normal((n, 2, depth, width)).astype(np.float32)
    pooled[:, 0] += 0.7 * rng.standard_normal((speakers, depth, width))[speaker]
    pooled[:, :, 0] += 0.1 * latent[:, None, None]
    pooled[:, :, 1] += signal * latent[:, None, None] * rng.standard_normal(width)
    pooled[:, :, :, -1] = 5.0  # a column that says nothing
    # Frames about the means of layer 1, so that heads on the last layer's frames have something to find.
    frames = Ragged(
        [
            (mean + 0.3 * rng.standard_normal((1 + i % 5, 1, width))).astype(np.float16)
            for i, mean in enumerate(pooled[:, 0, 1])
        ]
    )
    return SimpleNamespace(pooled=pooled, frames=frames), build(kind, targets, speaker, official_dev)


def build(kind, targets, speaker, official_dev=False):
    """The Problem of these targets: leave one speaker out, the next as dev; dialogues are five turns of one."""
    folds = []
    speakers = np.unique(speaker)
    for k, test in enumerate(speakers):
        dev = speakers[(k + 1) % len(speakers)]
        known = np.flatnonzero(speaker != test)
        folds.append(
            Fold(
                name=str(test),
                train=np.flatnonzero((speaker != test) & (speaker != dev)),
                dev=np.flatnonzero(speaker == dev),
                test=np.flatnonzero(speaker == test),
                inner=() if official_dev else tuple(known[speaker[known] == s] for s in speakers if s != test),
            )
        )
    turns = np.arange(len(targets)) if kind == "conversation" else None
    dialogue = np.array(
        [f"{s} {k}" for s, k in zip(speaker, np.arange(len(targets)) // (5 * len(speakers)), strict=True)]
    )
    names = speaker.astype(str)
    return Problem(
        ids=np.array([f"u{i:04}" for i in range(len(targets))]),
        kind=kind,
        classes=() if kind == "regression" else CLASSES,
        targets=targets,
        folds=tuple(folds),
        groups=names,
        speaker=names,
        dialogue=dialogue if kind == "conversation" else None,
        turn=turns,
        select_on="CCC" if kind == "regression" else "WA",
    )
