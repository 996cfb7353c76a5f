"""What fine-tuning trains: the network of an upstream, with the waveforms or texts of a table of utterances."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence, Sized
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from upstreams import adapters, tuned
from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs import Input
from upstreams.inputs.audio import windows
from upstreams.inputs.text import Text
from upstreams.inputs.waveforms import Waveforms

if TYPE_CHECKING:
    import torch

    from upstreams.top_blocks import TopBlocks


class Live:
    """An upstream that can be trained, and N utterances: the class behind commons.corridors.features.Live.

    `scratch` is the folder of files that are there while it is; None: the system's.

    Raises:
        UpstreamError: the upstream has no network that can be trained.
    """

    widths: tuple[int, ...] = ()

    def __init__(self, upstream: Frozen, inputs: Sequence[Input], scratch: Path | None = None) -> None:
        self._upstream, self._inputs, self._scratch = upstream, tuple(inputs), scratch
        self.modality = upstream.modality
        self.depth, self.width = upstream.depth, upstream.width
        self.untrained = upstream.seen == {}
        self.lengths = np.array([one.length for one in inputs])
        self.waveforms = Waveforms()  # networks side by side have one together
        self._pieces: dict[int, list[Sized]] = {}  # windows of texts, by row
        self._one_at_a_time = threading.Lock()  # for code that may change settings of the process
        self._asked_twice = upstream.source is None  # whether networks are known to share nothing; ours share nothing
        if not _can_train(upstream.model):
            raise UpstreamError(
                f"{upstream.name} cannot be fine-tuned: it is not a torch module with parameters, and has no "
                "`trainable()` that returns one; use a head that reads frozen features, such as -d probe"
            )

    def __len__(self) -> int:
        return len(self._inputs)

    def costs(self, longest: float | None = None) -> np.ndarray:
        """(N,) what computing each utterance takes; see Frozen.costs."""
        return self._upstream.costs(self.lengths, longest)

    def network(self) -> torch.nn.Module:
        """A new copy of the network: on the CPU, in fp32 and eval mode.

        Its parameters take gradients, but for those that a `trainable()` froze beside others.

        Raises:
            UpstreamError: `trainable()` fails, or gives no such module, or one that trains the weights of another.
        """
        import torch

        with self._one_at_a_time, self._upstream.asked("trainable()"), torch.inference_mode(False):
            make = getattr(self._upstream.model, "trainable", None)
            made = make() if callable(make) else _copied(self._upstream.model)
            other = make() if callable(make) and not self._asked_twice else None
        if not isinstance(made, torch.nn.Module) or not any(True for _ in made.parameters()):
            raise UpstreamError(
                f"{self._upstream.name}: trainable() returned {type(made).__name__}; "
                "expected a torch module with parameters"
            )
        partly = callable(make) and any(own.requires_grad for own in made.parameters())
        made = made.eval() if partly else made.eval().requires_grad_(True)
        if isinstance(other, torch.nn.Module) and not _places(made).isdisjoint(_places(other)):
            raise UpstreamError(
                f"{self._upstream.name}: trainable() returns the same weights each time, so that every fold would go "
                "on with what others trained; return a copy, as of copy.deepcopy"
            )
        self._asked_twice = True
        return made

    def front(self, network: torch.nn.Module) -> list[torch.nn.Parameter]:
        """The parameters of the network's `front`: a module's name in it, or the names of several; none without it, or
        where it is a module itself.

        Raises:
            UpstreamError: the network has no module of such a name.
        """
        import torch

        own = getattr(network, "front", ())
        names = (own,) if isinstance(own, str) else () if isinstance(own, torch.nn.Module) else tuple(own)
        modules = dict(network.named_modules())
        if unknown := [name for name in names if name not in modules]:
            raise UpstreamError(
                f"{self._upstream.name}: `front` names {unknown[0]!r}, and the network has no module of that name"
            )
        return [parameter for name in names for parameter in modules[name].parameters()]

    def adapt(self, network: torch.nn.Module, rank: int, draws: torch.Generator) -> None:
        """Put low-rank adapters on the network's feed-forward matrices; they alone take gradients then.

        Raises:
            UpstreamError: peft is not installed, or it is not known which matrices these are.
        """
        adapters.add(network, adapters.feed_forward(network, self._upstream.name), rank, draws)

    def merged(self, network: torch.nn.Module) -> torch.nn.Module:
        """A copy of the network in which such adapters are added to their matrices."""
        return adapters.merged(network)

    def checkpoint(self, network: torch.nn.Module) -> None:
        """From now on keep the inputs of the network's blocks alone, and compute the blocks again for gradients.

        Raises:
            UpstreamError: it is not known which modules are its blocks.
        """
        adapters.checkpoint(network, self._upstream.name)

    def write(self, network: torch.nn.Module, folder: Path, seen: Mapping[str, str]) -> str:
        """Write the network, without adapters, as an upstream into a new folder; see tuned.write."""
        return tuned.write(self._upstream, network, folder, seen)

    def top(self, blocks: int) -> TopBlocks:
        """The top blocks alone, on what those below give of every utterance, which is computed once.

        Raises:
            UpstreamError: the upstream does not offer this, or has fewer blocks.
        """
        from upstreams.top_blocks import TopBlocks

        return TopBlocks(self._upstream, self._inputs, self.network(), blocks, self._scratch)

    def frames(self, network: torch.nn.Module, rows: Sequence[int], longest: float | None = None) -> list[torch.Tensor]:
        """Features (L, T_i, D) of some utterances, in the order of `rows`, on the network's device.

        They carry gradients unless torch is told to record none. Inputs are padded and cut as in extraction; of audio
        longer than `longest` s, the first so many seconds count. A text is always whole.

        Raises:
            UpstreamError: a file cannot be decoded, or the network's features take no gradient.
        """
        import torch

        device = next(network.parameters()).device
        pieces = [self._windows(row, longest, device) for row in rows]
        outputs = self._run(network, [one for windows in pieces for one in windows])
        if torch.is_grad_enabled() and not all(output.requires_grad for output in outputs):
            raise UpstreamError(
                f"{self._upstream.name} cannot be fine-tuned: its features carry no gradient; look for torch.no_grad, "
                "inference_mode or detach in its call"
            )
        ends = np.cumsum([len(windows) for windows in pieces])
        return [torch.cat(outputs[end - len(windows) : end], dim=1) for end, windows in zip(ends, pieces, strict=True)]

    def _windows(self, row: int, longest: float | None, device: torch.device) -> list[Sized]:
        """The windows of an utterance as the network takes them."""
        import torch

        one = self._inputs[row]
        if isinstance(one, Text):
            return self._words(row, one)
        audio = self._upstream.audio
        whole = self.waveforms.of(one, audio.sample_rate)
        most = None if longest is None else max(1, round(longest * audio.sample_rate))
        # Copied, so that a waveform begins where products of matrices want it: else rounding depends on the place.
        return [torch.tensor(samples, device=device) for samples in windows(whole[:most], audio)]

    def _words(self, row: int, text: Text) -> list[Sized]:
        """The windows of a text, which are kept for the next time."""
        with self._one_at_a_time:
            if row not in self._pieces:
                [self._pieces[row]] = self._upstream.windows([text])
        return self._pieces[row]

    def _run(self, network: torch.nn.Module, inputs: list[Sized]) -> list[torch.Tensor]:
        """All inputs in one call if the upstream takes any lengths or all are alike, else one by one."""
        whole = self._upstream.ragged or self._upstream.takes.alike(inputs)
        calls = [inputs] if whole else [[one] for one in inputs]
        isolated = self._upstream.isolated
        with self._one_at_a_time if isolated else nullcontext():
            return [output for call in calls for output in self._upstream.run(network, call, isolated)]


def _can_train(model: object) -> bool:
    import torch

    if callable(getattr(model, "trainable", None)):
        return True
    return isinstance(model, torch.nn.Module) and any(True for _ in model.parameters())


def _places(network: torch.nn.Module) -> set[int]:
    """Where the values that take gradients lie in memory."""
    return {own.untyped_storage().data_ptr() for own in network.parameters() if own.requires_grad and own.numel()}


def _copied(model: object) -> object:
    import torch

    assert isinstance(model, torch.nn.Module)
    return copy.deepcopy(model).cpu().float()
