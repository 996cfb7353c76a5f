"""From the frames of utterances to one vector for each. Frames of padding never count.

`x` is (B, T, D), `valid` (B, T) bool: where an utterance has a frame. A batch gives the same loss and gradients as its
utterances without padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAST = 1e-5  # variance, below which a deviation has no gradient


class Mean(nn.Module):
    """The mean over time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, D)."""
        kept = valid[..., None]
        return (x * kept).sum(1) / kept.sum(1)


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time under weights that a small network gives every frame (Okabe et al., 2018)."""

    def __init__(self, width: int, attention: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.hidden = nn.Linear(width, attention)
        self.score = nn.Linear(attention, 1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, 2 D)."""
        scores = of_each_frame(lambda frames: self.score(self.hidden(frames).tanh()), x, valid)
        weights = over_time(scores, valid).transpose(1, 2)  # (B, 1, T)
        mean = weights @ x
        variance = weights @ (x - mean).square()
        return torch.cat([mean, variance.clamp(min=LEAST).sqrt()], dim=2)[:, 0]


class MaskedBatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015) over (B, T, C) whose statistics are those of valid frames alone.

    Frames of padding become 0. In training the running statistics follow with `momentum`; where that is None, they are
    those of all frames since `forget`.
    """

    mean: Tensor
    variance: Tensor
    frames: Tensor

    def __init__(self, channels: int, momentum: float | None = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("frames", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C)."""
        kept = valid[..., None]
        mean, variance = self.mean, self.variance
        if self.training:
            count = kept.sum()
            mean = (x * kept).sum((0, 1)) / count
            variance = ((x - mean) * kept).square().sum((0, 1)) / count
            self._follow(mean.detach(), variance.detach(), count)
        return ((x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias) * kept

    def forget(self) -> None:
        """Start the running statistics anew; the next batch gives the first ones."""
        self.frames.zero_()

    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Bring the running statistics nearer to those of a batch."""
        self.frames += count
        share = count / self.frames if self.momentum is None else self.momentum
        away = mean - self.mean
        # Of several batches together, the variance has a part between their means.
        between = share * (1 - share) * away.square() if self.momentum is None else 0
        self.variance += share * (variance * count / (count - 1).clamp(min=1) - self.variance) + between
        self.mean += share * away


def of_each_frame(own: Callable[[Tensor], Tensor], x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, P): what `own`, (n, D) -> (n, P), gives for each valid frame; 0 for padding.

    Random batches of recordings of many lengths are padding by half and more, on which `own` spends no time.
    """
    where = valid.flatten().nonzero()[:, 0]
    made = own(x.flatten(0, 1).index_select(0, where))
    return made.new_zeros(valid.numel(), made.shape[1]).index_copy(0, where, made).unflatten(0, valid.shape)


def over_time(scores: Tensor, valid: Tensor) -> Tensor:
    """Weights (B, T, C) that sum to 1 over the frames of each utterance, from scores of the same shape."""
    return scores.masked_fill(~valid[..., None], -torch.inf).softmax(1)


def statistics(x: Tensor, weights: Tensor) -> Tensor:
    """Mean and deviation over time, (B, 2 C), of (B, T, C) under weights that sum to 1 over time."""
    mean = (weights * x).sum(1, keepdim=True)
    variance = (weights * (x - mean).square()).sum(1)
    return torch.cat([mean[:, 0], variance.clamp(min=LEAST).sqrt()], dim=1)
