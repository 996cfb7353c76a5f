"""The checks of an upstream of audio, on synthetic waveforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from upstreams import training_check
from upstreams.build import build
from upstreams.checks.comparing import STRICT, counted, finite, on_its_device, precisions, same
from upstreams.errors import UpstreamError
from upstreams.frozen import Frozen
from upstreams.named import Named

SECONDS = (1.0, 2.37)
SHORT, LONG = 0.05, 30.0  # s
MIXED = 16  # utterances of different lengths


def facts(upstream: Frozen) -> str:
    """The facts of an upstream in one line."""
    audio = upstream.audio
    return (
        f"  {audio.sample_rate} Hz, hop {audio.hop}, {counted(upstream.depth, 'layer')} x {upstream.width}, "
        f"receptive field {audio.min_samples} samples, seen {upstream.seen}"
    )


def check(named: Named, upstream: Frozen) -> Iterator[str]:
    """The results of the checks, one line each. Raises UpstreamError: the first fault."""
    import torch

    name, rate = upstream.name, upstream.audio.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.05, (3, int(max(SECONDS) * rate))).astype(np.float32)
    for seconds in SECONDS:
        waves = [torch.from_numpy(wave[: int(seconds * rate)]) for wave in noise]
        together = upstream(waves)
        on_its_device(upstream, together[0])
        finite(upstream, together[0], f"{seconds} s of noise")
        for wave, output in zip(waves, together, strict=True):
            same(output, upstream([wave])[0], f"{name} gives an utterance other features in a batch than alone")
        _hop(upstream, len(waves[0]), together[0].shape[1])
    yield "  shapes, frames, device; features are the same alone, in a batch and when run again"
    again = build(named)([waves[0]])[0]
    same(again, together[0], f"{name} gives other features when it is built again")
    if upstream.ragged:
        yield _ragged(upstream)
    shortest, silence = noise[0, : upstream.audio.min_samples], 0 * noise[0]
    extremes = {"its shortest audio": shortest, "silence": silence, "full scale": np.sign(noise[0])}
    for what, wave in extremes.items():
        finite(upstream, upstream([torch.from_numpy(wave)])[0], what)
    yield "  finite for silence, full scale and its shortest audio"
    yield _lengths(upstream)
    yield training_check.line(upstream, waves)
    if upstream.movable:
        yield from precisions(named, waves[0], together[0])


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
            worst = max(worst, same(outputs[position], alone, fault, STRICT, mend))
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
            finite(upstream, output, f"{seconds:g} s of noise")
        padded = ", zero-padded" if len(samples) < upstream.audio.min_samples else ""
        several = f" in {len(pieces)} windows" if len(pieces) > 1 else ""
        counts.append(f"{seconds:g} s: {sum(output.shape[1] for output in outputs)} frames{several}{padded}")
    return f"  {'; '.join(counts)}"


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
