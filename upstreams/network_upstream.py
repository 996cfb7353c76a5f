"""What upstreams of our own networks share: a network that is made at the first call, moved, copied for training."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from commons import hashing
from upstreams.errors import UpstreamError
from upstreams.pretraining import checkpoints
from upstreams.pretraining.checkpoints import Facts, Stored

if TYPE_CHECKING:
    import torch

    from upstreams.halves import Halves

    Split = Callable[[torch.nn.Module, int], Halves[torch.Tensor]]


MODEL = "model.safetensors"  # of a folder with fine-tuned weights


class NetworkUpstream:
    """The call and its network. A subclass has the facts of the contract, `make` and `run`.

    Attributes:
        method: its name before an @, and in the header of its files.
        front: names, in the network, of the modules of its convolutional front end, which fine-tuning freezes.
    """

    method: ClassVar[str]
    front: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._device = "cpu"
        self._network: torch.nn.Module | None = None

    def make(self) -> torch.nn.Module:
        """The module on the CPU."""
        raise NotImplementedError

    @staticmethod
    def run(network: torch.nn.Module, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        """1-D waveforms of any lengths -> (L, T, D) each."""
        raise NotImplementedError

    def split(self) -> Split | None:
        """The function that returns both halves of a network, for so many top blocks; None: there is none."""
        return None

    def network(self) -> torch.nn.Module:
        """The module, frozen, where it was moved; made at the first call."""
        if self._network is None:
            import torch

            with torch.inference_mode(False):
                self._network = self.make().eval().requires_grad_(False).to(self._device)
        return self._network

    def to(self, device: str) -> None:
        self._device = device
        if self._network is not None:
            self._network.to(device)

    def __call__(self, waveforms: list[torch.Tensor]) -> list[torch.Tensor]:
        return self.run(self.network(), waveforms)

    def trainable(self) -> torch.nn.Module:
        """A new module on the CPU, in fp32; it is called with waveforms."""
        from upstreams.trainable import Trainable

        return Trainable(copy.deepcopy(self.network()).cpu().float(), self.run, self.front, self.split())

    def origin(self) -> Facts | None:
        """Where its weights come from, for what is made of them; None: they are random, or their file does not say."""
        return None

    def write_tuned(self, network: torch.nn.Module, folder: Path, facts: Facts) -> str:
        """Write the network of `trainable()` into a folder that METHOD@FOLDER reads. Raises UpstreamError."""
        if before := self.origin():
            facts = {**facts, "began_with": before}
        stored = Stored(self.method, asdict(network.config), network.state_dict(), facts)  # type: ignore[call-overload]
        checkpoints.write(folder / MODEL, stored)
        return f"{self.method}@"


def check_file(path: Path, sha256: str = "") -> str:
    """The sha256 (hex) of a file or folder. Raises UpstreamError where another one is expected, or it is gone."""
    try:
        own = hashing.of_path(path)
    except OSError as error:
        raise UpstreamError(f"{path} cannot be read ({error.strerror}); expected a checkpoint") from error
    if sha256 and own != sha256:
        raise UpstreamError(
            f"{path} is damaged: its sha256 is {own[:16]}..., and that of the weights we ship {sha256[:16]}...; "
            "install emorep again, or `git checkout` the file"
        )
    return own
