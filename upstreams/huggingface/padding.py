"""Batches of mixed lengths: modules that hear each utterance's own frames and nothing of the padding.

Three things in these encoders look across time: attention, which transformers masks; a group norm over all frames; and
convolutions over frames that padding has filled. The last two are mended here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass
class Own:
    """How many frames of each utterance in the running batch are its own, (B,); None: all frames of all."""

    first: torch.Tensor | None = None  # after the first convolution
    last: torch.Tensor | None = None  # after all of them


def mask(counts: torch.Tensor, length: int) -> torch.Tensor:
    """(B,) -> (B, length) bool: true where a position is the utterance's own."""
    return torch.arange(length, device=counts.device) < counts[:, None]


class GroupNormOverOwn(nn.Module):
    """Wu and He's group norm with a channel a group, its mean and variance over each utterance's own frames."""

    def __init__(self, norm: nn.GroupNorm, own: Own) -> None:
        super().__init__()
        self.norm, self.own = norm, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) -> (B, C, T)."""
        if self.own.first is None:
            return self.norm(x)
        mine = mask(self.own.first, x.shape[2])[:, None]
        count = self.own.first[:, None, None]
        mean = x.where(mine, 0).sum(2, keepdim=True) / count
        variance = (x - mean).where(mine, 0).square().sum(2, keepdim=True) / count
        scale = self.norm.weight[:, None] * (variance + self.norm.eps).rsqrt()
        return torch.addcmul(self.norm.bias[:, None] - mean * scale, x, scale)


class ConvolutionOverOwn(nn.Module):
    """A convolution over frames, to which padding is the zeros that it meets at the end of a lone utterance."""

    def __init__(self, convolution: nn.Module, own: Own) -> None:
        super().__init__()
        self.convolution, self.own = convolution, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) -> (B, C', T')."""
        if self.own.last is not None:
            x = x.where(mask(self.own.last, x.shape[2])[:, None], 0)
        return self.convolution(x)


def together(waveforms: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """1-D waveforms -> (B, samples), zero-padded at the end; and their lengths (B,), or None where all are equal."""
    if len({len(waveform) for waveform in waveforms}) == 1:
        return torch.stack(waveforms), None
    lengths = [len(waveform) for waveform in waveforms]
    padded = [functional.pad(w, (0, max(lengths) - len(w))) for w in waveforms]
    return torch.stack(padded), torch.tensor(lengths, device=waveforms[0].device)
