"""The top blocks of emotion2vec as a network of their own."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from upstreams.emotion2vec.model import Emotion2vec, attention_bias
from upstreams.halves import Given, padded


class TopOfEmotion2vec(nn.Module):
    """Copies of the last blocks. The scale of the attention's bias, which all blocks share, stays as it is."""

    alibi_scale: Tensor

    def __init__(self, network: Emotion2vec, top: int) -> None:
        super().__init__()
        self.config = network.config
        self.blocks = nn.ModuleList(copy.deepcopy(block) for block in network.all_blocks()[-top:])
        self.register_buffer("alibi_scale", network.audio.alibi_scale.detach().clone())

    def forward(self, given: list[Given]) -> list[Tensor]:
        """Tokens and frames (tokens + T, D) of each utterance -> (1, T, D), the last layer."""
        x, lengths = padded(given)
        tokens = self.config.tokens
        positions = torch.arange(x.shape[1] - tokens, device=x.device)[None]
        equal = len(lengths.unique()) == 1
        valid = None if equal else positions < (lengths - tokens)[:, None]
        bias = attention_bias(self.alibi_scale, self.config, positions, valid)
        for block in self.blocks:
            x, _ = block(x, bias)
        return [own[None, tokens : tokens + one.frames] for own, one in zip(x, given, strict=True)]
