"""How often does the interval of a gap between groups of speakers hold the truth?

    python studies/group_gaps.py [--draws 2000]

Speakers differ in how well they are recognised, as in interval_coverage.py. Three designs:

    two groups        each speaker is in one of two groups (gender)
    four groups       each speaker is in one of four; worst and best are chosen by what was measured
    within speakers   each speaker has utterances in both groups (intensity)

In truth all groups are alike, or (`10 apart`) the first one is about ten points worse. The truth of a chosen pair is
that pair's own. These figures stand in docs/statistics.md.
"""

import argparse

import numpy as np
from scipy.special import expit

from leaderboard.trust.groups import Groups, gap, ua_of

SPEAKERS = (6, 10, 24)
UTTERANCES = (12, 9, 6, 3)  # of a speaker, by class
DESIGNS = {"two groups": 2, "four groups": 4, "within speakers": 2}
HARDER = 0.5  # on the logit: about ten points


def corpus(random: np.random.Generator, speakers: int, design: str, harder: float) -> Groups:
    """The answers of a system on a corpus, by group."""
    n, classes = DESIGNS[design], len(UTTERANCES)
    voice = 0.6 * random.normal(size=(speakers, 1, 1)) + 0.3 * random.normal(size=(speakers, n, classes))
    right = random.binomial(UTTERANCES, expit(0.8 + voice - harder * (np.arange(n) == 0)[None, :, None]))
    counts = np.zeros((speakers, n, classes, classes))
    for c, size in enumerate(UTTERANCES):
        counts[:, :, c, c], counts[:, :, c, (c + 1) % classes] = right[..., c], size - right[..., c]
    if design != "within speakers":
        counts *= (np.arange(speakers)[:, None] % n == np.arange(n))[:, :, None, None]
    return Groups("group", [f"g{i}" for i in range(n)], counts[None], np.ones(classes, dtype=bool))


def truth(harder: float) -> float:
    """The difference in UA between the first group and another one, in points."""
    voice = np.random.default_rng(1).normal(scale=np.hypot(0.6, 0.3), size=200_000)
    return float(100 * (expit(0.8 + voice - harder).mean() - expit(0.8 + voice).mean()))


def held(random: np.random.Generator, speakers: int, design: str, harder: float, truly: float) -> bool:
    """Whether the interval of one draw holds the truth."""
    own = corpus(random, speakers, design, harder)
    made = gap(own, ua_of(own.classes), own.classes)
    assert made is not None and made.low is not None and made.high is not None
    real = {"g0": truly}
    return made.low <= real.get(made.worst, 0.0) - real.get(made.best, 0.0) <= made.high


def main() -> None:
    """Print a line for each design, with the share of intervals that hold the truth, percent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    draws = parser.parse_args().draws
    print(f"| design | {' | '.join(f'{n} speakers' for n in SPEAKERS)} |\n|---|{'---|' * len(SPEAKERS)}")
    for design in DESIGNS:
        for words, harder in (("alike", 0.0), ("10 apart", HARDER)):
            random, truly = np.random.default_rng(0), truth(harder)
            shares = [
                np.mean([held(random, n, design, harder, truly) for _ in range(draws)])
                if n >= 2 * DESIGNS[design] or design == "within speakers" else np.nan
                for n in SPEAKERS
            ]  # fmt: skip
            print(f"| {design}, {words} | {' | '.join('–' if np.isnan(s) else f'{100 * s:.1f}' for s in shares)} |")


if __name__ == "__main__":
    main()
