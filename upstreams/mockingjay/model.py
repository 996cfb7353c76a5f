"""Mockingjay's network: a linear embedding with sinusoid positions, post-norm blocks, a head that reconstructs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upstreams.mockingjay.config import ModelConfig

EPS = 1e-12  # of all layer norms
STD = 0.02  # of initial weights


class Mockingjay(nn.Module):
    """Spectra (B, T, D) -> hidden states; `reconstruct` gives spectra again, `rate` frame scores."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.acoustic.width, config.dim)
        self.norm = nn.LayerNorm(config.dim, EPS)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        if config.target:
            self.head = head(config.dim, config.target)
        if config.score != "off":
            self.score_head = head(config.dim, 1)
        self.apply(_initialise)

    def forward(self, spectra: Tensor, valid: Tensor | None = None) -> list[Tensor]:
        """(B, T, dim) of the embedding and of each block. `valid` (B, T): frames that are no padding; None: all."""
        x = self.embed(spectra)
        x = self.norm(x + positions(x.shape[1], self.config.dim, x.device))
        hidden = [F.dropout(x, self.config.dropout, self.training)]
        for block in self.blocks:
            hidden.append(block(hidden[-1], valid))
        return hidden

    def reconstruct(self, last: Tensor) -> Tensor:
        """Last hidden states (..., dim) -> spectra (..., target)."""
        return self.head(last)

    def rate(self, last: Tensor) -> Tensor:
        """Last hidden states (..., dim) -> frame scores (...)."""
        return self.score_head(last)[..., 0]


class Block(nn.Module):
    """h = norm1(x + attention(x)); norm2(h + FFN(h))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.dim
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.mix, self.norm1 = nn.Linear(dim, dim), nn.LayerNorm(dim, EPS)
        self.widen, self.narrow = nn.Linear(dim, config.ffn), nn.Linear(config.ffn, dim)
        self.norm2 = nn.LayerNorm(dim, EPS)
        self.heads, self.dropout, self.attention_dropout = config.heads, config.dropout, config.attention_dropout

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        h = self.norm1(x + F.dropout(self.mix(self._attend(x, valid)), self.dropout, self.training))
        f = self.narrow(F.gelu(self.widen(h)))
        return self.norm2(h + F.dropout(f, self.dropout, self.training))

    def _attend(self, x: Tensor, valid: Tensor | None) -> Tensor:
        b, t, d = x.shape
        q, k, v = (
            layer(x).view(b, t, self.heads, d // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = None if valid is None else valid[:, None, None, :]
        dropout = self.attention_dropout if self.training else 0.0
        if self.training and q.dtype == torch.bfloat16 and x.device.type == "cpu":
            # torch's fused attention is slow in bf16 on a CPU: with it, half of a training step went into attention.
            scores = q * (d // self.heads) ** -0.5 @ k.transpose(-1, -2)
            scores = scores if seen is None else scores.masked_fill(~seen, -torch.inf)
            attended = F.dropout(scores.softmax(-1), dropout).to(v.dtype) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, seen, dropout)
        return attended.transpose(1, 2).reshape(b, t, d)


def head(dim: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim, EPS), nn.Linear(dim, width))


def positions(frames: int, dim: int, device: torch.device) -> Tensor:
    """(frames, dim): sines at even and cosines at odd places, of wavelengths from 2 pi to 20000 pi."""
    place = torch.arange(frames, device=device, dtype=torch.float64)[:, None]
    pair = torch.arange(dim, device=device, dtype=torch.float64) // 2
    angle = place * torch.exp(-math.log(10000) * 2 * pair / dim)
    odd = torch.arange(dim, device=device) % 2 == 1
    return torch.where(odd, angle.cos(), angle.sin()).float()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=STD)
        nn.init.zeros_(module.bias)
