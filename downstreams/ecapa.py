"""ECAPA-TDNN (Desplanques, Thienpondt and Demuynck, Interspeech 2020) as an aggregator of frames.

Convolution, three SE-Res2 blocks with growing dilation, their outputs joined, and statistics over time under weights
that every channel has for itself. Norms count valid frames alone, and convolutions see zeros where an utterance ends.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from downstreams.aggregators import FrameNorm, Frames
from downstreams.settings import Sizes

DILATIONS = (2, 3, 4)
KERNEL, FIRST_KERNEL = 3, 5


class Ecapa(nn.Module):
    """(B, T, D) frames, (B, T) valid -> (B, embedding)."""

    def __init__(self, inputs: int, sizes: Sizes) -> None:
        super().__init__()
        self.width, channels, joined = sizes.embedding, sizes.channels, sizes.joined
        self.first = Convolution(inputs, channels, FIRST_KERNEL)
        self.blocks = nn.ModuleList(Block(sizes, dilation) for dilation in DILATIONS)
        self.join = Convolution(channels * len(DILATIONS), joined, 1)
        self.attend = Convolution(3 * joined, sizes.attention, 1)
        self.score = nn.Linear(sizes.attention, joined)
        self.norm = FrameNorm(2 * joined)
        self.embed = nn.Linear(2 * joined, sizes.embedding)
        self.last = FrameNorm(sizes.embedding)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, embedding)."""
        frames = Frames(valid)
        total = self.first(frames.rows(x), frames)
        outputs = []
        for block in self.blocks:  # each reads the sum of all before it
            outputs.append(block(total, frames))
            total = total + outputs[-1]
        joined = self.join(torch.cat(outputs, dim=1), frames)
        context = torch.cat([joined, frames.each(frames.statistics(joined))], dim=1)
        weights = frames.shares(self.score(self.attend(context, frames).tanh()))
        pooled = self.norm(frames.statistics(joined, weights))
        return self.last(self.embed(pooled))


class Convolution(nn.Module):
    """Convolution to the same length, ReLU, batch norm: rows of frames (N, C) -> (N, C')."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)
        self.norm = FrameNorm(outputs)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        if self.conv.kernel_size == (1,):  # a matrix product over channels
            made = nn.functional.linear(rows, self.conv.weight[..., 0], self.conv.bias)
        else:
            made = frames.rows(self.conv(frames.spread(rows).transpose(1, 2)).transpose(1, 2))
        return self.norm(made.relu())


class Block(nn.Module):
    """An SE-Res2 block: 1x1, Res2 with dilation, 1x1, squeeze and excitation; the residual is its input."""

    def __init__(self, sizes: Sizes, dilation: int) -> None:
        super().__init__()
        channels, part = sizes.channels, sizes.channels // sizes.scale
        self.enter = Convolution(channels, channels, 1)
        self.parts = nn.ModuleList(Convolution(part, part, KERNEL, dilation) for _ in range(sizes.scale - 1))
        self.leave = Convolution(channels, channels, 1)
        self.squeeze = nn.Linear(channels, sizes.squeeze)
        self.excite = nn.Linear(sizes.squeeze, channels)

    def forward(self, rows: Tensor, frames: Frames) -> Tensor:
        made = self.leave(self._res2(self.enter(rows, frames), frames), frames)
        scale = self.excite(self.squeeze(frames.means(made)).relu()).sigmoid()
        return rows + made * frames.each(scale)

    def _res2(self, rows: Tensor, frames: Frames) -> Tensor:
        """Channels in parts; the convolution of a part reads it and what the part before gave (Gao et al., 2021)."""
        first, *others = rows.chunk(len(self.parts) + 1, dim=1)
        outputs, before = [first], torch.zeros_like(first)
        for own, convolution in zip(others, self.parts, strict=True):
            before = convolution(own + before, frames)
            outputs.append(before)
        return torch.cat(outputs, dim=1)
