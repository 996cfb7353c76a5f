"""Batches of mixed lengths: modules that compute from the frames of each utterance and never from padding.

Three operations of these encoders look across time: attention, which transformers masks; a group norm over all frames;
and convolutions over frames that hold padding. The last two are replaced by the modules here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass
class OwnFrames:
    """How many frames of each utterance in the current batch are not padding, (B,); None: all frames of all."""

    first: torch.Tensor | None = None  # after the first convolution
    last: torch.Tensor | None = None  # after all of them


def mask(counts: torch.Tensor, length: int) -> torch.Tensor:
    """(B,) -> (B, length) bool: false where a position is padding."""
    return torch.arange(length, device=counts.device) < counts[:, None]


class GroupNormOwnFrames(nn.Module):
    """Group norm (Wu and He, 2018) with one channel in a group; mean and variance are over frames without padding."""

    def __init__(self, norm: nn.GroupNorm, own: OwnFrames) -> None:
        super().__init__()
        self.norm, self.own = norm, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) -> (B, C, T)."""
        if self.own.first is None:
            return self.norm(x)
        kept = mask(self.own.first, x.shape[2])[:, None]
        count = self.own.first[:, None, None]
        mean = x.where(kept, 0).sum(2, keepdim=True) / count
        variance = (x - mean).where(kept, 0).square().sum(2, keepdim=True) / count
        scale = self.norm.weight[:, None] * (variance + self.norm.eps).rsqrt()
        return torch.addcmul(self.norm.bias[:, None] - mean * scale, x, scale)


class ConvolutionOwnFrames(nn.Module):
    """A convolution in which padding is zero, as behind the end of an utterance that is alone."""

    def __init__(self, convolution: nn.Module, own: OwnFrames) -> None:
        super().__init__()
        self.convolution, self.own = convolution, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) -> (B, C', T')."""
        if self.own.last is not None:
            x = x.where(mask(self.own.last, x.shape[2])[:, None], 0)
        return self.convolution(x)


def library_names(module: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a module by the names that the library's own module has, without the replacements here."""
    inner = {GroupNormOwnFrames: "norm", ConvolutionOwnFrames: "convolution"}
    replaced = {f"{name}.{inner[type(own)]}.": f"{name}." for name, own in module.named_modules() if type(own) in inner}
    state: dict[str, torch.Tensor] = {}
    for name, tensor in module.state_dict().items():
        before = next((own for own in replaced if name.startswith(own)), "")
        state[replaced.get(before, "") + name.removeprefix(before)] = tensor
    return state


def together(waveforms: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """1-D waveforms -> (B, samples), zero-padded at the end; and their lengths (B,), or None if all are equal."""
    if len({len(waveform) for waveform in waveforms}) == 1:
        return torch.stack(waveforms), None
    lengths = [len(waveform) for waveform in waveforms]
    padded = [functional.pad(w, (0, max(lengths) - len(w))) for w in waveforms]
    return torch.stack(padded), torch.tensor(lengths, device=waveforms[0].device)
