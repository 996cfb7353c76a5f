"""Epochs a second and memory of emotion2vec's head on frames of IEMOCAP's size: 5531 utterances x 225 frames x 768.

    python studies/emotion2vec_head.py [--epochs 2] [--from-disk]

An epoch is one of one head: the training part of a fold (3540 utterances) and its dev part (885). --from-disk leaves
the frames memory-mapped, as is done where they exceed the memory set aside for them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace

import numpy as np
from made_up_features import features

import downstreams
from commons.corridors.problem import Fold, Problem
from downstreams import emotion2vec

UTTERANCES, FRAMES, WIDTH, CLASSES, TRAIN, DEV = 5531, 225, 768, 4, 3540, 885


class Mapped:
    """Frames as the store hands them out: float16 in a file."""

    layers = (0,)

    def __init__(self, path: str) -> None:
        shape = (UTTERANCES, FRAMES, 1, WIDTH)
        self._rows = np.memmap(path, np.float16, "w+", shape=shape)
        draws = np.random.default_rng(0)
        for i in range(UTTERANCES):
            self._rows[i] = draws.standard_normal(shape[1:], dtype=np.float32)
        self.offsets = np.arange(UTTERANCES + 1) * FRAMES

    def __len__(self) -> int:
        return UTTERANCES

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array(self._rows[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--from-disk", action="store_true")
    options = parser.parse_args()
    if options.from_disk:
        emotion2vec.RESIDENT = 0
    order = np.random.default_rng(1).permutation(UTTERANCES)
    train, dev, test = np.split(order, [TRAIN, TRAIN + DEV])
    ids = np.arange(UTTERANCES).astype(str)
    problem = Problem(
        ids=ids,
        kind="classification",
        classes=tuple("abcd"),
        targets=np.random.default_rng(2).integers(0, CLASSES, UTTERANCES),
        folds=(Fold(name="session 1", train=train, dev=dev, test=test[:1]),),
        groups=ids,
        speaker=ids,
        select_on="WA",
    )
    reader, clock = downstreams.resolve("emotion2vec"), list[np.ndarray]()
    shorter = replace(reader, settings=reader.settings | {"epochs": options.epochs})
    with tempfile.NamedTemporaryFile() as file:
        downstreams.evaluate(
            shorter, features(ids, frames=Mapped(file.name)), problem, [0], "cpu",
            lambda done, total: clock.append(np.array([time.perf_counter(), time.process_time()])),
        )  # fmt: skip
    if len(clock) > 1:
        wall, busy = (clock[-1] - clock[0]) / (len(clock) - 1)
        print(f"{1 / wall:.3f} epochs a second; {wall:.1f} s an epoch")
        # The first layer's products: forward and for its weights' gradient in training, forward alone on dev.
        work = 2 * (2 * TRAIN + DEV) * FRAMES * WIDTH * reader.settings["hidden"]
        print(f"processor time {busy:.1f} s an epoch: {1 / busy:.3f} epochs a second, {work / busy / 1e9:.0f} GFLOP/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB; the frames are {UTTERANCES * FRAMES * WIDTH * 2 / 2**30:.1f} GiB as float16")


if __name__ == "__main__":
    main()
