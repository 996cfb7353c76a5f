"""What becomes of a run's checkpoints: their mean, and a file to be passed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from commons.errors import NotThere, Refused
from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.runs import checkpoints
from upstreams.errors import UpstreamError


def average(run: Path, last: int) -> Path:
    """Write RUN/average-last-<last>.safetensors, and return its path.

    Raises:
        Refused: `run` is no folder.
        UpstreamError: it holds fewer checkpoints.

    The mean of the last is often a better upstream than each of them (Morais et al., ICASSP 2022).
    """
    if run.is_file():
        raise Refused(f"{run} is a file; expected the folder of a run, such as {run.parent}")
    if not run.is_dir():
        raise NotThere("folder of a run", run)
    paths = checkpoints(run)
    if not 1 <= last <= len(paths):
        raise UpstreamError(f"{run} holds {len(paths)} checkpoints (step-*.safetensors); --last {last} is not possible")
    whole = [checkpoint.read(path) for path in paths[-last:]]
    mean = {name: torch.stack([c.weights[name].double() for c in whole]).mean(0) for name in whole[0].weights}
    path = run / f"average-last-{last}.safetensors"
    checkpoint.write(path, whole[-1].config, mean, {**whole[-1].facts, "average_of": [p.name for p in paths[-last:]]})
    return path


def release(path: Path, to: Path) -> None:
    """Write a checkpoint in half precision and without its decoder, which only training uses.

    Raises UpstreamError for a file that is none, or where nothing can be written.
    """
    whole = checkpoint.read(path)
    encoder = {name: tensor for name, tensor in whole.weights.items() if not name.startswith(checkpoint.DECODER)}
    config = replace(whole.config, decoder_depth=0)
    checkpoint.write(to, config, encoder, {**whole.facts, "released_from": path.name}, torch.float16)
