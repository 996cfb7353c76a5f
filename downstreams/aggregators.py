"""From the frames of utterances to one vector for each. Frames of padding never count.

`x` is (B, T, D), `valid` (B, T) bool: where an utterance has a frame. A batch gives the same loss and gradients as its
utterances without padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

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


class Frames:
    """The valid frames of a batch as rows, one utterance behind another: padding then costs nothing.

    Random batches of recordings of many lengths are padding by half and more.
    """

    def __init__(self, valid: Tensor) -> None:
        """`valid`: (B, T) bool; every utterance has a frame."""
        self.valid, counts = valid, valid.sum(1)
        self._where = valid.flatten().nonzero()[:, 0]
        self._owner = torch.arange(len(valid), device=valid.device).repeat_interleave(counts)
        self._sizes = counts.tolist()

    def rows(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (N, C)."""
        return x.flatten(0, 1).index_select(0, self._where)

    def spread(self, rows: Tensor) -> Tensor:
        """(N, C) -> (B, T, C) with 0 for padding."""
        padded = rows.new_zeros(self.valid.numel(), rows.shape[1]).index_copy(0, self._where, rows)
        return padded.unflatten(0, self.valid.shape)

    def apart(self, rows: Tensor) -> list[Tensor]:
        """(N, C) -> (T_i, C) of each utterance."""
        return list(rows.split(self._sizes))

    def each(self, vectors: Tensor) -> Tensor:
        """(B, C) -> (N, C): that of its utterance for every frame."""
        return vectors.index_select(0, self._owner)

    def sums(self, rows: Tensor) -> Tensor:
        """(N, C) -> (B, C): over the frames of each utterance."""
        return torch.stack([own.sum(0) for own in self.apart(rows)])

    def means(self, rows: Tensor) -> Tensor:
        """(N, C) -> (B, C)."""
        return torch.stack([own.mean(0) for own in self.apart(rows)])

    def highest(self, rows: Tensor) -> Tensor:
        """(N, C) -> (B, C)."""
        return torch.stack([own.amax(0) for own in self.apart(rows)])

    def shares(self, scores: Tensor) -> Tensor:
        """(N, C) -> weights (N, C) that sum to 1 over the frames of each utterance, in every column."""
        return torch.cat([own.softmax(0) for own in self.apart(scores)])

    def statistics(self, rows: Tensor, weights: Tensor | None = None) -> Tensor:
        """(N, C) -> mean and deviation over time, (B, 2 C), under weights (N, C) or (N, 1); None: equal ones."""
        over_time = self.means if weights is None else lambda own: self.sums(weights * own)
        mean = over_time(rows)
        variance = over_time((rows - self.each(mean)).square())
        return torch.cat([mean, variance.clamp(min=LEAST).sqrt()], dim=1)


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time under weights that a small network gives every frame (Okabe et al., 2018)."""

    def __init__(self, width: int, attention: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.hidden = nn.Linear(width, attention)
        self.score = nn.Linear(attention, 1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, 2 D)."""
        frames = Frames(valid)
        return self.of(frames.rows(x), frames)

    def of(self, rows: Tensor, frames: Frames) -> Tensor:
        """Rows of frames (N, D) -> (B, 2 D)."""
        return frames.statistics(rows, frames.shares(self.score(self.hidden(rows).tanh())))


class FrameNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015) over the valid frames of a batch, (N, C) -> (N, C).

    In training the running statistics follow with `momentum`; where that is None, they are those of all frames since
    `forget`.
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

    def forward(self, rows: Tensor) -> Tensor:
        """(N, C)."""
        if not self.training:
            return batch_norm(rows, self.mean, self.variance, self.weight, self.bias, eps=self.eps)
        count = len(rows)
        if count == 1:  # which torch refuses; its mean is the frame itself
            self._follow(rows[0].detach(), torch.zeros_like(self.variance), count)
            return (rows - rows) * self.weight + self.bias
        mean, variance = torch.zeros_like(self.mean), torch.zeros_like(self.variance)
        made = batch_norm(rows, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
        self._follow(mean, variance * (count - 1) / count, count)  # torch keeps the unbiased variance
        return made

    def forget(self) -> None:
        """Start the running statistics anew; the next batch gives the first ones."""
        self.frames.zero_()

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Bring the running statistics nearer to those of a batch."""
        self.frames += count
        share = count / self.frames if self.momentum is None else self.momentum
        away = mean - self.mean
        # Of several batches together, the variance has a part between their means.
        between = share * (1 - share) * away.square() if self.momentum is None else 0
        self.variance += share * (variance * count / max(count - 1, 1) - self.variance) + between
        self.mean += share * away
