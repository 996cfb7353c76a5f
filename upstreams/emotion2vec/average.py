"""The mean of a run's last checkpoints: often a better upstream than each of them (Morais et al., ICASSP 2022)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.runs import checkpoints
from upstreams.errors import UpstreamError


def average(run: Path, last: int, release: Path | None = None) -> Path:
    """Write RUN/average-last-<last>.safetensors, and return its path. Raises UpstreamError where there are fewer.

    release: another place to write to, in half precision and without the decoder, which only training uses.
    """
    paths = checkpoints(run)
    if not 1 <= last <= len(paths):
        raise UpstreamError(f"{run} holds {len(paths)} checkpoints (step-*.safetensors); --last {last} is not possible")
    whole = [checkpoint.read(path) for path in paths[-last:]]
    mean = {name: torch.stack([c.weights[name].double() for c in whole]).mean(0) for name in whole[0].weights}
    config, facts = whole[-1].config, {**whole[-1].facts, "average_of": [p.name for p in paths[-last:]]}
    if release:
        encoder = {name: tensor for name, tensor in mean.items() if not name.startswith(checkpoint.DECODER)}
        checkpoint.write(release, replace(config, decoder_depth=0), encoder, facts, torch.float16)
        return release
    path = run / f"average-last-{last}.safetensors"
    checkpoint.write(path, config, mean, facts)
    return path
