"""Small made-up problems for the heads: speakers, classes and layers of which one tells more than the others."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

import downstreams
from commons.corridors.features import Features
from commons.corridors.problem import Fold, Problem, Target
from upstreams import adapters
from upstreams.fused_live import FusedLive

KINDS = ("classification", "regression", "conversation", "ordinal")
CLASSES = ("anger", "happiness", "sadness")


GRU = {"epochs": 4, "rates": [3e-2], "batch": 8, "projector": 16, "hidden": 16, "dropout": 0.2}
DIALOGUE_RNN = GRU | {"global": 16, "party": 16, "emotion": 16}
TUNED = {"steps": 24, "epochs": 1, "scorings": 8, "rates": [3e-3], "head_rates": [5e-2, 5e-2], "batch": 16,
         "precision": "fp32"}  # fmt: skip
ECAPA = {"channels": 16, "scale": 4, "joined": 16, "squeeze": 4, "attention": 4, "embedding": 8}
PROBE = {"strengths": [0.3, 3.0, 30.0]}
MSCNN = {"channels": 8, "scale": 4, "kernels": [1, 3], "hidden": 16, "attention": 4}
SHORT = {
    "attentive": {"epochs": 6, "rates": [1e-2], "hidden": 16, "attention": 4},
    "ecapa": ECAPA | {"epochs": 2, "rates": [1e-2]},
    "probe": PROBE,
    "probe_stats": PROBE,
    "last_four": PROBE,
    "selected": {"counts": [4, 12], "strengths": [0.3, 3.0]},
    "mscnn": MSCNN | {"epochs": 2, "rates": [3e-2]},
    "speecheq": {"epochs": 4, "rates": [1e-2], "projection": 16, "hidden": 16, "attention": 4, "probes": False},
    "superb": {"epochs": 20, "evaluations": 5},
    "emotion2vec": {"epochs": 8},
    "finetune": TUNED,
    "finetune_ecapa": TUNED | ECAPA | {"then_rates": [1e-2], "then_epochs": 2},
    "finetune_speecheq": TUNED | {"projection": 16, "hidden": 16, "attention": 4, "probes": False},
    "finetune_top3": TUNED,
    "finetune_lora": TUNED | {"rates": [1e-2], "lora": 2},
    "context_gru": GRU,
    "no_context": GRU,
    "recent_gru": GRU,
    "dialogue_rnn": DIALOGUE_RNN,
}


def reader(head, **settings):
    """The reader of a head with some settings in place of its own."""
    own = downstreams.resolve(head)
    return replace(own, settings=own.settings | settings)


def short(head, **settings):
    """The same, done soon where it is trained step by step."""
    return reader(head, **SHORT.get(head, {}) | settings)


class Ragged(list):
    """Frames of every utterance, (T_i, 1, D) float16, and the offsets that features of the store have."""

    layers = (1,)

    def __init__(self, frames):
        super().__init__(frames)
        self.offsets = np.cumsum([0, *map(len, frames)])


def features_of(pooled=None, frames=None, parts=()):
    """Features of these arrays, (N, 2, L, D) and Ragged; `parts`: widths of the upstreams that stand side by side."""
    n = len(frames if pooled is None else pooled)
    depth, width = (1, 1) if pooled is None else pooled.shape[2:]
    return Features(
        ids=np.array([f"u{i:04}" for i in range(n)]),
        upstream="made up",
        fingerprint="",
        precision="fp32",
        device="cpu",
        depth=depth,
        width=width,
        pooled=pooled,
        frames=frames,
        counts={},
        seconds={},
        audio_seconds=0.0,
        parameters=None,
        live=None if frames is None else live_of(frames, parts),
        parts=parts,
    )


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
    return features_of(pooled, frames), build(kind, targets, speaker, official_dev)


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


SYMBOLS = ("a", "b", "c")


def make_several(n=120, speakers=4, seed=0):
    """(features, problem) with labels of intensity, gender, phonemes and sentences, told by the frames of an utterance.

    Each symbol is five frames at a place of its own; levels and gender move all frames. Every seventh utterance lacks
    the phonemes, every ninth the intensity.
    """
    rng = np.random.default_rng(seed)
    speaker, state = np.arange(n) % speakers, rng.integers(0, len(CLASSES), n)
    gender, level, sentence = speaker % 2, rng.integers(0, 2, n), np.arange(n) // speakers % 6
    spoken = [rng.permutation(len(SYMBOLS))[: 2 + k % 2].astype(np.int64) for k in range(6)]
    directions = rng.standard_normal((len(SYMBOLS) + len(CLASSES) + 2, 10))
    frames, phonemes = [], np.empty(n, dtype=object)
    for i in range(n):
        shift = directions[3 + state[i]] + gender[i] * directions[-1] + level[i] * directions[-2]
        places = np.repeat(directions[spoken[sentence[i]]], 5, axis=0)
        own = places + shift + 0.3 * rng.standard_normal(places.shape)
        frames.append(own[:, None].astype(np.float16))
        phonemes[i] = spoken[sentence[i]] if i % 7 else None
    also = (
        Target("intensity", "ordinal", ("normal", "strong"), np.where(np.arange(n) % 9, level, -1), (0.5, 1.0)),
        Target("gender", "classification", ("female", "male"), gender),
        Target("phonemes", "sequence", SYMBOLS, phonemes),
    )
    problem = replace(build("classification", state, speaker), also=also, sentence=sentence.astype(str))
    return features_of(frames=Ragged(frames)), problem


class Encoder(torch.nn.Module):
    """A tiny network on stored frames: two layers, the first of which is the `front`."""

    def __init__(self, width):
        super().__init__()
        draws = torch.Generator().manual_seed(11)
        self.first, self.second = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        for layer in (self.first, self.second):
            layer.weight.data = torch.eye(width) + 0.05 * torch.randn(width, width, generator=draws)
            torch.nn.init.zeros_(layer.bias)

    def forward(self, x):
        lower = self.first(x)
        return torch.stack([lower, lower + self.second(lower).tanh()])


class MadeUpLive:
    """What Features.live is, for an encoder on frames (T_i, 1, D) in place of waveforms of 20 ms a frame."""

    modality, depth, untrained = "audio", 2, False
    widths = ()

    def __init__(self, frames):
        self.frames_of = frames
        self.width = frames[0].shape[-1]

    @property
    def lengths(self):
        return np.array([0.02 * len(own) for own in self.frames_of])

    def __len__(self):
        return len(self.frames_of)

    def costs(self, longest=None):
        return self.lengths if longest is None else np.minimum(self.lengths, longest)

    def network(self):
        return Encoder(self.width)

    def front(self, network):
        return list(network.first.parameters())

    def adapt(self, network, rank, draws):
        adapters.add(network, ["second"], rank, draws)

    def merged(self, network):
        return adapters.merged(network)

    def checkpoint(self, network):
        network.forward = partial(checkpoint, network.forward, use_reentrant=False)

    def write(self, network, folder, seen):
        return ""  # no upstream reads it

    def top(self, blocks):
        return MadeUpTop([own for own in self.frames_of])

    def frames(self, network, rows, longest=None):
        most = None if longest is None else max(1, round(longest / 0.02))
        own = [torch.tensor(self.frames_of[row][:most, 0].astype(np.float32)) for row in rows]
        return list(network(torch.cat(own)).split([len(frames) for frames in own], dim=1))


def live_of(frames, parts=(), every=1):
    """A live network on frames, or a fusion of several on their parts; the last has each `every`-th frame alone."""
    if not parts:
        return MadeUpLive(frames)
    ends, steps = np.cumsum(parts), [0.02] * (len(parts) - 1) + [0.02 * every]
    several = [
        MadeUpLive(Ragged([one[:: round(step / 0.02), :, end - width : end] for one in frames]))
        for end, width, step in zip(ends, parts, steps, strict=True)
    ]
    return FusedLive(several, steps)


class MadeUpTop(MadeUpLive):
    """The second layer of the encoder alone, on what the first gives; the only `front` that it has is none."""

    depth = 1

    def network(self):
        return Encoder(self.width).second

    def front(self, network):
        return []

    def frames(self, network, rows, longest=None):
        with torch.no_grad():
            lower = [own[0] for own in MadeUpLive.frames(self, Encoder(self.width), rows, longest)]
        together = torch.cat(lower)
        return list((together + network(together).tanh())[None].split([len(own) for own in lower], dim=1))
