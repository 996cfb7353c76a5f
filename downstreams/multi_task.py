"""The network of `speecheq`: one projection of frames and one vector of an utterance, read by several branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from downstreams import branches
from downstreams.aggregators import AttentiveStatistics, Frames
from downstreams.branches import Branch, Form, Label
from downstreams.class_loss import ClassLoss, Mix
from downstreams.frame_head import OnFrames, dropped, initialise
from downstreams.settings import FineTuneSpeechEq, SpeechEq


class MultiTaskHead(OnFrames):
    """Frames of L layers -> logits of the C classes that the task asks for; `branches` has a module for each form.

    Of every frame: Linear, layer norm, ReLU; phonemes are read from it. Of an utterance: attentive statistics, Linear,
    layer norm, ReLU, dropout; the state, the intensity and the gender are read from it.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        classes: int,
        settings: SpeechEq | FineTuneSpeechEq,
        forms: Sequence[Form],
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
        for form in forms:
            own = branches.branch(form, settings.hidden, settings.projection)
            initialise(own, draws_of(form.name))
            self.branches[form.name] = own

    def branch(self, name: str) -> Branch:
        """The module of a branch."""
        return cast(Branch, self.branches[name])

    def projected(self, x: Tensor, frames: Frames) -> Tensor:
        """Rows of frames (N, P) as all branches share them."""
        return self.frame_norm(self.projection(frames.rows(self.weighed(x)))).relu()

    def each_projected(self, x: Tensor, valid: Tensor) -> list[Tensor]:
        """The same, (T_i, P) of each utterance."""
        frames = Frames(valid)
        return frames.apart(self.projected(x, frames))

    def shared(self, pooled: Tensor) -> Tensor:
        """Vectors (B, H) as all branches but the phonemes share them, of what `pool` gives."""
        return self.norm(self.hidden(pooled)).relu()

    def kept(self, vectors: Tensor, draws: torch.Generator | None) -> Tensor:
        """The vectors after dropout, for which random numbers are drawn; None: there is none."""
        return vectors if draws is None else dropped(vectors, self.dropout, draws)

    def forward(
        self, x: Tensor, valid: Tensor, draws: torch.Generator | None = None, mix: Mix | None = None
    ) -> tuple[Tensor, Tensor]:
        """As OnFrames says."""
        frames = Frames(valid)
        pooled = self.pool.of(self.projected(x, frames), frames)
        vectors = self.shared(pooled if mix is None else mix(pooled))
        return self.classifier(self.kept(vectors, draws)), vectors


@dataclass(frozen=True)
class Losses:
    """The loss of the network on one fold.

    Attributes:
        of_classes: the loss in the classes that the task asks for. Mixed utterances count in it alone; then `rows` are
            the whole batch.
        state: its weight.
    """

    labels: Sequence[Label]
    of_classes: ClassLoss
    state: float

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
        frames = Frames(valid)
        projected = network.projected(x, frames)
        pooled = network.pool.of(projected, frames)
        kept = network.kept(network.shared(pooled), draws)
        mix = self.of_classes.mix(len(rows), draws)
        to_classify = kept if mix is None else network.kept(network.shared(mix(pooled)), draws)
        total = self.state * self.of_classes(network.classifier(to_classify), rows, mix) / len(whole)
        apart = frames.apart(projected)
        for label in self.labels:
            own = branches.loss(network.branch(label.target.name), label, apart, kept, rows, whole)
            total = total if own is None else total + label.weight * own
        return total
