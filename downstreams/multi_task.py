"""The network of `speecheq`: one projection of frames and one vector of an utterance, read by several branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from commons.corridors.problem import Problem
from downstreams import branches, own_classes
from downstreams.aggregators import AttentiveStatistics
from downstreams.branches import Branch, Label
from downstreams.frame_head import OnFrames, dropped, initialise
from downstreams.frame_training import weighted_loss
from downstreams.settings import FineTuneSpeechEq, SpeechEq

SMALLEST = 1e-6  # of 1 - p, whose power has no gradient at 0


class MultiTaskHead(OnFrames):
    """Frames of L layers -> logits of the C classes that the task asks for; `branches` has a module for each label.

    Of every frame: Linear, layer norm, ReLU; phonemes are read from it. Of an utterance: attentive statistics, Linear,
    layer norm, ReLU, dropout; the state, the intensity and the gender are read from it.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        classes: int,
        settings: SpeechEq | FineTuneSpeechEq,
        labels: Sequence[Label],
        draws: torch.Generator,
        draws_of: Callable[[str], torch.Generator],
    ) -> None:
        """`draws_of`: random numbers of a branch, so that a branch changes those of no other."""
        super().__init__(depth)
        self.projection = nn.Linear(width, settings.projection)
        self.frame_norm = nn.LayerNorm(settings.projection)
        self.pool = AttentiveStatistics(settings.projection, settings.attention)
        self.hidden = nn.Linear(self.pool.width, settings.hidden)
        self.norm = nn.LayerNorm(settings.hidden)
        self.classifier = nn.Linear(settings.hidden, classes)
        self.dropout = settings.dropout
        initialise(self, draws)
        self.branches = nn.ModuleDict()
        for label in labels:
            own = branches.branch(label, settings.hidden, settings.projection)
            initialise(own, draws_of(label.target.name))
            self.branches[label.target.name] = own

    def branch(self, name: str) -> Branch:
        """The module of a branch."""
        return cast(Branch, self.branches[name])

    def projected(self, x: Tensor) -> Tensor:
        """Frames (B, T, P) as all branches share them."""
        return self.frame_norm(self.projection(self.weighed(x))).relu()

    def shared(self, frames: Tensor, valid: Tensor) -> Tensor:
        """Vectors (B, H) as all branches but the phonemes share them."""
        return self.norm(self.hidden(self.pool(frames, valid))).relu()

    def forward(self, x: Tensor, valid: Tensor, draws: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """As OnFrames says."""
        vectors = self.shared(self.projected(x), valid)
        return self.classifier(vectors if draws is None else dropped(vectors, self.dropout, draws)), vectors


@dataclass(frozen=True)
class Losses:
    """The loss of the network on one fold.

    Attributes:
        targets: (N,) classes that the task asks for.
        weights: (C,) of the classes; None: utterances weigh alike.
        state: weight of the loss of these classes.
        focal: how much less well-known utterances count in it (Lin et al. 2017); 0: they count as others.
    """

    problem: Problem
    labels: Sequence[Label]
    targets: Tensor
    weights: Tensor | None
    state: float
    focal: float = 0.0

    def __call__(
        self,
        network: MultiTaskHead,
        x: Tensor,
        valid: Tensor,
        rows: np.ndarray,
        draws: torch.Generator | None,
        batch: np.ndarray | None = None,
    ) -> Tensor:
        """The part of a batch's loss that some of its utterances have; the parts of all sum to it.

        Args:
            rows: (n,) the utterances whose frames are given.
            batch: (B,) all utterances of the batch; None: `rows` are all.
        """
        whole = rows if batch is None else batch
        frames = network.projected(x)
        vectors = network.shared(frames, valid)
        kept = vectors if draws is None else dropped(vectors, network.dropout, draws)
        allowed = own_classes.of_rows(self.problem, rows, x.device)
        logits = own_classes.within(network.classifier(kept), allowed)
        true = self.targets[torch.as_tensor(rows, device=self.targets.device)]
        total = self.state * self._of_state(logits, true) / len(whole)
        for label in self.labels:
            own = branches.loss(network.branch(label.target.name), label, frames, valid, kept, rows, whole)
            total = total if own is None else total + label.weight * own
        return total

    def _of_state(self, logits: Tensor, true: Tensor) -> Tensor:
        """The sum of the losses of some utterances in the classes that the task asks for."""
        if not self.focal:
            return weighted_loss(logits, true, self.weights)
        known = (-cross_entropy(logits, true, reduction="none")).exp()
        losses = cross_entropy(logits, true, self.weights, reduction="none")
        return ((1 - known).clamp(min=SMALLEST) ** self.focal * losses).sum()
