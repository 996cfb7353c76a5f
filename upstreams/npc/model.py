"""NPC's network. Padding is zero before every convolution and in no statistic, so nothing depends on it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upstreams.npc.config import ModelConfig

MOMENTUM = 0.1  # share of a step in the running statistics
EPS = 1e-5


class Kept(NamedTuple):
    """Which frames are no padding, (B, 1, T), and how many: a tensor (), since a number would wait for the GPU."""

    frames: Tensor
    count: Tensor


class Npc(nn.Module):
    """Spectra (B, T, D) -> layers of features; `predict` gives spectra again, `rate` frame scores."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.acoustic.width] + [config.dim] * (config.blocks - 1)
        self.blocks = nn.ModuleList(Block(width, config, number > 0) for number, width in enumerate(widths))
        self.masked = nn.ModuleList(Masked(config, config.taps(block)) for block in range(config.blocks))
        if config.codes:
            part = config.dim // config.groups
            self.logits = nn.ModuleList(nn.Linear(part, config.codes) for _ in range(config.groups))
            self.codes = nn.ModuleList(nn.Linear(config.codes, part, bias=False) for _ in range(config.groups))
        if config.target:
            self.head = nn.Linear(config.dim, config.target)
        if config.score != "off":
            self.score_head = nn.Linear(config.dim, 1)

    def forward(self, spectra: Tensor, valid: Tensor | None = None) -> list[Tensor]:
        """(B, T, dim) of each block and the masked convolution after it, in turn as s3prl has them; last, the sum of
        the masked convolutions.

        valid: (B, T) frames that are no padding; None: all.
        """
        kept = None if valid is None else Kept(valid[:, None], valid.sum())
        x, outputs = spectra.transpose(1, 2), list[Tensor]()
        for block, masked in zip(self.blocks, self.masked, strict=True):
            x = block(x, kept)
            outputs += [x.transpose(1, 2), masked(x).transpose(1, 2)]
        return [*outputs, torch.stack(outputs[1::2]).sum(0)]

    def quantise(self, summed: Tensor) -> tuple[Tensor, Tensor]:
        """The sum (N, dim) with each group replaced by a code, and how often each code was taken (groups, codes).

        In training a code is drawn by its probability (Gumbel softmax, straight through), else the likeliest is taken.
        """
        if not self.config.codes:
            return summed, summed.new_zeros(self.config.groups, 0)
        parts, counts = [], []
        for part, logits, codes in zip(summed.chunk(self.config.groups, -1), self.logits, self.codes, strict=True):
            scores = logits(part).float()
            if self.training:
                taken = F.gumbel_softmax(scores, self.config.temperature, hard=True)
            else:
                taken = F.one_hot(scores.argmax(-1), self.config.codes).to(scores.dtype)
            parts.append(codes(taken))
            counts.append(taken.detach().sum(0))
        return torch.cat(parts, -1), torch.stack(counts)

    def predict(self, quantised: Tensor) -> Tensor:
        """Quantised sums (..., dim) -> spectra (..., target)."""
        return self.head(quantised)

    def rate(self, quantised: Tensor) -> Tensor:
        """Quantised sums (..., dim) -> frame scores (...)."""
        return self.score_head(quantised)[..., 0]

    def norms(self) -> list[Norm]:
        """All of them, in one order."""
        return [module for module in self.modules() if isinstance(module, Norm)]


class Block(nn.Module):
    """Convolution over 3 frames, norm, ReLU, linear, norm, dropout; all blocks but the first add their input; ReLU."""

    def __init__(self, width: int, config: ModelConfig, residual: bool) -> None:
        super().__init__()
        self.conv, self.norm1 = nn.Conv1d(width, config.dim, 3, padding=1), Norm(config.dim)
        self.linear, self.norm2 = nn.Conv1d(config.dim, config.dim, 1), Norm(config.dim)
        self.residual, self.dropout = residual, config.dropout

    def forward(self, x: Tensor, kept: Kept | None) -> Tensor:
        y = F.relu(self.norm1(self.conv(x), kept))
        y = F.dropout(self.norm2(self.linear(y), kept), self.dropout, self.training)
        y = F.relu(y + x if self.residual else y)
        return y if kept is None else y * kept.frames


class Norm(nn.Module):
    """Batch norm over frames (B, C, T) that are no padding.

    In training it takes the statistics of the batch and keeps their sums in `sums`; the running ones, for inference,
    follow when a step is done (`follow`), so that they are the same whatever the number of processes.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))
        self.sums: Tensor | None = None  # (2, dim) of the values and of their squares

    def forward(self, x: Tensor, kept: Kept | None) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, eps=EPS)
        if kept is None:
            return self._of_all(x)
        mean = (x.float() * kept.frames).sum((0, 2)) / kept.count
        variance = ((x.float() - mean[:, None]).square() * kept.frames).sum((0, 2)) / kept.count
        self._sum(mean.detach(), variance.detach(), kept.count)
        scale = self.weight * torch.rsqrt(variance + EPS)
        return (x * scale[:, None] + (self.bias - mean * scale)[:, None]).to(x.dtype)

    def _of_all(self, x: Tensor) -> Tensor:
        """Where nothing is padding, torch's fused batch norm does the same in less time."""
        mean, variance, count = torch.zeros_like(self.mean), torch.zeros_like(self.mean), x.shape[0] * x.shape[2]
        y = F.batch_norm(x, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=EPS)
        self._sum(mean, variance * (count - 1) / count, count)  # torch keeps the unbiased variance
        return y

    def _sum(self, mean: Tensor, variance: Tensor, count: Tensor | int) -> None:
        self.sums = (count * torch.stack([mean, variance + mean.square()])).double()

    def follow(self, sums: Tensor, count: int) -> None:
        """Move the running statistics towards those of a step, (2, dim) sums over so many frames."""
        mean, squares = sums / count
        variance = (squares - mean.square()).clamp(min=0) * count / max(count - 1, 1)
        self.mean.lerp_(mean.float(), MOMENTUM)
        self.variance.lerp_(variance.float(), MOMENTUM)


class Masked(nn.Module):
    """tanh of a convolution whose middle taps are zero: of these only the others are kept, `taps` on either side."""

    def __init__(self, config: ModelConfig, taps: int) -> None:
        super().__init__()
        dim, self.taps, self.reach = config.dim, taps, config.kernel // 2
        bound = 1 / math.sqrt(dim * config.kernel)  # as for a convolution with all taps
        self.weight = nn.Parameter(torch.empty(dim, dim, 2 * taps).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> the same; two convolutions, one over the frames before and one over those after."""
        frames, gap = x.shape[2], self.reach + 1 - self.taps
        before = F.conv1d(F.pad(x, (self.reach, 0)), self.weight[..., : self.taps], self.bias)[..., :frames]
        after = F.conv1d(F.pad(x, (0, self.reach))[..., gap:], self.weight[..., self.taps :])[..., :frames]
        return torch.tanh(before + after)
