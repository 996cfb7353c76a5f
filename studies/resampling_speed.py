"""Time 10,000 swaps of whole groups: the test of two upstreams on 7,000 utterances.

    python studies/resampling_speed.py [--repeats 5]

As many groups as MELD has test dialogues (280) and 1,000; eight classes. UA is linear in the groups, macro-F1 is
computed again for every swap. Then all pairs of 12 upstreams together, as a table of ranks needs them;
studies/rank_errors.py times 200.
"""

import argparse
import statistics
import time

import numpy as np

from commons.metrics import sums
from leaderboard.comparison.familywise import Part, all_pairs
from leaderboard.comparison.permutation import signs, swap_test

UTTERANCES, CLASSES, UPSTREAMS = 7000, 8, 12


def system(random: np.random.Generator, target: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """(1, G, C, C) counts of a system that is right half of the time."""
    guess = np.where(random.random(UTTERANCES) < 0.5, target, random.integers(0, CLASSES, UTTERANCES))
    return sums(target, guess, group, n_groups=groups, n_classes=CLASSES)[None]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5)
    repeats = options.parse_args().repeats
    for groups in (280, 1000):
        random = np.random.default_rng(0)
        target, group = random.integers(0, CLASSES, UTTERANCES), random.integers(0, groups, UTTERANCES)
        systems = [system(random, target, group, groups) for _ in range(UPSTREAMS)]

        def one(metric: str, groups: int = groups, systems: list[np.ndarray] = systems) -> None:
            swap_test(systems[0], systems[1], metric, signs(groups))

        def together(groups: int = groups, systems: list[np.ndarray] = systems) -> None:
            all_pairs([Part(systems, np.arange(groups))], "UA", groups)

        for words, program in (("UA", lambda: one("UA")), ("macro_F1", lambda: one("macro_F1")),
                               ("UA, all 66 pairs of 12 upstreams", together)):  # fmt: skip
            timed = []
            for _ in range(repeats):
                started = time.perf_counter()
                program()
                timed.append(time.perf_counter() - started)
            print(f"{groups:>5} groups, {words:<34} {statistics.median(timed):6.3f} s (median of {repeats})")


if __name__ == "__main__":
    main()
