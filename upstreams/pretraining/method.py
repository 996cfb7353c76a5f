"""What a pre-training method has to provide, and which methods there are. Imports no torch.

A method is a package beside this one. It provides a `Method`, found by the `method:` of a recipe, and with it

- a recipe: a subclass of `recipe_sections.Recipe` with the method's own sections,
- a `Learner`: the networks that are trained, and the losses of a micro-batch,
- an upstream: what reads a checkpoint and gives features.

The engine does the rest: it decodes speech, plans batches, sums gradients over processes, moves the optimiser, writes
log, training states and checkpoints, goes on after a stop, and looks for collapse. Its checkpoints are upstreams by
the method's name: `NAME@RUN`, `NAME@RUN/*`, and `NAME:ABLATION/VARIANT`. tests/upstreams/pretraining/autoencoder.py
is a whole method in a hundred lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from commons.errors import NotThere, UnknownName
from commons.registry import load
from upstreams.pretraining.batches import Framing, MicroBatch
from upstreams.pretraining.recipe_sections import Recipe

if TYPE_CHECKING:
    import torch

    from upstreams.pretraining.checkpoints import Stored
    from upstreams.pretraining.given_frames import GivenFrames
    from upstreams.pretraining.pack import Pack
    from upstreams.pretraining.scores import Scores
    from upstreams.pretraining.tracks import Tracks


@dataclass(frozen=True)
class Method:
    """A self-supervised method. Targets are "module:attribute", so that naming a method imports no torch.

    Attributes:
        name: of the method in recipes, of its checkpoints, and of its upstreams.
        title: for people.
        recipe: the class of its recipes.
        folder: its recipes lie in `folder/configs`, its ablations in `folder/ablations`; either may be absent.
        learner: called with a recipe, `Speech` and a torch.device; gives a `Learner` before its first step.
        upstream: called with the path of a checkpoint (a string); gives an upstream (upstreams/contract.py).
        release: called with a `checkpoints.Stored`; gives it without what only training uses. "": gives it as it is.
        cite: BibTeX keys of its papers, in leaderboard/bibliography.bib; empty where none is there.
    """

    name: str
    title: str
    recipe: type[Recipe]
    folder: Path
    learner: str
    upstream: str
    release: str = ""
    cite: tuple[str, ...] = ()


@dataclass(frozen=True)
class Speech:
    """What a run trains on. `tracks`, `scores` and `frames`: where the recipe needs them."""

    pack: Pack
    tracks: Tracks | None = None
    scores: Scores | None = None
    frames: GivenFrames | None = None

    def waveforms(self, micro: MicroBatch, gains: np.ndarray) -> np.ndarray:
        """(B, n) float32, each multiplied by its own of the (B,) `gains`, with zeros behind the shorter ones."""
        waveforms = np.zeros((len(micro.samples), micro.samples.max()), np.float32)
        rows = zip(micro.utterances, micro.starts, micro.samples, strict=True)
        for row, (utterance, start, samples) in enumerate(rows):
            waveforms[row, :samples] = gains[row] * self.pack.samples(int(utterance))[start : start + samples]
        return waveforms


class Losses(NamedTuple):
    """What a micro-batch gives.

    terms: (n,) losses in the order of `Learner.weights`, each divided by a count over the whole step: their sum over
        all micro-batches of the step is the loss of the step, whatever the number of processes.
    statistics: (Learner.statistics,) float64: sums over this micro-batch, from which `Learner.figures` tells collapse.
    """

    terms: torch.Tensor
    statistics: torch.Tensor


class Learner(Protocol):
    """A method's networks in training. The engine calls `losses`, adds up gradients, moves the optimiser, then `moved`.

    Attributes:
        trained: modules that the optimiser moves. Their order is that of the optimiser's state: never change it.
        state: what a training state holds besides the optimiser, by name: all that changes with a step.
        networks: what a checkpoint holds, by part. The last is the run's upstream, RUN/step-00001000.safetensors; any
            other gets its part's name, RUN/step-00001000.teacher.safetensors.
        config: of these networks, as JSON holds it; with the weights it has to be enough to build them again.
        weights: name of a loss in the log -> its weight in the sum that is minimised.
        statistics: how many values `Losses.statistics` has.
        watched: name -> limit, such as {"prediction": 0.01}: the run has collapsed where `<name>_var` is less.
        undecayed: endings of the names of parameters without weight decay, besides those of one dimension.
        framing: which frames the network makes of samples.
    """

    trained: Sequence[torch.nn.Module]
    state: Mapping[str, Stateful]
    networks: Mapping[str, torch.nn.Module]
    config: Mapping[str, object]
    weights: Mapping[str, float]
    statistics: int
    watched: Mapping[str, float]
    undecayed: tuple[str, ...]
    framing: Framing

    def losses(self, micro: MicroBatch, step: Sequence[MicroBatch]) -> Losses:
        """The losses of a micro-batch of a step. Called under autocast, torch's random numbers seeded by its place."""
        ...

    def moved(self, at: int, step: Sequence[MicroBatch], statistics: torch.Tensor) -> dict[str, float]:
        """Called after the optimiser's step, such as for a moving average; returns figures for the log.

        Args:
            at: steps done before this one.
            statistics: summed over all micro-batches of the step.
        """
        ...

    def figures(self, statistics: torch.Tensor, step: Sequence[MicroBatch]) -> dict[str, float]:
        """Figures for the log, of the statistics of a step, summed over all its micro-batches."""
        ...

    def flops(self, step: Sequence[MicroBatch]) -> float:
        """Floating-point operations of a step; 0: not counted."""
        ...


class Stateful(Protocol):
    """A module or an optimiser of torch."""

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state_dict: dict[str, object], /) -> object: ...


SCORE_PAPERS = ("liu2024ems", "liu2022strengthnet")  # BibTeX keys: what runs on frame scores follow, too
METHODS: dict[str, str] = {  # a package elsewhere may add its own
    name: f"upstreams.{name}.recipe:METHOD" for name in ("emotion2vec", "mockingjay", "npc")
}


def find(name: str) -> Method:
    """The method of that name. Raises UnknownName."""
    if name not in METHODS:
        raise UnknownName("pre-training method", name, METHODS)
    method = load(METHODS[name])
    assert isinstance(method, Method)
    return method


def learner(recipe: Recipe, speech: Speech, device: torch.device) -> Learner:
    """The learner of a recipe, before its first step. Raises UpstreamError where the file of `init` does not fit."""
    make = load(find(recipe.method).learner)
    assert callable(make)
    made: Learner = make(recipe, speech, device)
    return made


def released(checkpoint: Stored) -> Stored:
    """A checkpoint without what only training uses."""
    target = find(checkpoint.method).release
    if not target:
        return checkpoint
    make = load(target)
    assert callable(make)
    smaller: Stored = make(checkpoint)
    return smaller


def shipped(kind: str) -> dict[str, Path]:
    """YAML files that ship with the methods, by name; `kind`: configs or ablations. No two have the same name."""
    folders = [find(name).folder / kind for name in METHODS]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def file_of(kind: str, what: str, name: str) -> Path:
    """A YAML file by its path, or by the name of one that ships, see `shipped`; `what` it is, for messages.

    Raises:
        UnknownName: no such file ships.
        NotThere: the path leads to no file.
    """
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        if name not in (known := shipped(kind)):
            raise UnknownName(what, name, [*known, "a YAML file"])
        return known[name]
    if not path.is_file():
        raise NotThere(what, path)
    return path
