"""What a Mockingjay network is. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from upstreams.acoustic import Acoustic
from upstreams.errors import UpstreamError

CITE = ("liu2020mockingjay",)
Score = Literal["off", "as_published", "from_audio"]


@dataclass(frozen=True)
class ModelConfig:
    """A post-norm transformer over spectra, and the head that reconstructs them.

    Attributes:
        longest: frames of a sequence: longer utterances are cut into equal parts, as s3prl does. At 0 none is cut.
        target: width of what the head reconstructs; 0: there is no head.
        score: how frame scores enter training (recipe.Loss); only the heads for it depend on it.
    """

    acoustic: Acoustic = field(default_factory=Acoustic)
    layers: int = 3
    dim: int = 768
    heads: int = 12
    ffn: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    longest: int = 1500
    target: int = 240
    score: Score = "off"

    @property
    def depth(self) -> int:
        """Layers of features."""
        return self.layers + 1

    @property
    def width(self) -> int:
        """Values in a frame of them."""
        return self.dim

    def __post_init__(self) -> None:
        for name in ("layers", "dim", "heads", "ffn"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise UpstreamError(f"{name} {value!r}: expected a whole number of at least 1")
        if self.dim % self.heads:
            raise UpstreamError(f"dim {self.dim} is no multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UpstreamError(f"{name} {getattr(self, name)!r}: expected a number from 0 to below 1")


BASE = ModelConfig()
# Attention's dropout takes 40 % of a step. The small recipes train on 600 frames, so untrained weights get as many.
SMALL = ModelConfig(dim=256, heads=4, ffn=1024, attention_dropout=0.0, longest=600)
PRESETS = {"base": BASE, "small": SMALL}
