"""What decides the network. Imports no torch, so that listing and planning cost nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeGuard

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.pretraining.batches import MEL_HOP, MEL_WINDOW

WAVEFORM_CONVS = ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2)  # (channels, kernel, stride)
LOG_MEL_CONVS = ((256, 3, 1), (256, 3, 2))
LEAST = {"prenet_depth": 0, "depth": 0, "tokens": 0, "decoder_depth": 0, "classes": 0}  # of whole numbers; else 1


@dataclass(frozen=True)
class ModelConfig:
    """What decides the network's shape and its regularisation; the defaults are emotion2vec base (papers: 93.79 M)."""

    stem: str = "waveform"  # or "log_mel", for small models of our own
    normalize: bool = True  # waveform stem: zero mean and unit variance over each utterance
    conv_layers: tuple[tuple[int, int, int], ...] = WAVEFORM_CONVS  # channels, kernel, stride; log_mel: on 10 ms frames
    dim: int = 768
    heads: int = 12
    ffn_ratio: float = 4.0
    prenet_depth: int = 4  # blocks of the context encoder
    depth: int = 8  # blocks after it
    tokens: int = 10  # learned utterance embeddings; 0: none
    pos_depth: int = 5  # positional convolutions
    pos_kernel: int = 19
    pos_groups: int = 16
    decoder_depth: int = 4  # 0: no decoder
    decoder_dim: int = 384
    decoder_kernel: int = 7
    decoder_groups: int = 16
    classes: int = 0  # width of `proj`, which only fine-tuned models have
    dropout: float = 0.1  # of the attention's output
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    post_mlp_dropout: float = 0.1
    prenet_dropout: float = 0.1  # of the input of the first block
    decoder_dropout: float = (
        0.1  # of visible frames before masked slots are filled; the caller applies it, see decode()
    )
    layerdrop: float = 0.05

    def __post_init__(self) -> None:
        for setting in fields(self):
            if fault := _fault(setting.name, setting.default, getattr(self, setting.name)):
                raise UpstreamError(f"emotion2vec's configuration has {fault}")
        object.__setattr__(self, "conv_layers", tuple(tuple(layer) for layer in self.conv_layers))  # YAML, JSON: lists
        for fault, broken in {
            f"stem {self.stem!r}; expected waveform or log_mel": self.stem not in ("waveform", "log_mel"),
            f"dim {self.dim} is no multiple of heads {self.heads}": self.dim % self.heads,
            f"ffn_ratio {self.ffn_ratio:g}, which leaves no channel of dim {self.dim}": self.dim * self.ffn_ratio < 1,
            f"dim {self.dim} is no multiple of pos_groups {self.pos_groups}": self.dim % self.pos_groups,
            "prenet_depth + depth is 0; expected a block": self.blocks < 1,
            f"decoder_dim {self.decoder_dim} or dim {self.dim} is no multiple of decoder_groups {self.decoder_groups}":
                self.decoder_depth and (self.decoder_dim % self.decoder_groups or self.dim % self.decoder_groups),
            "an even pos_kernel or decoder_kernel; expected odd ones": not (self.pos_kernel & self.decoder_kernel & 1),
        }.items():  # fmt: skip
            if broken:
                raise UpstreamError(f"emotion2vec's configuration has {fault}")

    @property
    def blocks(self) -> int:
        return self.prenet_depth + self.depth

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return math.prod(stride for _, _, stride in self.conv_layers) * (MEL_HOP if self.stem == "log_mel" else 1)

    @property
    def min_samples(self) -> int:
        """Samples that one frame is made of."""
        field = 1
        for _, kernel, stride in reversed(self.conv_layers):
            field = (field - 1) * stride + kernel
        return MEL_WINDOW + (field - 1) * MEL_HOP if self.stem == "log_mel" else field

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Frames that the local encoder makes of so many samples."""
        frames = samples.astype(int)
        if self.stem == "log_mel":
            frames = (frames - MEL_WINDOW) // MEL_HOP + 1
        for _, kernel, stride in self.conv_layers:
            frames = (frames - kernel) // stride + 1
        return frames


def _fault(name: str, default: object, value: object) -> str | None:
    """What is wrong with a setting by itself, judged by the type of its default; None: nothing."""
    least = LEAST.get(name, 1)
    if isinstance(default, bool):
        expected, right = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        expected, right = f"a whole number of at least {least}", _whole(value) and value >= least
    elif isinstance(default, float):
        most = math.inf if name == "ffn_ratio" else 1
        expected = "a number above 0" if name == "ffn_ratio" else "a number of at least 0 and below 1"
        right = (_whole(value) or isinstance(value, float)) and 0 <= value < most
    elif isinstance(default, tuple):
        expected = "[channels, kernel, stride], each a whole number of at least 1, for each layer"
        right = isinstance(value, list | tuple) and len(value) > 0 and all(map(_layer, value))
    else:
        expected, right = "a word", isinstance(value, str)
    return None if right else f"{name} {value!r}; expected {expected}"


def _layer(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(_whole(n) and n >= 1 for n in value)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


BASE = ModelConfig()
LARGE = ModelConfig(dim=1024, heads=16, decoder_dim=768, layerdrop=0.0)  # emotion2vec_plus_large
SMALL = ModelConfig(  # ours, for what two CPU cores can pre-train; ten hours taken a few times need no dropout
    stem="log_mel",
    conv_layers=LOG_MEL_CONVS,
    dim=384,
    heads=6,
    prenet_depth=1,
    depth=3,
    pos_depth=2,
    decoder_depth=2,
    decoder_dim=192,
    dropout=0.0,
    attention_dropout=0.0,
    post_mlp_dropout=0.0,
    prenet_dropout=0.0,
    layerdrop=0.0,
)
