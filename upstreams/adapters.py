"""Low-rank adapters (LoRA, Hu et al. 2022) on the feed-forward matrices of a network; peft puts them there.

A matrix W becomes W + B A, of which A and B are trained. B begins as 0, so the network begins as it is.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from upstreams.errors import UpstreamError
from upstreams.torchaudio_repair import repair

if TYPE_CHECKING:
    import torch

# emotion2vec, wav2vec 2.0 and the models built like it, w2v-BERT; Whisper; BERT; Mockingjay.
FEED_FORWARD = re.compile(
    r"(?:.*\.)?(?:(?:mlp|feed_forward|ffn\d?)\.\w+|fc[12]|\d+\.(?:intermediate|output)\.dense|widen|narrow)"
)
BLOCK = re.compile(r"(.*\.\d+)\..*")
ADAPTER = "default"  # peft's name of the one that a network has


def feed_forward(network: torch.nn.Module, who: str) -> list[str]:
    """Names of the linear modules of a network's feed-forward parts: those that its attribute `feed_forward` names,
    or those that are called as in the known families.

    Raises:
        UpstreamError: there are none, or the network has no linear module of such a name.
    """
    import torch

    linear = [
        name.removesuffix(".base_layer")  # of a module that has an adapter
        for name, own in network.named_modules()
        if isinstance(own, torch.nn.Linear) and ".lora_" not in name
    ]
    own = getattr(network, "feed_forward", None)
    if own is None or isinstance(own, torch.nn.Module):
        names = [name for name in linear if FEED_FORWARD.fullmatch(name)]
    else:
        names = [own] if isinstance(own, str) else list(own)
    if unknown := [name for name in names if name not in linear]:
        raise UpstreamError(
            f"{who}: `feed_forward` names {unknown[0]!r}, and the network has no nn.Linear of that name"
        )
    if not names:
        raise UpstreamError(
            f"{who}: it is not known which of its matrices are those of feed-forward parts; name them in an attribute "
            "`feed_forward` of the network, a tuple of names of nn.Linear modules"
        )
    return names


def blocks(network: torch.nn.Module, who: str) -> list[torch.nn.Module]:
    """The modules of a network's blocks: those in lists of modules that have feed-forward parts. Errors as above."""
    modules = dict(network.named_modules())
    matches = [BLOCK.fullmatch(name) for name in feed_forward(network, who)]
    names = dict.fromkeys(match[1] for match in matches if match)
    if not names:
        raise UpstreamError(f"{who}: has no blocks in an nn.ModuleList, whose gradients could be checkpointed")
    return [modules[name] for name in names]


def add(network: torch.nn.Module, names: list[str], rank: int, draws: torch.Generator) -> None:
    """Put an adapter on the modules of these names; they alone take gradients then. `draws` decides how A begins.

    Raises:
        UpstreamError: peft is not installed.
    """
    import torch

    repair()  # peft imports transformers, which imports torchaudio wherever it is installed
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UpstreamError(f"LoRA needs peft ({error}); install it: pip install 'emorep[lora]'") from error
    network.requires_grad_(False)
    settings = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, bias="none", target_modules=names)
    inject_adapter_in_model(settings, network, ADAPTER)
    with torch.no_grad():
        for _, layer in _adapted(network):
            first = layer.lora_A[ADAPTER].weight
            bound = 1 / math.sqrt(first.shape[1])  # as torch begins a linear layer
            first.copy_(torch.empty(first.shape).uniform_(-bound, bound, generator=draws))


def merged(network: torch.nn.Module) -> torch.nn.Module:
    """A copy of a network in which the adapters are added to their matrices; a plain copy where there are none."""
    plain = copy.deepcopy(network)
    for name, layer in list(_adapted(plain)):
        layer.merge()
        above, _, last = name.rpartition(".")
        setattr(plain.get_submodule(above), last, layer.get_base_layer())
    return plain


def checkpoint(network: torch.nn.Module, who: str) -> None:
    """From now on keep the inputs of the network's blocks alone, and compute the blocks again for gradients.

    Raises:
        UpstreamError: it is not known which modules are its blocks.
    """
    for block in blocks(network, who):
        block.forward = partial(_again, block.forward)  # a partial is copied together with its module


def _again(forward: Callable[..., torch.Tensor], *given: object, **named: object) -> torch.Tensor:
    """What `forward` gives; what it computes on the way is not kept where gradients are wanted."""
    import torch
    from torch.utils.checkpoint import checkpoint

    from commons.bf16 import right_convolutions

    if not torch.is_grad_enabled():
        return forward(*given, **named)
    rounded = torch.is_autocast_enabled("cpu")

    def contexts() -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Of both passes. torch's autocast is there again in the second; what keeps convolutions right is not."""
        return nullcontext(), right_convolutions("cpu", rounded)

    return checkpoint(forward, *given, use_reentrant=False, preserve_rng_state=False, context_fn=contexts, **named)


def _adapted(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Names and modules that hold an adapter."""
    return ((name, own) for name, own in network.named_modules() if hasattr(own, "lora_A"))
