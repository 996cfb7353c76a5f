"""Early fusion that is trained: the networks of several upstreams, and their frames side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from upstreams.errors import UpstreamError
from upstreams.side_by_side import owners, paired

if TYPE_CHECKING:
    from commons.corridors.features import Live
    from commons.corridors.utterances import Modality


class FusedNetwork(nn.Module):
    """The networks of the parts, which do not know each other."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)


class FusedLive:
    """Several networks that can be trained, and N utterances: another class behind commons.corridors.features.Live.

    Layers are paired and frames aligned as those of frozen fusions are, see upstreams.fusion. All parts are trained
    together, by the loss of the head on their frames.
    """

    modality: Modality = "audio"

    def __init__(self, parts: Sequence[Live], steps: Sequence[float]) -> None:
        """`steps`: seconds between frames of each part; infinite: one frame for each utterance."""
        self._parts, self._steps = tuple(parts), tuple(steps)
        self.widths = tuple(part.width for part in parts)
        self.depth, self.width = max(part.depth for part in parts), sum(self.widths)
        self.untrained = all(part.untrained for part in parts)
        self.lengths = parts[0].lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def costs(self, longest: float | None = None) -> np.ndarray:
        """(N,) what computing each utterance takes: the sum over the parts."""
        return np.sum([part.costs(longest) for part in self._parts], axis=0)

    def network(self) -> FusedNetwork:
        """New copies of the networks of all parts. Errors as of Live."""
        return FusedNetwork([part.network() for part in self._parts])

    def front(self, network: nn.Module) -> list[nn.Parameter]:
        """The parameters of the front ends of all parts. Errors as of Live."""
        return [own for part, inner in self._each(network) for own in part.front(inner)]

    def top(self, blocks: int) -> FusedLive:
        """The top blocks of every part alone. Errors as of Live."""
        return FusedLive([part.top(blocks) for part in self._parts], self._steps)

    def adapt(self, network: nn.Module, rank: int, draws: torch.Generator) -> None:
        """Put low-rank adapters on the feed-forward matrices of every part. Errors as of Live."""
        for part, inner in self._each(network):
            part.adapt(inner, rank, draws)

    def merged(self, network: nn.Module) -> FusedNetwork:
        """A copy of the networks in which such adapters are added to their matrices."""
        return FusedNetwork([part.merged(inner) for part, inner in self._each(network)])

    def checkpoint(self, network: nn.Module) -> None:
        """From now on keep the inputs of blocks alone, and compute them again for gradients, in each part that can.

        Raises:
            UpstreamError: no part can.
        """
        faults = []
        for part, inner in self._each(network):
            try:
                part.checkpoint(inner)
            except UpstreamError as error:
                faults.append(error)
        if len(faults) == len(self._parts):
            raise faults[0]

    def write(self, network: nn.Module, folder: Path, seen: Mapping[str, str]) -> str:
        """Nothing: no upstream reads several networks from one folder."""
        return ""

    def frames(self, network: nn.Module, rows: Sequence[int], longest: float | None = None) -> list[Tensor]:
        """Features (L, T_i, sum of D) float32 of some utterances, as of Live. Errors as of Live."""
        own = [part.frames(inner, rows, longest) for part, inner in self._each(network)]
        return [self._side_by_side(several) for several in zip(*own, strict=True)]

    def _each(self, network: nn.Module) -> list[tuple[Live, nn.Module]]:
        return list(zip(self._parts, cast(FusedNetwork, network).parts, strict=True))

    def _side_by_side(self, several: Sequence[Tensor]) -> Tensor:
        """The frames (L', T', D') of all parts of one utterance, aligned to those with the longest step."""
        longest = max(self._steps)
        count = min(frames.shape[1] for frames, step in zip(several, self._steps, strict=True) if step == longest)
        pieces = []
        for frames, step in zip(several, self._steps, strict=True):
            layers = [paired(layer, self.depth, len(frames)) for layer in range(self.depth)]
            pieces.append(aligned(frames[layers], step, longest, count))
        return torch.cat(pieces, dim=-1)


def aligned(fine: Tensor, step: float, longest: float, count: int) -> Tensor:
    """What side_by_side.aligned gives, of frames (L, T, D) that carry gradients: (L, count, D) float32."""
    fine = fine.float()
    if step == longest:
        return fine[:, :count]
    owner = torch.as_tensor(owners(fine.shape[1], step, longest), device=fine.device)
    within = owner < count
    sizes = torch.bincount(owner[within], minlength=count)
    sums = fine.new_zeros(len(fine), count, fine.shape[2]).index_add(1, owner[within], fine[:, within])
    return torch.where((sizes > 0)[:, None], sums / sizes.clamp(min=1)[:, None], fine[:, -1:])
