"""Whether an upstream can be fine-tuned: a training step is tried, and what goes wrong is said."""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.live import Live

if TYPE_CHECKING:
    import torch

RATE = 1e-3
BARRED = "  cannot be fine-tuned: "
CHANGED = "is one changed in place, as by `x += y`? write `x = x + y`"


def line(upstream: Frozen, inputs: Sequence[Sized]) -> str:
    """What a training step on some inputs, which may be in one call, gave: one line, also where it cannot be done."""
    try:
        return f"  fine-tuning: {tried(upstream, inputs)}"
    except UpstreamError as error:
        reason = str(error).removeprefix(f"{upstream.name} cannot be fine-tuned: ").removeprefix(f"{upstream.name}: ")
        return f"{BARRED}{reason}"


def tried(upstream: Frozen, inputs: Sequence[Sized]) -> str:
    """What a training step changed, in words.

    Raises:
        UpstreamError: no network, no gradient, a value that is not finite, or an error of torch.
    """
    import torch

    live = Live(upstream, [])
    network = live.network()
    for parameter in live.front(network):
        parameter.requires_grad_(False)
    outputs = upstream.run(network, inputs)
    if not all(output.requires_grad for output in outputs):
        raise UpstreamError(
            "its features carry no gradient; look for torch.no_grad, inference_mode, detach or numpy in its call"
        )
    # Of a norm over channels the plain sum is constant, so a fixed random direction is taken.
    direction = torch.randn(upstream.width, generator=torch.Generator().manual_seed(0))
    loss = torch.stack([(output[-1].mean(0) * direction.to(output)).sum() for output in outputs]).mean()
    if not loss.isfinite():
        raise UpstreamError("the loss of its last layer is not finite; are its features?")
    _backward(loss)
    trained = [own for own in network.parameters() if own.requires_grad]
    reached = [own for own in trained if own.grad is not None and bool((own.grad != 0).any())]
    if not reached:
        raise UpstreamError("no parameter gets a gradient other than 0 from its last layer")
    if not all(bool(own.grad.isfinite().all()) for own in reached):
        raise UpstreamError(
            "a gradient is not finite; look for a root, a logarithm or a norm at 0, which have no gradient there"
        )
    torch.optim.SGD(reached, RATE / max(float(own.grad.norm()) for own in reached)).step()
    with torch.no_grad():
        again = upstream.run(network, inputs)
    if not any(bool((one[-1] != other[-1]).any()) for one, other in zip(outputs, again, strict=True)):
        raise UpstreamError("a step changes nothing of its last layer; does its call use the parameters themselves?")
    values = sum(own.numel() for own in reached)
    front = sum(own.numel() for own in live.front(network))
    text = f"a step trains {values:,} values in {len(reached)} of {len(trained)} tensors"
    return text + (f"; {front:,} of its convolutional front end stay" if front else "")


def _backward(loss: torch.Tensor) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss.backward()
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        hint = f"; {CHANGED}" if "inplace" in first or "in-place" in first else ""
        raise UpstreamError(f"torch computes no gradient: {first}{hint}") from error
