"""What padding costs heads on frames: a training step that spends no time on it, beside one that computes it, too.

    python studies/frame_head_speed.py [--utterances 32] [--repeats 9]

Frames are noise, utterances as long as EMOVO's are, in random batches. `computed` has the same arrays with all frames
valid, as a network without masks would have it. Processor time of one core, in turns; medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import Tensor

from downstreams.frame_head import FrameHead, OnFrames, padded
from downstreams.multi_task import MultiTaskHead
from downstreams.settings import FrameHead as Settings
from downstreams.settings import SpeechEq

WIDTH, CLASSES = 384, 7
FRAMES = 50  # a second


def main() -> None:
    here = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here.add_argument("--utterances", type=int, default=32)
    here.add_argument("--repeats", type=int, default=9)
    options = here.parse_args()
    torch.set_num_threads(1)
    seconds = np.random.default_rng(0).lognormal(np.log(2.8), 0.5, options.utterances).clip(1, 12)
    frames = [torch.randn(round(FRAMES * own), 1, WIDTH) for own in seconds]
    x, valid = padded(frames)
    print(f"{len(frames)} utterances, {valid.numel()} frames, {1 - float(valid.float().mean()):.0%} of them padding")
    for name, network in heads().items():
        taken = in_turns(network, x, {"masked": valid, "computed": torch.ones_like(valid)}, options.repeats)
        ratio = taken["masked"] / taken["computed"]
        print(f"  {name}: {1e3 * taken['masked']:.0f} ms a step, {1e3 * taken['computed']:.0f} computed: {ratio:.2f}")


def heads() -> dict[str, OnFrames]:
    draws = torch.Generator().manual_seed(0)
    return {
        "attentive": FrameHead("attentive", 1, WIDTH, CLASSES, Settings(network="attentive"), draws),
        "speecheq, the state alone": MultiTaskHead(1, WIDTH, CLASSES, SpeechEq(), [], draws, lambda name: draws),
    }


def in_turns(network: OnFrames, x: Tensor, masks: dict[str, Tensor], repeats: int) -> dict[str, float]:
    """Seconds of a step under each mask: the median."""
    spent: dict[str, list[float]] = {name: [] for name in masks}
    for repeat in range(repeats + 1):
        for name, valid in masks.items():
            started = time.process_time()
            network(x, valid)[0].logsumexp(1).sum().backward()
            if repeat:  # the first is to warm up
                spent[name].append(time.process_time() - started)
    return {name: statistics.median(several) for name, several in spent.items()}


if __name__ == "__main__":
    main()
