"""What fine-tuning trains: the network of an upstream, with the waveforms or texts of a table of utterances."""

from __future__ import annotations

import copy
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

import numpy as np

from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.inputs import Input
from upstreams.inputs.audio import AudioFormat, load
from upstreams.inputs.text import Text

if TYPE_CHECKING:
    import torch


class Live:
    """An upstream that can be trained, and N utterances: the class behind commons.corridors.features.Live.

    Raises:
        UpstreamError: the upstream has no network that can be trained.
    """

    def __init__(self, upstream: Frozen, inputs: Sequence[Input]) -> None:
        self._upstream, self._inputs = upstream, tuple(inputs)
        self.hop = upstream.takes.hop if isinstance(upstream.takes, AudioFormat) else None
        self.depth, self.width = upstream.depth, upstream.width
        if not _can_train(upstream.model):
            raise UpstreamError(
                f"{upstream.name} cannot be fine-tuned: it is not a torch module with parameters, and has no "
                "`trainable()` that returns one; use a head that reads frozen features, such as -d probe"
            )

    def __len__(self) -> int:
        return len(self._inputs)

    def network(self) -> torch.nn.Module:
        """A new copy of the network: on the CPU, in fp32 and eval mode; every parameter takes gradients."""
        import torch

        with self._upstream.asked("trainable()"), torch.inference_mode(False):
            make = getattr(self._upstream.model, "trainable", None)
            made = make() if callable(make) else _copied(self._upstream.model)
        if not isinstance(made, torch.nn.Module) or not any(True for _ in made.parameters()):
            raise UpstreamError(
                f"{self._upstream.name}: trainable() returned {type(made).__name__}; "
                "expected a torch module with parameters"
            )
        return made.eval().requires_grad_(True)

    def frames(self, network: torch.nn.Module, rows: Sequence[int]) -> list[torch.Tensor]:
        """Features (L, T_i, D) of some utterances, in the order of `rows`, on the network's device.

        They carry gradients unless torch is told to record none. Inputs are padded and cut as in extraction.

        Raises:
            UpstreamError: a file cannot be decoded, or the network's features take no gradient.
        """
        import torch

        device = next(network.parameters()).device
        pieces = [self._loaded(self._inputs[row], device) for row in rows]
        outputs = self._run(network, [one for windows in pieces for one in windows])
        if torch.is_grad_enabled() and not all(output.requires_grad for output in outputs):
            raise UpstreamError(
                f"{self._upstream.name} cannot be fine-tuned: its features carry no gradient; look for torch.no_grad, "
                "inference_mode or detach in its call"
            )
        ends = np.cumsum([len(windows) for windows in pieces])
        return [torch.cat(outputs[end - len(windows) : end], dim=1) for end, windows in zip(ends, pieces, strict=True)]

    def _loaded(self, one: Input, device: torch.device) -> list[Sized]:
        """The windows of an utterance as the network takes them."""
        import torch

        if isinstance(one, Text):
            return self._upstream.windows([one])[0]
        return [torch.from_numpy(samples).to(device) for samples in load(one, self._upstream.audio)]

    def _run(self, network: torch.nn.Module, inputs: list[Sized]) -> list[torch.Tensor]:
        """All inputs in one call if the upstream takes any lengths or all are alike, else one by one."""
        if self._upstream.ragged or self._upstream.takes.alike(inputs):
            return self._upstream.run(network, inputs)
        return [self._upstream.run(network, [one])[0] for one in inputs]


def _can_train(model: object) -> bool:
    import torch

    if callable(getattr(model, "trainable", None)):
        return True
    return isinstance(model, torch.nn.Module) and any(True for _ in model.parameters())


def _copied(model: object) -> object:
    import torch

    assert isinstance(model, torch.nn.Module)
    return copy.deepcopy(model).cpu().float()
