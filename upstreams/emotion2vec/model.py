"""emotion2vec, the network (Ma et al., Findings of ACL 2024; after data2vec 2.0, Baevski et al., ICML 2023).

    waveform -> local encoder F -> + positional convolutions -> 10 tokens + frames -> 12 transformer blocks
                                                                 (training only)   -> convolutional decoder

The same code serves the teacher (all frames), the student (the frames that are not masked) and inference. Parameters
have the names of the official checkpoints, so that those load as they are. Padding never reaches a valid frame: an
utterance gets the same alone and in any batch.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upstreams.emotion2vec.config import BASE, ModelConfig
from upstreams.pretraining.batches import MEL_BINS, MEL_HOP, MEL_WINDOW
from upstreams.pretraining.mel import LogMel


class Encoded(NamedTuple):
    """What the transformer makes of K frames."""

    hidden: list[Tensor]  # blocks + 1 of (B, K, dim): the input of the first block, each block's output; no tokens
    ffn: list[Tensor]  # of each block that ran: (B, K, dim), its MLP's output before the residual sum and dropout
    tokens: Tensor  # (B, tokens, dim) after the last block


class Emotion2vec(nn.Module):
    """The network. B utterances, n samples, T frames, K frames that are encoded; masks are True where it holds."""

    def __init__(self, config: ModelConfig = BASE) -> None:
        super().__init__()
        self.config = config
        self.modality_encoders = nn.ModuleDict({"AUDIO": AudioEncoder(config)})
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        if config.classes:
            self.proj = nn.Linear(config.dim, config.classes)
        self.apply(_initialise)

    @property
    def audio(self) -> AudioEncoder:
        return self.modality_encoders["AUDIO"]

    def all_blocks(self) -> list[Block]:
        """The transformer's blocks, from the first to the last."""
        return [*self.audio.context_encoder.blocks, *self.blocks]

    def local(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The local encoder F: (B, n) float32 and (B,) valid samples -> features (B, T, dim), (B,) valid frames.

        Frames beyond the valid ones are finite and have no meaning.
        """
        within = torch.arange(waveforms.shape[1], device=waveforms.device) < lengths[:, None]
        if self.config.stem == "log_mel":
            x, frames = self.audio.mel(waveforms), (lengths - MEL_WINDOW) // MEL_HOP + 1
        else:
            x, frames = normalise(waveforms, within) if self.config.normalize else waveforms, lengths
            x = x[:, :, None]
        for _, kernel, stride in self.config.conv_layers:
            frames = (frames - kernel) // stride + 1
        return self.audio.project_features(self.audio.local_encoder(x)), frames

    def positioned(self, features: Tensor, valid: Tensor | None, masked: Tensor | None = None) -> Tensor:
        """Features (B, T, dim) of F -> with their surroundings added; masked ones and padding are zeroed before."""
        kept = valid if masked is None else ~masked if valid is None else valid & ~masked
        features = around = _zero_outside(features, kept)
        for conv in self.audio.relative_positional_encoder[1:]:
            around = _zero_outside(conv(around), valid)
        return features + around

    def encode(self, x: Tensor, positions: Tensor, valid: Tensor | None = None) -> Encoded:
        """The transformer: (B, K, dim) at the utterance's frames `positions` (B or 1, K) int -> Encoded.

        A student's positions are those its frames had before the masked ones were left out. valid None: no padding.
        """
        tokens = self.config.tokens
        x = torch.cat([self.audio.extra_tokens.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        x = F.dropout(self.audio.context_encoder.norm(x), self.config.prenet_dropout, self.training)
        bias = attention_bias(self.audio.alibi_scale, self.config, positions, valid)
        hidden, ffn = [x[:, tokens:]], []
        for block in self.all_blocks():
            if not (self.training and self.config.layerdrop and torch.rand(()) < self.config.layerdrop):
                x, f = block(x, bias)
                ffn.append(f[:, tokens:])
            hidden.append(x[:, tokens:])
        return Encoded(hidden, ffn, x[:, :tokens])

    def decode(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """The student's decoder: its last hidden frames at their positions, noise in masked slots -> (B, T, dim).

        The dropout of the visible frames (config.decoder_dropout) is the caller's, before the slots are filled.
        """
        decoder = self.audio.decoder
        x = _zero_outside(x, valid)
        for conv in decoder.blocks:
            y = _zero_outside(conv(x), valid)
            x = x + y if x.shape == y.shape else y
        return decoder.proj(x)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Encoded, Tensor | None]:
        """All frames of (B, n) waveforms of (B,) lengths -> Encoded, valid (B, T). Teacher and inference.

        Without lengths there is no padding, and valid is None.
        """
        full = torch.full((len(waveforms),), waveforms.shape[1], device=waveforms.device)
        features, frames = self.local(waveforms, full if lengths is None else lengths)
        positions = torch.arange(features.shape[1], device=features.device)[None]
        valid = None if lengths is None else positions < frames[:, None]
        return self.encode(self.positioned(features, valid), positions, valid), valid

    def classify(self, last: Tensor) -> Tensor:
        """Last hidden frames of one utterance (T, dim) -> logits (classes,). Fine-tuned models only."""
        return self.proj(last.mean(0))


class AudioEncoder(nn.Module):
    """Everything before the main blocks, and the decoder, under the names of the official checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.conv_layers[-1][0]
        self.extra_tokens = nn.Parameter(torch.randn(1, config.tokens, config.dim))
        self.extra_tokens.data[:, :1] = 0.0
        self.alibi_scale = nn.Parameter(torch.ones(1, 1, config.heads, 1, 1))
        if config.stem == "log_mel":
            self.mel = LogMel()
        self.local_encoder = LocalEncoder(config)
        self.project_features = nn.Sequential(nn.Identity(), nn.LayerNorm(channels), nn.Linear(channels, config.dim))
        self.relative_positional_encoder = nn.Sequential(
            nn.Identity(),
            *[SameConv(config.dim, config.dim, config.pos_kernel, config.pos_groups) for _ in range(config.pos_depth)],
        )
        self.context_encoder = nn.Module()
        self.context_encoder.norm = nn.LayerNorm(config.dim)
        self.context_encoder.blocks = nn.ModuleList(Block(config) for _ in range(config.prenet_depth))
        if config.decoder_depth:
            widths = [config.dim] + [config.decoder_dim] * config.decoder_depth
            self.decoder = nn.Module()
            kernel, groups = config.decoder_kernel, config.decoder_groups
            self.decoder.blocks = nn.Sequential(*[SameConv(i, o, kernel, groups) for i, o in pairwise(widths)])
            self.decoder.proj = nn.Linear(config.decoder_dim, config.dim)


class LocalEncoder(nn.Module):
    """Strided convolutions without padding, each with LayerNorm over channels and GELU: (B, n, C) -> (B, T, C')."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [MEL_BINS if config.stem == "log_mel" else 1] + [channels for channels, _, _ in config.conv_layers]
        self.conv_layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "0": nn.Conv1d(width, channels, kernel, stride, bias=False),
                    "2": nn.ModuleDict({"1": nn.LayerNorm(channels)}),
                }
            )
            for width, (channels, kernel, stride) in zip(widths, config.conv_layers, strict=False)
        )
        for layer in self.conv_layers:
            nn.init.kaiming_normal_(layer["0"].weight)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.conv_layers:
            x = F.gelu(layer["2"]["1"](strided(layer["0"], x)))
        return x


def strided(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over (B, T, C) with C innermost.

    Where neighbouring windows share one frame or none, two matrix products do: one of the frames taken `stride` at a
    time, and one of the shared frames. Both read x in place; on a CPU this takes a fifth less time than a convolution.
    """
    (kernel,), (stride,) = conv.kernel_size, conv.stride
    if kernel - stride not in (0, 1):
        return conv(x.transpose(1, 2)).transpose(1, 2)
    windows = (x.shape[1] - kernel) // stride + 1
    weight = conv.weight.transpose(1, 2)  # (C', kernel, C)
    own = x[:, : stride * windows].unflatten(1, (windows, stride)).flatten(2)
    y = F.linear(own, weight[:, :stride].flatten(1))
    return y + F.linear(x[:, stride : stride * windows + 1 : stride], weight[:, stride]) if kernel > stride else y


class SameConv(nn.Sequential):
    """Grouped convolution to the same length, LayerNorm without gain or bias, GELU: (B, T, C) -> (B, T, C')."""

    def __init__(self, width: int, channels: int, kernel: int, groups: int) -> None:
        super().__init__(nn.Conv1d(width, channels, kernel, padding=kernel // 2, groups=groups))

    def forward(self, x: Tensor) -> Tensor:
        x = self[0](x.transpose(1, 2)).transpose(1, 2)
        return F.gelu(F.layer_norm(x, x.shape[-1:]))


class Block(nn.Module):
    """A post-norm transformer block: h = norm1(x + attention(x)); f = MLP(h); (norm2(h + f), f)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.norm1 = nn.LayerNorm(config.dim)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(config.dim, int(config.dim * config.ffn_ratio))
        self.mlp.fc2 = nn.Linear(int(config.dim * config.ffn_ratio), config.dim)
        self.norm2 = nn.LayerNorm(config.dim)
        self.activation_dropout, self.post_mlp_dropout = config.activation_dropout, config.post_mlp_dropout

    def forward(self, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm1(x + self.attn(x, bias))
        f = F.dropout(F.gelu(self.mlp.fc1(x)), self.activation_dropout, self.training)
        f = F.dropout(self.mlp.fc2(f), self.activation_dropout, self.training)
        return self.norm2(x + F.dropout(f, self.post_mlp_dropout, self.training)), f


class Attention(nn.Module):
    """Multi-head self-attention with an additive bias."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)
        self.attention_dropout, self.dropout = config.attention_dropout, config.dropout

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.attention_dropout if self.training else 0.0
        if (self.training or bias.requires_grad) and x.device.type == "cpu":
            # On a CPU no fused kernel gives the bias a gradient, and torch's substitute is slower than plain products.
            weights = (q * (d // self.heads) ** -0.5 @ k.transpose(-1, -2) + bias).softmax(-1)
            x = F.dropout(weights, dropout).to(v.dtype) @ v
        else:
            x = F.scaled_dot_product_attention(q, k, v, bias, dropout)
        return F.dropout(self.proj(x.transpose(1, 2).reshape(b, n, d)), self.dropout, self.training)


def attention_bias(scale: Tensor, config: ModelConfig, positions: Tensor, valid: Tensor | None) -> Tensor:
    """(B or 1, heads, tokens + K, tokens + K), built once for all blocks.

    Symmetric ALiBi (Press et al. 2022): - slope_h * learned scale_h * |i - j| between frames, 0 to and from tokens;
    -inf towards padding. `scale` is the network's `alibi_scale`.
    """
    distance = (positions[:, :, None] - positions[:, None, :]).abs()[:, None]
    own = scale[0].clamp(min=0) * alibi_slopes(config.heads, distance.device)[:, None, None]
    tokens = config.tokens
    bias = F.pad(-own * distance, (tokens, 0, tokens, 0))
    if valid is not None:
        bias = bias.masked_fill(~F.pad(valid, (tokens, 0), value=True)[:, None, None, :], -torch.inf)
    device = distance.device.type
    return bias.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else bias


def normalise(waveforms: Tensor, within: Tensor) -> Tensor:
    """Zero mean and unit (biased) variance over each row's own samples, eps 1e-5; zeros beyond them."""
    n = within.sum(1, keepdim=True)
    centred = (waveforms - (waveforms * within).sum(1, keepdim=True) / n) * within
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / n + 1e-5)


def alibi_slopes(heads: int, device: torch.device) -> Tensor:
    """(heads,): 2^(-8 i / heads) for a power of two, else that of the power below and every other one of its double."""
    power = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    slopes += [2 ** (-8 * (i + 1) / (2 * power)) for i in range(0, 2 * power, 2)][: heads - power]
    return torch.tensor(slopes, device=device)


def _zero_outside(x: Tensor, kept: Tensor | None) -> Tensor:
    return x if kept is None else x * kept[..., None]


def _initialise(module: nn.Module) -> None:
    """Weights of linear layers as in BERT; all else as its own class begins."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
