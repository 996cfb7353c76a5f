"""Time `probe`'s solver on features that are many times the rows, solved in the span of the rows and in full.

    python studies/wide_features.py [--rows 480] [--features 6373] [--repeats 3] [--threads 1]

The unit of work is a fold's choice: seven strengths without each of five groups. Both ways take turns in one run; what
is printed is processor time. Features are made up, with the spectrum of correlated functionals.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from downstreams import logistic
from downstreams.probe import INNER_TOLERANCE
from downstreams.settings import Probe

CLASSES, GROUPS = 7, 5


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=480)
    options.add_argument("--features", type=int, default=6373)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--threads", type=int, default=1)
    options = options.parse_args()
    torch.set_num_threads(options.threads)

    rng = np.random.default_rng(0)
    targets = rng.integers(0, CLASSES, options.rows)
    causes = rng.standard_normal((options.rows, 300)) + 0.3 * rng.standard_normal((CLASSES, 300))[targets]
    mixing = rng.standard_normal((300, options.features)) * np.exp(-np.arange(300) / 60)[:, None]
    noise = 0.3 * rng.standard_normal((options.rows, options.features))
    rows = torch.tensor(causes @ mixing + noise, dtype=torch.float32)
    members = torch.tensor(np.arange(options.rows) % GROUPS != np.arange(GROUPS)[:, None])
    strengths = torch.tensor(Probe().strengths) / options.features
    work = (rows, torch.tensor(targets), members, strengths, CLASSES, INNER_TOLERANCE)

    ways = {"in the span": logistic.WIDE, "in full": np.inf}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    answers = {}
    for repeat in range(options.repeats):
        for way, wide in sorted(ways.items(), reverse=repeat % 2 == 1):
            logistic.WIDE = wide
            started = time.process_time()
            answers[way] = logistic.fit(*work)(rows).argmax(1)
            seconds[way].append(time.process_time() - started)
    span, full = (statistics.median(seconds[way]) for way in ways)
    agree = (answers["in the span"] == answers["in full"]).double().mean()
    print(
        f"{options.rows} x {options.features}, {GROUPS} groups x {len(strengths)} strengths, median of "
        f"{options.repeats}: in the span of the rows {span:.2f} s of processor time, in full {full:.2f} s, "
        f"{full / span:.1f} times; the same class for {100 * agree:.2f} %"
    )


if __name__ == "__main__":
    main()
