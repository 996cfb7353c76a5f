"""The heads by name, with their settings; what trains them is imported when it is used."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from downstreams.errors import UnknownName

# Strengths of the probe, two a decade. C, the inverse ridge penalty, is strength / number of features: the kernel of
# standardised features grows with their number, so one grid serves 10 and 6000 of them.
STRENGTHS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]


CLASSES = ("classification", "conversation")
EVERY_KIND = (*CLASSES, "regression")

# s3prl's downstream/emotion: config.yaml, and the learning rates that SUPERB lets one choose from.
SUPERB = {
    "version": 1,
    "projector": 256,
    "batch": 32,
    "clip": 1.0,
    "rates": [1e-5, 1e-4, 1e-3],
    "epochs": 271,
    "steps": 30_000,
    "evaluations": 30,
}

# emotion2vec's iemocap_downstream (Ma et al. 2024). Its weight decay and label smoothing are named and never used.
EMOTION2VEC = {
    "version": 1,
    "hidden": 256,
    "batch": 128,
    "epochs": 100,
    "rate": 5e-4,
    "top_rate": 1e-3,
    "rise": 10,
    "momentum": 0.9,
}

# What the heads of conversations share: one schedule for all, so that they differ in the network alone.
TURNS = {
    "version": 1,
    "context": True,
    "projector": 100,
    "dropout": 0.5,
    "batch": 8,
    "rates": [3e-4, 1e-3, 3e-3],
    "decay": 1e-3,
    "epochs": 60,
}
GRU = TURNS | {"network": "gru", "hidden": 100}
# Sizes as in DialogueRNN's published code for MELD (train_MELD.py of conv-emotion).
DIALOGUE_RNN = TURNS | {"network": "dialogue_rnn", "global": 150, "party": 150, "emotion": 100, "hidden": 100}


@dataclass(frozen=True)
class Head:
    """A head's facts: `target` is "module:function", `kinds` of problem it can treat, `settings` decide its figures;
    `standardises`: it standardises features, and can do so by test's own statistics."""

    name: str
    about: str
    target: str
    needs: frozenset[str]
    deterministic: bool
    kinds: tuple[str, ...]
    settings: dict[str, Any] = field(hash=False)
    standardises: bool = False

    def load(self) -> Callable[..., Any]:
        """The function that evaluates this head."""
        module, function = self.target.split(":")
        return getattr(import_module(module), function)


def _probe(name: str, statistics: list[str], about: str) -> Head:
    settings = {"version": 1, "statistics": statistics, "strengths": STRENGTHS}
    return Head(name, about, "downstreams.probe:evaluate", frozenset({"pooled"}), True, EVERY_KIND, settings, True)


def _conversation(name: str, settings: dict[str, Any], about: str) -> Head:
    target, kinds = "downstreams.conversation:evaluate", ("conversation",)
    return Head(name, about, target, frozenset({"pooled"}), False, kinds, settings)


HEADS = {
    head.name: head
    for head in (
        _probe("probe", ["mean"], "logistic regression on the time-mean of the best layer (ridge for values)"),
        _probe("probe_stats", ["mean", "std"], "the same on time-mean and time-standard-deviation"),
        Head(
            "superb",
            "SUPERB's head: weighted sum of layers, linear, trained as s3prl does (classes)",
            "downstreams.superb:evaluate",
            frozenset({"pooled"}),
            False,
            CLASSES,
            SUPERB,
        ),
        Head(
            "emotion2vec",
            "emotion2vec's head: linear, ReLU, mean over time, linear, on frames of the last layer (classes)",
            "downstreams.emotion2vec:evaluate",
            frozenset({"frames:last"}),
            False,
            CLASSES,
            EMOTION2VEC,
        ),
        _conversation("context_gru", GRU, "a GRU over the turns of each dialogue (conversations)"),
        _conversation(
            "dialogue_rnn", DIALOGUE_RNN, "DialogueRNN: states of dialogue, speakers and emotion (conversations)"
        ),
        _conversation(
            "no_context", GRU | {"context": False}, "context_gru's network on each turn alone (conversations)"
        ),
    )
}


def get(name: str) -> Head:
    """The head of that name; UnknownName with the nearest names otherwise."""
    if name in HEADS:
        return HEADS[name]
    near = difflib.get_close_matches(name, HEADS, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownName(f"no downstream is called '{name}'.{hint} There are: {', '.join(HEADS)}.")
