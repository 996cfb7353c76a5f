"""Epochs a second and memory of the heads of conversations, at the size of MELD and of IEMOCAP.

    python studies/dialogue.py [--corpus meld iemocap] [--heads NAME...] [--epochs 3] [--causal]

Made-up features of 13 x 768: MELD's 13,708 turns in 1,432 dialogues (official parts), IEMOCAP's 10,039 in 151 (a
session left out, the next as dev). An epoch is one of one head at one rate: its training part and its dev part. The
whole choice is all epochs, rates and folds of one seed. On a machine that others use, read the processor time.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
from made_up_features import features

import downstreams
from commons.corridors.features import Features
from commons.corridors.problem import Fold, Problem

LAYERS, WIDTH, CLASSES = 13, 768, 7
# Turns, dialogues, dialogues of train and dev, folds.
CORPORA = {"meld": (13_708, 1_432, 1_038, 114, 1), "iemocap": (10_039, 151, 91, 30, 5)}


def made_up(corpus: str, causal: bool) -> tuple[Features, Problem]:
    """Features and a problem of one fold of the corpus."""
    turns, dialogues, train, dev, _ = CORPORA[corpus]
    draws = np.random.default_rng(0)
    # Lengths as uneven as the corpora's: from next to none to twice the mean.
    ends = np.sort(
        draws.permutation(np.linspace(0, turns, 2 * dialogues, endpoint=False, dtype=int)[1:])[: dialogues - 1]
    )
    dialogue = np.searchsorted(ends, np.arange(turns), side="right")
    turn = np.arange(turns) - np.concatenate([[0], ends])[dialogue]
    part = np.digitize(dialogue, [train, train + dev])
    fold = Fold(name="1", **{n: np.flatnonzero(part == k) for k, n in enumerate(("train", "dev", "test"))})
    ids = np.arange(turns).astype(str)
    problem = Problem(
        ids=ids,
        kind="conversation",
        classes=tuple("abcdefg"),
        targets=draws.integers(0, CLASSES, turns),
        folds=(fold,),
        groups=dialogue.astype(str),
        speaker=np.char.add(dialogue.astype(str), (turn % 2).astype(str)),
        dialogue=dialogue,
        turn=turn,
        select_on="WF1",
        causal=causal,
    )
    return features(ids, draws.standard_normal((turns, 1, LAYERS, WIDTH), dtype=np.float32)), problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [name for name in downstreams.names() if downstreams.resolve(name).kinds == ("conversation",)]
    parser.add_argument("--corpus", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--heads", nargs="+", choices=every, default=every)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--causal", action="store_true")
    options = parser.parse_args()
    for corpus in options.corpus:
        frozen, problem = made_up(corpus, options.causal)
        for head in options.heads:
            reader, clock = downstreams.resolve(head), list[np.ndarray]()
            settings = reader.settings
            shorter = settings | {"epochs": options.epochs, "rates": settings["rates"][:1]}
            downstreams.evaluate(
                replace(reader, settings=shorter), frozen, problem, [0], "cpu",
                lambda done, total, clock=clock: clock.append(np.array([time.perf_counter(), time.process_time()])),
            )  # fmt: skip
            # The first epoch is not counted: the clock starts at its end.
            wall, busy = (clock[-1] - clock[0]) / max(1, len(clock) - 1)
            fits = CORPORA[corpus][-1] * len(settings["rates"]) * settings["epochs"]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{corpus} {head}: {1 / busy:.2f} epochs a second of processor time ({1 / wall:.2f} by the clock); the "
                f"whole choice, {fits} epochs: {fits * busy / 60:.1f} min a seed; peak memory {peak:.1f} GiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
