"""How often do the intervals hold the truth, and how often does the test of two systems cry wolf?

    python studies/interval_coverage.py [--draws 2000]

Groups (speakers) differ in how well they are recognised; utterances of a group are alike. Every draw is a corpus of
4 to 100 groups with 4 classes of unequal size; the truth is that of 200,000 groups. Beside the interval of the
records (groups left out one at a time, Student's t, logit scale) stands the percentile bootstrap of whole groups.
Two systems are compared where neither is better on average:

    exchangeable          their recognition of a speaker is drawn alike
    other classes         one is better at one class, the other at another
    one class a speaker   the same, and a speaker speaks one class only (URDU)
    few speakers          one is far better on one speaker in five, a little worse on the others

Last come the designs of real corpora (how many utterances of which class every speaker has) and speakers whose effects
on the logit are not normal:

    normal                normal effects of speakers, deviation 0.9
    few hard speakers     one speaker in six is recognised far worse (2.4 on the logit), the others alike
    long tail             minus an exponential: most are recognised well, the worst very badly

These figures stand in docs/statistics.md; a shorter run of the same draws is among the tests.
"""

import argparse
from types import SimpleNamespace

import numpy as np
from scipy.special import expit

from commons.metrics import METRICS, ua
from leaderboard.comparison.answers import Answer
from leaderboard.comparison.corpora import across
from leaderboard.comparison.permutation import signs, swap_test
from leaderboard.comparison.statistics import difference
from leaderboard.records.intervals import jackknife, shares

GROUPS = (4, 6, 10, 24, 100)
SHARES = (0.4, 0.3, 0.2, 0.1)
PAIRS = ("exchangeable", "other classes", "one class a speaker", "few speakers")
DIFFICULTY = {"two thirds right": 0.8, "93 % right": 3.0}
CORPORA = (6, 10, 24, 29)  # groups of EMOVO, EmoDB, RAVDESS, URDU
MANY = 200_000
EMODB = [
    [14, 5, 1, 4, 7, 11, 7], [12, 10, 0, 6, 11, 10, 9], [13, 4, 8, 1, 4, 9, 4], [10, 8, 1, 8, 4, 4, 3],
    [11, 8, 2, 10, 8, 9, 7], [12, 5, 2, 6, 2, 4, 4], [12, 10, 8, 7, 10, 9, 5], [16, 8, 8, 12, 8, 7, 10],
    [13, 9, 5, 8, 6, 11, 4], [14, 14, 11, 7, 11, 5, 9],
]  # fmt: skip
URDU = [
    [0, 12, 0, 0], [0, 0, 0, 2], [0, 0, 0, 4], [0, 2, 0, 0], [0, 2, 0, 0], [0, 4, 0, 0], [0, 4, 0, 0], [0, 14, 0, 0],
    [0, 6, 0, 0], [0, 2, 0, 0], [0, 0, 4, 0], [22, 0, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0], [0, 2, 0, 0], [28, 0, 0, 0],
    [0, 0, 10, 0], [0, 0, 4, 0], [0, 0, 2, 0], [0, 0, 0, 6], [0, 0, 0, 38], [0, 0, 0, 40], [0, 0, 0, 2], [0, 0, 0, 4],
    [2, 2, 8, 0], [48, 0, 0, 0], [0, 8, 72, 0], [0, 10, 0, 4], [0, 28, 0, 0],
]  # fmt: skip
EFFECTS = ("normal", "few hard speakers", "long tail")


