"""MSCNN: convolutions of several widths over frames, statistics of what they give, and attention that these ask for.

An interpretation of Peng et al. (ICASSP 2021), of which only the abstract is known here: multi-scale convolutions, a
unit that pools statistics, and attention on top of it, on audio and on text. Here frames of either are all that there
is. Widths, sizes, statistics and the form of the attention are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from downstreams.aggregators import Frames
from downstreams.ecapa import Convolution
from downstreams.settings import Sizes


class MultiScale(nn.Module):
    """(B, T, D) frames, (B, T) valid -> (B, 4 K channels), of K widths of convolutions.

    Of every scale: mean, deviation and maximum over time, and the mean under weights of frames that depend on the frame
    and on these three.
    """

    def __init__(self, inputs: int, sizes: Sizes) -> None:
        super().__init__()
        channels = sizes.channels * len(sizes.kernels)
        self.width = 4 * channels
        self.scales = nn.ModuleList(Convolution(inputs, sizes.channels, kernel) for kernel in sizes.kernels)
        self.hidden = nn.Linear(channels, sizes.attention)
        self.ask = nn.Linear(3 * channels, sizes.attention)
        self.score = nn.Linear(sizes.attention, 1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, 4 K channels)."""
        frames = Frames(valid)
        rows = frames.rows(x)
        scales = torch.cat([scale(rows, frames) for scale in self.scales], dim=1)
        whole = torch.cat([frames.statistics(scales), frames.highest(scales)], dim=1)
        weights = frames.shares(self.score((self.hidden(scales) + frames.each(self.ask(whole))).tanh()))
        return torch.cat([whole, frames.sums(weights * scales)], dim=1)
