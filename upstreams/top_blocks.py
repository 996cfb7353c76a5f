"""Fine-tuning of the top blocks alone, on frames that the blocks below gave once for every utterance."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs.audio import Segment, load

if TYPE_CHECKING:
    import torch

    from upstreams.halves import Given, Halves


class TopBlocks:
    """The top N blocks of an upstream and N utterances: another class behind commons.corridors.features.Live.

    Frames of the blocks below are computed when it is made, in fp32, and lie in a temporary file, which goes with it.
    """

    depth, untrained = 1, False

    def __init__(self, upstream: Frozen, segments: Sequence[Segment], network: torch.nn.Module, top: int) -> None:
        """Raises UpstreamError: the upstream does not offer this, or has fewer blocks; a file cannot be decoded."""
        self.hop, self.width = upstream.audio.hop, upstream.width
        self.untrained = upstream.seen == {}
        self.seconds = np.array([segment.seconds for segment in segments])
        self._rate, self._upstream = upstream.audio.sample_rate, upstream
        self._halves = halves(upstream, network, top)
        network.to(upstream.device)
        self._write(segments)

    def __len__(self) -> int:
        return len(self.seconds)

    def network(self) -> torch.nn.Module:
        """A new copy of the top blocks: on the CPU, in fp32 and eval mode; every parameter takes gradients."""
        return copy.deepcopy(self._halves.upper).cpu().float().eval().requires_grad_(True)

    def front(self, network: torch.nn.Module) -> list[torch.nn.Parameter]:
        """The parameters that stay frozen although the top blocks use them."""
        modules = dict(network.named_modules())
        return [own for name in getattr(network, "front", ()) for own in modules[name].parameters()]

    def top(self, blocks: int) -> TopBlocks:
        """Raises UpstreamError: these are top blocks already."""
        raise UpstreamError(f"{self._upstream.name}: these are its top blocks already")

    def frames(self, network: torch.nn.Module, rows: Sequence[int], longest: float | None = None) -> list[torch.Tensor]:
        """Features (1, T_i, D) of the last layer; of an utterance of several windows, those within `longest` s."""
        import torch

        device = next(network.parameters()).device
        own = [self._given(row, longest, device) for row in rows]
        outputs = network([one for windows in own for one in windows])
        ends = np.cumsum([len(windows) for windows in own])
        return [torch.cat(outputs[end - len(windows) : end], dim=1) for end, windows in zip(ends, own, strict=True)]

    def _write(self, segments: Sequence[Segment]) -> None:
        """Compute what the top blocks get of every window of every utterance."""
        import torch

        self._windows: list[list[tuple[int, int, int, float]]] = []  # first row, last row, frames, seconds
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this object is
        place = 0
        for segment in segments:
            own = []
            for samples in load(segment, self._upstream.audio):
                waveform = torch.from_numpy(samples).to(self._upstream.device)
                with torch.inference_mode():
                    [given] = self._halves.lower([waveform])
                self._file.write(given.x.float().cpu().numpy().tobytes())
                own.append((place, place + len(given.x), given.frames, len(samples) / self._rate))
                place += len(given.x)
            self._windows.append(own)
        self._file.flush()
        self._rows = np.memmap(self._file, np.float32, "r", shape=(place, given.x.shape[1]))

    def _given(self, row: int, longest: float | None, device: torch.device) -> list[Given]:
        """What the top blocks get of an utterance: of each window, or of the first ones."""
        import torch

        from upstreams.halves import Given

        windows = self._windows[row]
        if longest is not None:
            ends = np.cumsum([seconds for _, _, _, seconds in windows])
            windows = windows[: max(1, int((ends <= longest + 1e-6).sum()))]
        parts = [np.array(self._rows[start:stop]) for start, stop, _, _ in windows]
        return [
            Given(torch.from_numpy(x).to(device), frames) for x, (_, _, frames, _) in zip(parts, windows, strict=True)
        ]


def halves(upstream: Frozen, network: torch.nn.Module, top: int) -> Halves:
    """Both halves of a trainable network. Raises UpstreamError: it does not offer them, or has fewer blocks."""
    split = getattr(network, "halves", None)
    if not callable(split):
        raise UpstreamError(
            f"{upstream.name}: its top blocks alone cannot be fine-tuned; those of emotion2vec, wav2vec 2.0, models "
            "built like it, and Whisper can: leave `top` out"
        )
    blocks = upstream.depth - 1
    if not 1 <= top <= blocks:
        raise UpstreamError(f"{upstream.name} has {blocks} blocks, and the top {top} are asked for; lower `top`")
    return split(top)
