"""The weights that a run of a method over spectra begins with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from upstreams.acoustic import config_of_file
from upstreams.acoustic_upstream import Config, Reader
from upstreams.errors import UpstreamError
from upstreams.pretraining.checkpoints import misfit


class Checkpoints(Reader, Protocol):
    """A method's module for its checkpoints; HEADS: how names of weights begin that features do not need."""

    HEADS: tuple[str, ...]


def begin(network: nn.Module, config: Config, file: str, of: Checkpoints, decisive: Sequence[str]) -> None:
    """Fill a network with the weights of a file; heads that the file lacks keep their own.

    decisive: fields of the configuration that decide what weights mean and that their shapes do not show.
    Raises UpstreamError where the file does not fit.
    """
    path, own = Path(file).expanduser(), network.state_dict()
    stored = of.read(path)
    theirs = config_of_file(type(config), stored.config, path)
    for name in decisive:
        given, wanted = getattr(theirs, name), getattr(config, name)
        if given != wanted:
            raise UpstreamError(f"init {path}: its network has {name} {given}, that of the recipe's model {wanted}")
    kept = {name: tensor for name, tensor in stored.weights.items() if name in own or not name.startswith(of.HEADS)}
    whole = {name: tensor for name, tensor in own.items() if name.startswith(of.HEADS)} | kept
    if listed := misfit(network, whole):
        raise UpstreamError(f"init {path}: does not fit the recipe's model ({listed})")
    network.load_state_dict(whole)
