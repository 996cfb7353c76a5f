"""Whether an upstream keeps the contract; if not, what is wrong with it and how to repair it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from commons.places import Places
from upstreams import training_check
from upstreams.build import build
from upstreams.errors import Unsteady, UpstreamError
from upstreams.frozen import MOVE_ALL, Frozen
from upstreams.named import Named
from upstreams.registry import resolve

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3  # of the layer's largest value: between an utterance alone and in a batch, or run twice
STRICT = 1e-5  # the same for an upstream with `ragged`
SECONDS = (1.0, 2.37)
SHORT, LONG = 0.05, 30.0  # s
MIXED = 16  # utterances of different lengths


def check(name: str, places: Places | None = None) -> Iterator[str]:
    """The facts of an upstream and the results of the checks, one line each.

    Raises:
        UnknownName: there is no upstream of that name.
        UpstreamError: the first fault.
    """
    import torch

    named = resolve(name, places or Places())
    upstream = build(named)
    yield from _facts(upstream)
    if build(named).fingerprint() != upstream.fingerprint():
        raise Unsteady(name)
    yield f"  fingerprint {upstream.fingerprint()}"
    rate = upstream.audio.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.05, (3, int(max(SECONDS) * rate))).astype(np.float32)
    for seconds in SECONDS:
        waves = [torch.from_numpy(wave[: int(seconds * rate)]) for wave in noise]
        together = upstream(waves)
        _device(upstream, together[0])
        _finite(upstream, together[0], f"{seconds} s of noise")
        for wave, output in zip(waves, together, strict=True):
            _same(output, upstream([wave])[0], f"{name} gives an utterance other features in a batch than alone")
        _hop(upstream, len(waves[0]), together[0].shape[1])
    yield "  shapes, frames, device; features are the same alone, in a batch and when run again"
    again = build(named)([waves[0]])[0]
    _same(again, together[0], f"{name} gives other features when it is built again")
    if upstream.ragged:
        yield _ragged(upstream)
    shortest, silence = noise[0, : upstream.audio.min_samples], 0 * noise[0]
    extremes = {"its shortest audio": shortest, "silence": silence, "full scale": np.sign(noise[0])}
    for what, wave in extremes.items():
        _finite(upstream, upstream([torch.from_numpy(wave)])[0], what)
    yield "  finite for silence, full scale and its shortest audio"
    yield _lengths(upstream)
    yield training_check.line(upstream, waves)
    if upstream.movable:
        yield _bf16(named, waves[0], together[0])
        if torch.cuda.is_available():
            yield _cuda(named, waves[0], together[0])


def _facts(upstream: Frozen) -> Iterator[str]:
    audio = upstream.audio
    yield f"{upstream.name}: {upstream.title}"
    yield (
        f"  {audio.sample_rate} Hz, hop {audio.hop}, {upstream.depth} layers x {upstream.width}, "
        f"receptive field {audio.min_samples} samples, seen {upstream.seen}"
    )
    if upstream.weights:
        yield f"  weights {upstream.weights}"
    if upstream.licence:
        yield f"  licence: {upstream.licence}"
    if upstream.normalisation:
        yield f"  waveform: {upstream.normalisation}"


def _ragged(upstream: Frozen) -> str:
    """Compare an utterance alone with the same utterance as first and last of a batch of mixed lengths."""
    import torch

    generator = np.random.default_rng(1)
    shortest = 2 * upstream.audio.min_samples
    longest = shortest + 3 * upstream.audio.sample_rate // 2
    lengths = generator.integers(shortest, longest, MIXED)
    waves = [torch.from_numpy(generator.normal(0, 0.05, n).astype(np.float32)) for n in lengths]
    worst = 0.0
    for batch in (waves, waves[::-1]):
        outputs = upstream(batch)
        for position in (0, -1):
            alone = upstream([batch[position]])[0]
            fault = f"{upstream.name} gives an utterance other features in a batch of mixed lengths than alone"
            mend = "keep padding out of its norms, attention and convolutions, or remove `ragged`"
            worst = max(worst, _same(outputs[position], alone, fault, STRICT, mend))
    return f"  the same alone, first and last among {MIXED} of mixed lengths: off by {worst:.1e} of the largest value"


def _lengths(upstream: Frozen) -> str:
    """Frames of 50 ms and of 30 s of audio, padded or cut as in extraction."""
    import torch

    from upstreams.inputs.audio import windows

    counts = []
    for seconds in (SHORT, LONG):
        samples = np.random.default_rng(2).normal(0, 0.05, int(seconds * upstream.audio.sample_rate)).astype(np.float32)
        pieces = windows(samples, upstream.audio)
        outputs = [upstream([torch.from_numpy(piece)])[0] for piece in pieces]
        for output in outputs:
            _finite(upstream, output, f"{seconds:g} s of noise")
        padded = ", zero-padded" if len(samples) < upstream.audio.min_samples else ""
        several = f" in {len(pieces)} windows" if len(pieces) > 1 else ""
        counts.append(f"{seconds:g} s: {sum(output.shape[1] for output in outputs)} frames{several}{padded}")
    return f"  {'; '.join(counts)}"


def _bf16(named: Named, wave: torch.Tensor, fp32: torch.Tensor) -> str:
    half = build(named, precision="bf16")
    output = half([wave])[0].float()
    _finite(half, output, "noise in bf16")
    error = float((output - fp32).abs().max() / fp32.abs().max())
    return f"  --precision bf16: off by {error:.1e} of the largest value"


def _cuda(named: Named, wave: torch.Tensor, cpu: torch.Tensor) -> str:
    moved = build(named, "cuda")
    output = moved([wave])[0]
    _device(moved, output)
    off = _same(
        output.cpu(),
        cpu,
        f"{named.name} gives other features on the GPU",
        mend="does its `to(device)` move everything?",
    )
    return f"  --device cuda: off by {off:.1e} of the largest value"


def _finite(upstream: Frozen, output: torch.Tensor, what: str) -> None:
    if not output.isfinite().all():
        raise UpstreamError(
            f"{upstream.name} gives features that are not finite for {what}; look for a division by a sum, a maximum "
            "or a deviation that can be 0, or a logarithm of 0"
        )


def _device(upstream: Frozen, output: torch.Tensor) -> None:
    if output.device.type != upstream.device.partition(":")[0]:
        raise UpstreamError(
            f"{upstream.name} gives features on {output.device}, and was moved to {upstream.device}; {MOVE_ALL}"
        )


def _same(
    one: torch.Tensor, other: torch.Tensor, fault: str, tolerance: float = TOLERANCE, mend: str = "is it in eval mode?"
) -> float:
    """The largest difference, relative to the largest value of its layer."""
    if one.shape != other.shape:
        raise UpstreamError(f"{fault}: {tuple(one.shape)} against {tuple(other.shape)}; {mend}")
    scale = other.abs().amax((1, 2)).clamp(min=1e-30)
    difference = float(((one - other).abs().amax((1, 2)) / scale).max())
    if not difference <= tolerance:
        raise UpstreamError(f"{fault}: they differ by {difference:.1e} of the largest value; {mend}")
    return difference


def _hop(upstream: Frozen, samples: int, frames: int) -> None:
    hop = upstream.audio.hop
    if hop is None:
        return
    expected = samples / hop
    if abs(frames - expected) > 2 + upstream.audio.min_samples / hop + 0.02 * expected:
        raise UpstreamError(
            f"{upstream.name} gives {frames} frames for {samples} samples, and its hop says about {expected:.0f}; set "
            "`hop` to the number of samples between two frames"
        )
