"""Fine-tuning of the top blocks alone, on frames that the blocks below gave once for every utterance."""

from __future__ import annotations

import copy
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from upstreams import adapters, tuned
from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs import Input

if TYPE_CHECKING:
    import torch

    from upstreams.halves import Given, Halves


class _Window(NamedTuple):
    """Where the file holds what the top blocks get of a window of an utterance."""

    start: int
    size: int
    frames: int


class TopBlocks:
    """The top N blocks of an upstream and N utterances: another class behind commons.corridors.features.Live.

    What the blocks below give of an utterance is computed once, when it is first needed, in fp32; of one that training
    cuts, once whole and once cut. It lies in a file without a name, which goes with this object or its process.
    """

    depth = 1
    widths: tuple[int, ...] = ()

    def __init__(
        self, upstream: Frozen, inputs: Sequence[Input], network: torch.nn.Module, top: int, folder: Path | None
    ) -> None:
        """`folder`: where the file lies; None: where the system has its temporary files.

        Raises:
            UpstreamError: the upstream does not offer this, or has fewer blocks.
        """
        self._halves, self._whole = halves(upstream, network, top), network
        self.modality, self.width = upstream.modality, upstream.width
        self.untrained = upstream.seen == {}
        self.lengths = np.array([one.length for one in inputs])
        self._upstream, self._inputs = upstream, inputs
        network.to(upstream.device)
        self._windows: dict[tuple[int, float | None], list[_Window]] = {}  # by row, and after how many s it is cut
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._file: IO[bytes] | None = None
        self._end = 0  # of the file
        self._one_at_a_time = threading.Lock()  # the blocks below are one network, from which hooks take what it gives

    def __len__(self) -> int:
        return len(self._inputs)

    def costs(self, longest: float | None = None) -> np.ndarray:
        """(N,) what computing each utterance takes; see Frozen.costs."""
        return self._upstream.costs(self.lengths, longest)

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

    def adapt(self, network: torch.nn.Module, rank: int, draws: torch.Generator) -> None:
        """Put low-rank adapters on the feed-forward matrices of the top blocks. Errors as of Live."""
        adapters.add(network, adapters.feed_forward(network, self._upstream.name), rank, draws)

    def merged(self, network: torch.nn.Module) -> torch.nn.Module:
        """A copy of the top blocks in which such adapters are added to their matrices."""
        return adapters.merged(network)

    def checkpoint(self, network: torch.nn.Module) -> None:
        """From now on keep the inputs of the blocks alone, and compute them again for gradients. Errors as of Live."""
        adapters.checkpoint(network, self._upstream.name)

    def write(self, network: torch.nn.Module, folder: Path, seen: Mapping[str, str]) -> str:
        """Write the whole network with these top blocks as an upstream into a new folder; see tuned.write."""
        join = self._halves.join
        inner = getattr(self._whole, "network", None)
        if join is None or inner is None:
            return ""
        whole = copy.deepcopy(self._whole).cpu()
        join(whole.get_submodule("network"), network.cpu())
        return tuned.write(self._upstream, whole, folder, seen)

    def frames(self, network: torch.nn.Module, rows: Sequence[int], longest: float | None = None) -> list[torch.Tensor]:
        """Features (1, T_i, D) of the last layer; of audio longer than `longest` s, the first so many seconds count.

        Raises:
            UpstreamError: a file cannot be decoded, or there is no room for what the blocks below give.
        """
        import torch

        device = next(network.parameters()).device
        own = [self._given(row, longest, device) for row in rows]
        outputs = network([one for windows in own for one in windows])
        ends = np.cumsum([len(windows) for windows in own])
        return [torch.cat(outputs[end - len(windows) : end], dim=1) for end, windows in zip(ends, own, strict=True)]

    def _given(self, row: int, longest: float | None, device: torch.device) -> list[Given]:
        """What the top blocks get of every window of an utterance, or of its first seconds."""
        import torch

        from upstreams.halves import Given

        cut = longest if longest is not None and self.modality == "audio" and self.lengths[row] > longest else None
        with self._one_at_a_time:
            if (row, cut) not in self._windows:
                self._windows[row, cut] = self._compute(row, cut)
        own = self._windows[row, cut]
        assert self._file is not None
        parts = [os.pread(self._file.fileno(), window.size, window.start) for window in own]
        return [
            Given(
                torch.frombuffer(bytearray(part), dtype=torch.float32).view(-1, self._values).to(device), window.frames
            )
            for part, window in zip(parts, own, strict=True)
        ]

    def _compute(self, row: int, cut: float | None) -> list[_Window]:
        """Write what the top blocks get of every window of an utterance, or of its first `cut` s."""
        import torch

        own = []
        for one in self._upstream.loaded(self._inputs[row], cut):
            # Not in the bf16 of a training that asks first: folds of both precisions take what is kept.
            with torch.no_grad(), torch.autocast(torch.device(self._upstream.device).type, enabled=False):
                [given] = self._halves.lower([one.to(self._upstream.device) if isinstance(one, torch.Tensor) else one])
            self._values = given.x.shape[1]
            content = given.x.float().cpu().numpy().tobytes()
            try:
                own.append(_Window(self._append(content), len(content), given.frames))
            except OSError as error:
                done = sum(self.lengths[each] for each, _ in self._windows) + self.lengths[row]
                needed = (self._end + len(content)) * self.lengths.sum() / done
                raise UpstreamError(
                    f"{self._folder}: what the lower blocks of {self._upstream.name} give cannot be written there "
                    f"({error.strerror or error}); it takes about {needed / 2**20:,.0f} MB: make room, or name another "
                    "folder with --cache"
                ) from error
        return own

    def _append(self, content: bytes) -> int:
        """Write at the end of the file; returns where it begins. Raises OSError."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open as long as this object is
        start, left = self._end, memoryview(content)
        while left:
            written = os.pwrite(self._file.fileno(), left, self._end)
            self._end, left = self._end + written, left[written:]
        return start


def halves(upstream: Frozen, network: torch.nn.Module, top: int) -> Halves[Sized]:
    """Both halves of a trainable network. Raises UpstreamError: it does not offer them, or has fewer blocks."""
    split = getattr(network, "halves", None)
    if not callable(split):
        raise UpstreamError(
            f"{upstream.name}: its top blocks alone cannot be fine-tuned; those of emotion2vec, wav2vec 2.0, models "
            "built like it, Whisper and BERT can: leave `top` out"
        )
    blocks = upstream.depth - 1
    if not 1 <= top <= blocks:
        raise UpstreamError(f"{upstream.name} has {blocks} blocks, and the top {top} are asked for; lower `top`")
    return split(top)
