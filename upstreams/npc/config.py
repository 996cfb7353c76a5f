"""What an NPC network is. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from upstreams.acoustic import Acoustic
from upstreams.errors import UpstreamError

CITE = ("liu2021npc",)
Score = Literal["off", "as_published"]


@dataclass(frozen=True)
class ModelConfig:
    """Blocks of convolutions, after each a masked convolution; the sum of these is quantised and gives the frame.

    Attributes:
        blocks: of convolutions over 3 frames.
        dim: channels of all of them.
        kernel: frames of a masked convolution.
        mask: frames around the predicted one that the network does not get.
        groups: parts of the sum that are quantised, each by `codes` codes; with 0 codes nothing is quantised.
        target: width of what is predicted; 0: there is no head.
        score: whether frame scores enter training; only the head for it depends on it.
    """

    acoustic: Acoustic = field(default_factory=lambda: Acoustic(window="hamming", differences=0))
    blocks: int = 4
    dim: int = 512
    kernel: int = 15
    mask: int = 5
    dropout: float = 0.1
    groups: int = 4
    codes: int = 64
    temperature: float = 1.0
    target: int = 80
    score: Score = "off"

    @property
    def depth(self) -> int:
        """Layers of features: blocks, masked convolutions, and the sum of these."""
        return 2 * self.blocks + 1

    @property
    def width(self) -> int:
        """Values in a frame of them."""
        return self.dim

    def taps(self, block: int) -> int:
        """Frames on either side that the masked convolution after a block takes.

        Every block, the first one too, widens what a frame holds by one on either side, and the mask with it.
        """
        return (self.kernel - self.mask) // 2 - block - 1

    def __post_init__(self) -> None:
        for name in ("blocks", "dim", "kernel", "mask", "groups", "codes"):
            value, least = getattr(self, name), int(name != "codes")
            if type(value) is not int or value < least:
                raise UpstreamError(f"{name} {value!r}: expected a whole number of at least {least}")
        if self.kernel % 2 == 0 or self.mask % 2 == 0:
            raise UpstreamError(f"kernel {self.kernel} and mask {self.mask}: expected odd numbers of frames")
        if self.taps(self.blocks - 1) < 1:
            raise UpstreamError(
                f"kernel {self.kernel} leaves nothing outside mask {self.mask} after {self.blocks} blocks; expected a "
                f"kernel of at least {self.mask + 2 * self.blocks + 2}"
            )
        if self.dim % self.groups:
            raise UpstreamError(f"dim {self.dim} is no multiple of groups {self.groups}")
        if not (0 <= self.dropout < 1 and 0 < self.temperature < math.inf):
            raise UpstreamError("expected dropout from 0 to below 1, and a temperature above 0")


BASE = ModelConfig()
SMALL = ModelConfig(dim=192)
PRESETS = {"base": BASE, "small": SMALL}
