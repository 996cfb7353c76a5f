"""Does an upstream keep the contract? Says in words what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from upstreams.contract import Frozen
from upstreams.errors import Unsteady, UpstreamError
from upstreams.registry import build

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3  # relative, between an utterance alone and in a batch, or run twice
SECONDS = (1.0, 2.37)


def check(name: str) -> Iterator[str]:
    """Facts and findings, a line each. Raises UpstreamError at the first breach of the contract."""
    import torch

    upstream = build(name)
    yield f"{upstream.name}: {upstream.title}"
    yield (
        f"  {upstream.sample_rate} Hz, hop {upstream.hop}, {upstream.depth} layers x {upstream.width}, "
        f"receptive field {upstream.min_samples} samples, seen {upstream.seen}"
    )
    if build(name).fingerprint() != upstream.fingerprint():
        raise Unsteady(name)
    yield f"  fingerprint {upstream.fingerprint()}"
    noise = np.random.default_rng(0).normal(0, 0.05, (3, int(max(SECONDS) * upstream.sample_rate))).astype(np.float32)
    for seconds in SECONDS:
        waves = [torch.from_numpy(wave[: int(seconds * upstream.sample_rate)]) for wave in noise]
        together = upstream(waves)
        for wave, output in zip(waves, together, strict=True):
            _same(output, upstream([wave])[0], f"{name} gives an utterance other features in a batch than alone")
        _hop(upstream, len(waves[0]), together[0].shape[1])
        if not torch.isfinite(together[0]).all():
            raise UpstreamError(f"{name} gives features that are not finite for {seconds} s of noise")
    yield "  the same alone, in a batch and when run again"
    for what, wave in (("its shortest audio", noise[0, : upstream.min_samples]), ("silence", 0 * noise[0])):
        if not torch.isfinite(upstream([torch.from_numpy(wave)])[0]).all():
            raise UpstreamError(f"{name} gives features that are not finite for {what}")
    yield "  finite for silence and for its shortest audio"


def _same(one: torch.Tensor, other: torch.Tensor, fault: str) -> None:
    if one.shape != other.shape:
        raise UpstreamError(f"{fault}: {tuple(one.shape)} against {tuple(other.shape)}")
    scale = float(other.abs().max()) or 1.0
    difference = float((one - other).abs().max()) / scale
    if not difference <= TOLERANCE:
        raise UpstreamError(f"{fault}: they differ by {difference:.1e} of the largest value; is it in eval mode?")


def _hop(upstream: Frozen, samples: int, frames: int) -> None:
    if upstream.hop is None:
        return
    expected = samples / upstream.hop
    if abs(frames - expected) > 2 + upstream.min_samples / upstream.hop + 0.02 * expected:
        raise UpstreamError(
            f"{upstream.name} gives {frames} frames for {samples} samples; its hop makes about {expected:.0f}"
        )
