"""NPC trained `as_published` has no frame scores when it is read: a checkpoint in which their mean takes their place.

    python studies/npc_mean_score.py runs/ems_npc/published/step-00014000.safetensors scores.parquet mean.safetensors
    python run_benchmark.py -u 'npc@runs/ems_npc/published' npc@mean.safetensors -t emodb

In training the score was added to every value of a frame of the input. Its mean over all frames, times the sum of the
taps, goes into the bias of the first convolution: the same, but for the first and the last frame of an utterance.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from torch import Tensor

from upstreams.npc import checkpoint
from upstreams.pretraining import checkpoints
from upstreams.pretraining.checkpoints import Facts

FIRST = "blocks.0.conv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scores", type=Path, help="that the run followed")
    parser.add_argument("output", type=Path, help="such as mean.safetensors")
    options = parser.parse_args()
    mean = float(np.mean(pq.read_table(options.scores, columns=["score"])["score"].to_numpy()))
    stored = checkpoint.read(options.checkpoint)
    facts = Facts(began_with=stored.facts)  # no run's own recipe, so this counts as no seed of it
    if "seen" in stored.facts:
        facts["seen"] = stored.facts["seen"]
    changed = replace(stored, weights=shifted(stored.weights, mean), facts=facts)
    checkpoints.write(options.output, changed)
    print(f"{options.output}: {mean:.3f}, the mean of all scores, is always added to the input")


def shifted(weights: dict[str, Tensor], mean: float) -> dict[str, Tensor]:
    """NPC's weights with `mean` always added to the input."""
    bias = weights[f"{FIRST}.bias"] + mean * weights[f"{FIRST}.weight"].sum((1, 2))
    return {**weights, f"{FIRST}.bias": bias}


if __name__ == "__main__":
    main()
