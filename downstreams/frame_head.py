"""The network of heads on frames: layers weighed, an aggregator over time, a classifier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from downstreams.aggregators import AttentiveStatistics, FrameNorm, Mean
from downstreams.class_loss import Mix
from downstreams.ecapa import Ecapa
from downstreams.mscnn import MultiScale
from downstreams.settings import Sizes

Aggregator = Literal["mean", "attentive", "ecapa", "mscnn"]


class OnFrames(nn.Module):
    """A network on frames of L layers, of which it takes the weighted sum."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Parameter(torch.zeros(depth), requires_grad=depth > 1)

    def forward(
        self, x: Tensor, valid: Tensor, draws: torch.Generator | None = None, mix: Mix | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, C), and the vectors (B, P) before the classifier, of frames (B, T, L, D).

        Args:
            valid: (B, T) bool.
            draws: random numbers for dropout; None: there is none.
            mix: mixes what utterances are after pooling over time.
        """
        raise NotImplementedError

    def weighed(self, x: Tensor) -> Tensor:
        """The weighted sum (B, T, D) of the layers."""
        if x.shape[2] == 1:
            return x[:, :, 0]
        return torch.einsum("btld,l->btd", x, self.layers.softmax(0))

    def layer_weights(self) -> list[float] | None:
        """The weights of the layers, which sum to 1; None where there is one layer."""
        return None if len(self.layers) == 1 else self.layers.detach().softmax(0).tolist()

    def norms(self) -> list[FrameNorm]:
        """Its batch norms, whose statistics training has to make."""
        return [module for module in self.modules() if isinstance(module, FrameNorm)]


class FrameHead(OnFrames):
    """Frames of L layers -> logits of C classes.

    mean: time-mean, Linear. attentive: attentive statistics, Linear, layer norm, ReLU, dropout, Linear. mscnn: MSCNN,
    and what follows likewise. ecapa: ECAPA-TDNN, Linear.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        depth: int,
        width: int,
        classes: int,
        sizes: Sizes,
        draws: torch.Generator,
    ) -> None:
        super().__init__(depth)
        pool: Mean | AttentiveStatistics | Ecapa | MultiScale
        if aggregator == "mean":
            pool = Mean(width)
        elif aggregator == "attentive":
            pool = AttentiveStatistics(width, sizes.attention)
        elif aggregator == "ecapa":
            pool = Ecapa(width, sizes)
        else:
            pool = MultiScale(width, sizes)
        self.pool, deep = pool, aggregator in ("attentive", "mscnn")
        self.hidden = nn.Linear(pool.width, sizes.hidden) if deep else None
        self.norm = nn.LayerNorm(sizes.hidden) if deep else None
        self.classifier = nn.Linear(pool.width if self.hidden is None else sizes.hidden, classes)
        self.dropout = sizes.dropout
        initialise(self, draws)

    def forward(
        self, x: Tensor, valid: Tensor, draws: torch.Generator | None = None, mix: Mix | None = None
    ) -> tuple[Tensor, Tensor]:
        """As OnFrames says."""
        vectors = self.pool(self.weighed(x), valid)
        vectors = vectors if mix is None else mix(vectors)
        if self.hidden is not None and self.norm is not None:
            vectors = self.norm(self.hidden(vectors)).relu()
        kept = vectors if draws is None or self.hidden is None else dropped(vectors, self.dropout, draws)
        return self.classifier(kept), vectors


def initialise(network: nn.Module, draws: torch.Generator) -> None:
    """Draw all linear layers and convolutions as torch does, uniform to 1 / sqrt(inputs), but from `draws`."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            with torch.no_grad():
                module.weight.uniform_(-bound, bound, generator=draws)
                module.bias.uniform_(-bound, bound, generator=draws)


def padded(frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Frames (T_i, L, D) of B utterances -> (B, T, L, D) with zeros behind them, and (B, T) bool: where frames are."""
    lengths = torch.tensor([len(own) for own in frames], device=frames[0].device)
    together = pad_sequence(list(frames), batch_first=True)
    return together, torch.arange(together.shape[1], device=lengths.device) < lengths[:, None]


def dropped(x: Tensor, share: float, draws: torch.Generator) -> Tensor:
    """Values with a random share of them set to 0, and the others larger, so that the mean stays."""
    kept = torch.rand(x.shape, generator=draws).to(x.device) >= share
    return x * kept / (1 - share)


def mean_of(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of the weights of several states of one network; of statistics too, which are made anew after it."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(own.dtype)
        for name, own in states[0].items()
    }


@torch.no_grad()
def norms_anew(network: OnFrames, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Make the statistics of a network's batch norms anew, over batches of padded frames and where these are valid.

    Nothing is taken from `batches` where there is no batch norm.
    """
    norms = network.norms()
    if not norms:
        return
    network.train()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.forget()
    for x, valid in batches:
        network(x, valid)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
