"""The top blocks of encoders of transformers as networks of their own."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from upstreams.halves import Given, padded
from upstreams.huggingface.padding import mask


class TopOfEncoder(nn.Module):
    """The library's own encoder, with what comes before its last blocks taken out.

    What the positional convolution adds is 0 here, since the frames that the blocks get have it already. A norm before
    all blocks is taken out as well; one behind them is trained.
    """

    def __init__(self, encoder: nn.Module, top: int) -> None:
        super().__init__()
        layers = encoder.layers
        self.front: tuple[str, ...] = ()
        own = copy.copy(encoder)  # without the blocks below, which are not to be copied
        own._modules = dict(encoder._modules) | {"layers": nn.ModuleList(layers[-top:]), "pos_conv_embed": _Zero()}
        if not type(encoder).__name__.endswith("StableLayerNorm"):
            own._modules["layer_norm"] = nn.Identity()
        self.encoder = copy.deepcopy(own)
        position = getattr(getattr(layers[0], "attention", None), "rel_attn_embed", None)
        if position is not None:  # WavLM's first block makes the bias of all blocks, from lengths alone
            self.encoder.layers[0].attention.rel_attn_embed = copy.deepcopy(position)
            self.front = ("encoder.layers.0.attention.rel_attn_embed",)

    def forward(self, given: list[Given]) -> list[Tensor]:
        """Frames (T, D) of each utterance -> (1, T, D), the last layer."""
        x, lengths = padded(given)
        attended = None if len(lengths.unique()) == 1 else mask(lengths, x.shape[1])
        output = self.encoder(x, attention_mask=attended).last_hidden_state
        return [own[None, : one.frames] for own, one in zip(output, given, strict=True)]


class TopOfWhisper(nn.Module):
    """Whisper's last blocks and the norm behind them."""

    def __init__(self, encoder: nn.Module, top: int) -> None:
        super().__init__()
        self.layers = copy.deepcopy(nn.ModuleList(encoder.layers[-top:]))
        self.layer_norm = copy.deepcopy(encoder.layer_norm)

    def forward(self, given: list[Given]) -> list[Tensor]:
        """All positions (1500, D) of each utterance -> its own (1, T, D), the last layer."""
        x = torch.stack([one.x for one in given])
        for layer in self.layers:
            x = layer(x, None)
        return [own[None, : one.frames] for own, one in zip(self.layer_norm(x), given, strict=True)]


class TopOfText(nn.Module):
    """The library's own model of word pieces, without its embeddings and the blocks below."""

    def __init__(self, model: nn.Module, top: int, before: int) -> None:
        """`before`: special tokens in front of a text."""
        super().__init__()
        encoder, own = copy.copy(model.encoder), copy.copy(model)  # without what is not to be copied
        encoder._modules = dict(model.encoder._modules) | {"layer": nn.ModuleList(model.encoder.layer[-top:])}
        own._modules = dict(model._modules) | {"embeddings": _AsGiven(), "encoder": encoder}
        self.model, self.before = copy.deepcopy(own), before

    def forward(self, given: list[Given]) -> list[Tensor]:
        """Word pieces and special tokens (T', D) of each text -> (1, T, D), the last layer of its word pieces."""
        x, lengths = padded(given)
        attended = None if len(lengths.unique()) == 1 else mask(lengths, x.shape[1]).long()
        output = self.model(inputs_embeds=x, attention_mask=attended).last_hidden_state
        return [own[None, self.before : self.before + one.frames] for own, one in zip(output, given, strict=True)]


class _AsGiven(nn.Module):
    """In place of embeddings: what the blocks below gave."""

    def forward(self, *, inputs_embeds: Tensor, **_: object) -> Tensor:
        return inputs_embeds


class _Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)