def counts(right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(G, C, C) confusion counts of which `right` (G, C) of `n` lie on the diagonal."""
    classes = right.shape[1]
    tables = np.zeros((len(right), classes, classes))
    for c in range(classes):
        tables[:, c, c], tables[:, c, (c + 1) % classes] = right[:, c], (n - right)[:, c]
    return tables


def draw(random: np.random.Generator, groups: int, difficulty: float) -> np.ndarray:
    """(G, C, C) counts of groups that differ in how well they are recognised."""
    voice = 0.6 * random.normal(size=(groups, 1)) + 0.3 * random.normal(size=(groups, len(SHARES)))
    n = 1 + random.multinomial(40, SHARES, size=groups)
    return counts(random.binomial(n, expit(difficulty + voice)), n)


def draw_pair(random: np.random.Generator, groups: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two systems on the same utterances; on average neither is better in UA."""
    classes = len(SHARES)
    n = 1 + random.multinomial(40, SHARES, size=groups)
    if kind == "one class a speaker":  # every class has at least one speaker in each draw
        speaks = random.permutation(np.r_[np.arange(classes), random.choice(classes, groups - classes, p=SHARES)])
        n = np.eye(classes, dtype=int)[speaks] * (5 + random.poisson(10, (groups, 1)))
    voice = 0.8 + 0.6 * random.normal(size=(groups, 1)) + 0.3 * random.normal(size=(groups, classes))
    pair = []
    for system in (0, 1):
        share = expit(voice + 0.4 * random.normal(size=(groups, classes)))
        if kind in ("other classes", "one class a speaker"):  # 10 points of two recalls, the other way round
            share = np.clip(share + np.array([[-0.1, 0.1, 0, 0], [0.1, -0.1, 0, 0]])[system], 0, 1)
        if kind == "few speakers" and system:
            share = share + np.where(random.random((groups, 1)) < 0.2, 0.8, -0.2) * 0.5 * (1 - share)
        pair.append(counts(random.binomial(n, np.clip(share, 0, 1)), n))
    return pair[0], pair[1]


def coverage(groups: int, difficulty: float, metric: str, draws: int) -> float:
    """Share of intervals that hold the truth."""
    truth = METRICS[metric](draw(np.random.default_rng(9), MANY, difficulty).sum(0)) / 100
    random, held = np.random.default_rng(1), 0
    for _ in range(draws):
        drawn = draw(random, groups, difficulty)
        _, low, high, _ = jackknife(drawn[None], METRICS[metric], (0.0, 100.0), shares(drawn, METRICS[metric]))
        held += bool(low <= 100 * truth <= high)
    return held / draws


def designs() -> dict[str, np.ndarray]:
    """(G, C) utterances that every speaker has of every class, in corpora and in two made-up ones."""
    random = np.random.default_rng(3)
    rare = np.full((24, 4), 10)
    rare[2:, 3] = 0
    sizes = np.maximum(np.round(10 * np.exp(random.normal(size=(24, 1)) - 0.5)), 1)
    return {
        "EMOVO, 6 speakers": np.full((6, 7), 14),
        "EmoDB, 10": np.array(EMODB),
        "URDU, 29": np.array(URDU),
        "24, log-normal sizes": (sizes * np.ones(4)).astype(int),
        "24, a class of 2 only": rare,
    }


def effects(random: np.random.Generator, groups: int, kind: str) -> np.ndarray:
    """(G, 1) effects of speakers on the logit, of mean 0."""
    if kind == "normal":
        return 0.9 * random.normal(size=(groups, 1))
    if kind == "few hard speakers":
        return 0.4 - 2.4 * (random.random((groups, 1)) < 1 / 6)
    return 0.9 * (1 - random.exponential(size=(groups, 1)))


def coverage_of_design(n: np.ndarray, kind: str, draws: int, difficulty: float = 1.0) -> float:
    """Share of the intervals for UA that hold the mean recall of all further speakers; NaN: there is no interval.

    Args:
        n: (G, C) utterances.
    """

    def recalled(random: np.random.Generator, groups: int) -> np.ndarray:
        voice = effects(random, groups, kind) + 0.3 * random.normal(size=(groups, n.shape[1]))
        return expit(difficulty + voice)

    truth = recalled(np.random.default_rng(9), MANY).mean()
    random, held, known = np.random.default_rng(1), 0, 0
    for _ in range(draws):
        right = counts(random.binomial(n, recalled(random, len(n))), n)
        _, low, high, _ = jackknife(right[None], ua, (0.0, 1.0), shares(right, METRICS["UA"]))
        known += bool(np.isfinite(low))
        held += bool(low <= truth <= high)
    return held / known if known else np.nan


def bootstrap(groups: int, difficulty: float, draws: int, resamples: int = 1000) -> float:
    """The same of the percentile bootstrap for UA."""
    truth = ua(draw(np.random.default_rng(9), MANY, difficulty).sum(0))
    random, held = np.random.default_rng(1), 0
    for _ in range(draws):
        sample = draw(random, groups, difficulty).reshape(groups, -1)
        often = random.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
        values = ua((often @ sample).reshape(resamples, len(SHARES), len(SHARES)))
        low, high = np.quantile(values, (0.025, 0.975))
        held += bool(low <= truth <= high)
    return held / draws


def false_alarms(groups: int, kind: str, draws: int) -> tuple[float, float, float]:
    """Of the difference in UA: share of tests with p <= 0.05, of draws with an interval, of these that hold it."""
    big = draw_pair(np.random.default_rng(9), MANY, kind)
    truth = float(METRICS["UA"](big[0].sum(0)) - METRICS["UA"](big[1].sum(0)))
    random, swaps, alarms, known, held = np.random.default_rng(1), signs(groups), 0, 0, 0
    for _ in range(draws):
        first, second = (part[None] for part in draw_pair(random, groups, kind))
        alarms += swap_test(first, second, "UA", swaps) <= 0.05
        seen = difference(first, second, METRICS["UA"])
        known += bool(np.isfinite(seen.error))
        held += seen.low <= truth <= seen.high
    return alarms / draws, known / draws, held / max(known, 1)


def over_corpora(kind: str, draws: int) -> tuple[float, float]:
    """Of a difference in mean UA over four corpora: share of p <= 0.05, and of intervals that hold it."""
    big = draw_pair(np.random.default_rng(9), MANY, kind)
    truth = float(METRICS["UA"](big[0].sum(0)) - METRICS["UA"](big[1].sum(0)))
    random, alarms, held = np.random.default_rng(1), 0, 0

    def answers(index: int, groups: int) -> list[Answer]:
        task = SimpleNamespace(name=f"t{index}", headline="UA", family=f"f{index}", corpus="", classes=["a"])
        pair = draw_pair(random, groups, kind)
        names = [f"{g:03}" for g in range(groups)]
        return [
            Answer(SimpleNamespace(task=task, cell=SimpleNamespace(upstream=u), marks=[]), part[None], names)
            for u, part in zip("ab", pair, strict=True)
        ]

    for _ in range(draws):
        (pair,) = across([answers(i, groups) for i, groups in enumerate(CORPORA)]).pairs
        alarms += pair.p <= 0.05
        low, high = pair.effect.low, pair.effect.high
        held += low <= truth * (1 if pair.first == "a" else -1) <= high
    return alarms / draws, held / draws


def print_designs(draws: int) -> None:
    print(f"{'interval holds UA':<28}" + "".join(f"{kind:>20}" for kind in EFFECTS))
    for name, n in designs().items():
        row = "".join(f"{100 * coverage_of_design(n, kind, draws):20.1f}" for kind in EFFECTS)
        print(f"{name:<28}{row}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--draws", type=int, default=2000)
    draws = options.parse_args().draws
    head = "".join(f"{g:>8}" for g in GROUPS)
    print(f"{draws} draws a figure, percent\n{'groups':<44}{head}")
    for words, difficulty in DIFFICULTY.items():
        for name in ("WA", "UA"):
            row = "".join(f"{100 * coverage(g, difficulty, name, draws):8.1f}" for g in GROUPS)
            print(f"{f'interval holds {name}, {words}':<44}{row}")
        row = "".join(f"{100 * bootstrap(g, difficulty, draws // 2):8.1f}" for g in GROUPS)
        print(f"{'  percentile bootstrap of groups, UA':<44}{row}")
    for kind in PAIRS:
        alarms = np.array([false_alarms(g, kind, draws) for g in GROUPS]).T
        words = (f"p <= 0.05 though equal, {kind}", "  interval known", "  interval, where known, holds the difference")
        for name, figures in zip(words, alarms, strict=True):
            print(f"{name:<44}" + "".join(f"{100 * figure:8.1f}" for figure in figures), flush=True)
    for kind in ("exchangeable", "other classes", "few speakers"):
        alarm, held = over_corpora(kind, draws)
        words = f"over corpora of {', '.join(map(str, CORPORA))} groups, {kind}"
        print(f"{words}: p <= 0.05 though equal {100 * alarm:.1f}, interval holds {100 * held:.1f}")
    print_designs(draws)


if __name__ == "__main__":
    main()
