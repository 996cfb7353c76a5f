"""The loss of utterances in their classes, one for all trained heads: class weights, focal loss, mixup.

- Focal loss (Lin et al. 2017, arXiv 1708.02002): an utterance whose class is already probable counts less.
- Mixup (Zhang et al. 2018, arXiv 1710.09412) of utterances: their vectors after pooling over time are mixed, and the
  loss is that of both classes in the same shares. Utterances differ in length, so vectors of a layer are mixed and
  not the frames; that is manifold mixup (Verma et al. 2019, arXiv 1806.05236) at one layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from commons.corridors.problem import Fold, Problem
from downstreams import balance
from downstreams.own_classes import within
from downstreams.settings import Mixed, Trained

SMALLEST = 1e-6  # of 1 - p, whose power has no gradient at 0


@dataclass(frozen=True)
class Mix:
    """Pairs of the utterances of a batch: `partner` (B,) places in it, `share` (B,) of each utterance itself."""

    partner: Tensor
    share: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Values (B, ...) of the utterances, mixed with those of their partners."""
        share = self.share.to(values).view(-1, *[1] * (values.ndim - 1))
        return share * values + (1 - share) * values[self.partner.to(values.device)]


@dataclass(frozen=True)
class ClassLoss:
    """The loss on one fold.

    Attributes:
        targets: (N,) class indices.
        weights: (C,) of the classes; None: utterances weigh alike.
        focal: how much less probable utterances count; 0: they count as others.
        mixup: both parameters of the beta distribution of shares; 0: utterances are not mixed.
        allowed: (N, C) bool, the classes that each utterance may have; None: all.
    """

    targets: Tensor
    weights: Tensor | None = None
    focal: float = 0.0
    mixup: float = 0.0
    allowed: Tensor | None = None

    @classmethod
    def of_fold(cls, problem: Problem, fold: Fold, settings: Trained, device: torch.device | str) -> ClassLoss:
        """The loss that the settings say, with the weights of classes of the fold's training part."""
        own = balance.of_fold(problem, fold, settings)
        weights = None if own is None else torch.as_tensor(own, device=device)
        mixup = settings.mixup if isinstance(settings, Mixed) else 0.0
        allowed = None if problem.allowed is None else torch.as_tensor(problem.allowed, device=device)
        return cls(torch.tensor(problem.targets, device=device), weights, settings.focal, mixup, allowed)

    def mix(self, utterances: int, draws: torch.Generator | None) -> Mix | None:
        """Random pairs and shares for a batch of so many utterances; None: they are not mixed."""
        if not self.mixup or draws is None:
            return None
        partner = torch.randperm(utterances, generator=draws)
        seed = int(torch.randint(2**62, (), generator=draws))  # torch draws no beta from a generator
        share = np.random.default_rng(seed).beta(self.mixup, self.mixup, utterances)
        return Mix(partner, torch.as_tensor(share))

    def __call__(self, logits: Tensor, rows: np.ndarray, mix: Mix | None = None) -> Tensor:
        """The sum of the losses of the utterances `rows` (n,), whose logits (n, C) are of vectors mixed by `mix`."""
        if mix is not None:
            share, partner = mix.share.to(logits), rows[mix.partner.numpy()]
            return (share * self._each(logits, rows) + (1 - share) * self._each(logits, partner)).sum()
        if self.focal:
            return self._each(logits, rows).sum()
        return cross_entropy(*self._asked(logits, rows), self.weights, reduction="sum")

    def mean(self, logits: Tensor, rows: np.ndarray) -> Tensor:
        """The mean of the same, weighed by the classes' weights."""
        bounded, true = self._asked(logits, rows)
        if not self.focal:
            return cross_entropy(bounded, true, self.weights)
        whole = len(rows) if self.weights is None else self.weights[true].sum()
        return self._each(logits, rows).sum() / whole

    def _each(self, logits: Tensor, rows: np.ndarray) -> Tensor:
        """(n,) the loss of each utterance."""
        bounded, true = self._asked(logits, rows)
        losses = cross_entropy(bounded, true, self.weights, reduction="none")
        if not self.focal:
            return losses
        probable = (-cross_entropy(bounded, true, reduction="none")).exp()
        return (1 - probable).clamp(min=SMALLEST) ** self.focal * losses

    def _asked(self, logits: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits of the classes that each utterance may have, and its class."""
        places = torch.as_tensor(rows, device=self.targets.device)
        return within(logits, None if self.allowed is None else self.allowed[places]), self.targets[places]
