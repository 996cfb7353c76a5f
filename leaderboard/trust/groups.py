"""How well a system does on each group of utterances: by gender, language, intensity ..., and by speaker.

UA of a group is the mean recall over the classes that all groups hold, so that groups of other classes are not compared
in what they say. Precision of a class is its share of right answers among the group's utterances that were given it.

The worst group is compared with the best one. Intervals leave out one unit of resampling (speaker) at a time, as those
of the records do. Where no unit is in both groups, the variances of the two figures add up (degrees of freedom by
Welch and Satterthwaite); else a unit is left out of both at once. The pair was chosen for being far apart, so with k
groups its interval is one of the k (k - 1) / 2 that hold together with 95 % (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import beta

from commons.corridors.record import Score, Task
from commons.corridors.utterances import PEOPLE
from commons.metrics import recalls, sums
from leaderboard.records.intervals import LEVEL, freedom, jackknife, leave_one_out, standard_error
from leaderboard.records.scoring import resampled

Figure = Callable[[np.ndarray], np.ndarray]  # counts (..., C, C) -> percent (...)

# What groups are made by, in the order of tables; speakers have a table of their own.
COLUMNS = ("gender", *PEOPLE, "language", "intensity", "style", "session", "sentence")
AGES = (0, 30, 45, 60)  # years, where groups of ages in numbers begin
MOST = 12  # groups of a column; of more, tables and pictures say little
FEWEST = 2  # classes that all groups must hold


@dataclass(frozen=True)
class Groups:
    """A system's answers by group.

    Attributes:
        column: what the groups are made by.
        names: of the L groups, sorted.
        statistics: (S, G, L, C, C) confusion counts of S seeds and G units of resampling.
        classes: (C,) bool, the classes that all groups hold.
    """

    column: str
    names: list[str]
    statistics: np.ndarray
    classes: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """(L, C) utterances of every group and class."""
        return np.asarray(self.statistics[0].sum((0, -1)))

    def units(self, group: int) -> np.ndarray:
        """(G,) bool: the units of resampling that are in a group."""
        return np.asarray(self.statistics[0, :, group].sum((-1, -2)) > 0)


@dataclass(frozen=True)
class Gap:
    """The worst group against the best: their names, the difference in points, and its 95 % interval."""

    worst: str
    best: str
    value: float
    low: float | None
    high: float | None


def grouped(table: pd.DataFrame, task: Task, column: str) -> Groups | None:
    """The answers of a table by a column; None where it has fewer than two groups, or they share too few classes."""
    if column not in table:
        return None
    known = table[table[column].notna()]
    level, names = pd.factorize(_named(known[column]), sort=True)
    if not 2 <= len(names) <= MOST:
        return None
    unit, units = pd.factorize(resampled(known["group"], task), sort=True)
    seed, seeds = pd.factorize(known["seed"], sort=True)
    classes = pd.Index(task.classes)
    place = (seed * len(units) + unit) * len(names) + level
    counts = sums(
        classes.get_indexer(pd.Index(known["target"])), classes.get_indexer(pd.Index(known["prediction"])), place,
        n_groups=len(seeds) * len(units) * len(names), n_classes=len(classes),
    )  # fmt: skip
    statistics = counts.reshape(len(seeds), len(units), len(names), *counts.shape[1:])
    held = (statistics[0].sum((0, -1)) > 0).all(0)
    return Groups(column, list(names), statistics, held) if held.sum() >= FEWEST else None


def _named(values: pd.Series) -> pd.Series:
    """The names of the groups that values make; ages in years are put into a few spans."""
    words = values.astype(str)
    years = pd.to_numeric(words, errors="coerce") if values.name == "age" else None
    if years is None or years.isna().any():
        return words
    ends = (*AGES[1:], np.inf)
    spans = [
        f"{first} to {end - 1}" if end < np.inf else f"{first} and more" for first, end in zip(AGES, ends, strict=True)
    ]
    return pd.cut(years, (*AGES, np.inf), right=False, labels=spans).astype(str)


def ua_of(classes: np.ndarray) -> Figure:
    """The mean recall over some classes, (C,) bool; NaN where one of them has no utterance."""
    return lambda counts: 100.0 * recalls(counts)[..., classes].mean(-1)


def recall_of(index: int) -> Figure:
    """The recall of a class; NaN where it has no utterance."""
    return lambda counts: 100.0 * recalls(counts)[..., index]


def precision_of(index: int) -> Figure:
    """The precision of a class; NaN where nothing was given it."""
    return lambda counts: 100.0 * recalls(np.swapaxes(counts, -1, -2))[..., index]


def scores(groups: Groups) -> list[Score]:
    """UA of every group over the shared classes, with its interval."""
    figure, made = ua_of(groups.classes), []
    for index in range(len(groups.names)):
        own = groups.statistics[:, groups.units(index), index]
        parts = jackknife(own, figure, (0.0, 100.0), _carried(own, groups.classes))
        value, low, high, undefined = (np.asarray(part).item() for part in parts)
        made.append(Score(value=plain(value), low=plain(low), high=plain(high), undefined=int(undefined)))
    return made


def gap(groups: Groups, figure: Figure, classes: np.ndarray) -> Gap | None:
    """The worst group against the best in a figure; None where a figure is undefined.

    There is no interval where one of both is 0 or 100 %: that every speaker has it does not tell how far off the next
    might be, as in `jackknife`.

    Args:
        classes: (C,) bool, the classes that the figure rests on.
    """
    values = figure(groups.statistics.sum(1)).mean(0)
    if not np.isfinite(values).all():
        return None
    worst, best = int(values.argmin()), int(values.argmax())
    if worst == best:  # all are equal
        worst, best = 0, len(values) - 1
    error, df = _error(groups, worst, best, figure, classes)
    if values[worst] <= 0 or values[best] >= 100:
        error = np.nan
    pairs = len(values) * (len(values) - 1) / 2
    reach = stdtrit(df, 1 - (1 - LEVEL) / 2 / pairs) * error
    value = float(values[worst] - values[best])
    low, high = max(value - reach, -100.0), min(value + reach, 100.0)
    return Gap(groups.names[worst], groups.names[best], value, plain(low), plain(high))


def _error(groups: Groups, first: int, second: int, figure: Figure, classes: np.ndarray) -> tuple[float, float]:
    """Standard error of the difference of two groups, and its degrees of freedom; NaN where it cannot be known."""
    inside = groups.units(first), groups.units(second)
    if not (inside[0] & inside[1]).any():
        parts = [_alone(groups.statistics[:, own, index], figure, classes)
                 for own, index in zip(inside, (first, second), strict=True)]  # fmt: skip
        variances = [error**2 for error, _ in parts]
        below = sum(variance**2 / df for variance, (_, df) in zip(variances, parts, strict=True))
        return float(np.sqrt(sum(variances))), float(sum(variances) ** 2 / below) if below > 0 else 1.0
    both = groups.statistics[:, inside[0] | inside[1]][:, :, [first, second]]
    carried = np.mean([_carried(both[:, :, index], classes) for index in (0, 1)], axis=0)
    _, without = leave_one_out(both, lambda counts: figure(counts[..., 0, :, :]) - figure(counts[..., 1, :, :]))
    return float(standard_error(without)), float(freedom(carried))


def _alone(statistics: np.ndarray, figure: Figure, classes: np.ndarray) -> tuple[float, float]:
    """Standard error of one group's figure, and its degrees of freedom; NaN with one unit."""
    if statistics.shape[1] < 2:
        return np.nan, 1.0
    _, without = leave_one_out(statistics, figure)
    return float(standard_error(without)), float(freedom(_carried(statistics, classes)))


def _carried(statistics: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(G,) share of every unit in a figure that weighs some classes alike."""
    counts = statistics[0].sum(-1)[:, classes]
    return np.asarray((counts / np.maximum(counts.sum(0), 1)).mean(1))


@dataclass(frozen=True)
class Speakers:
    """UA of every speaker, over the classes that she speaks.

    Attributes:
        names: of the speakers, from the lowest UA to the highest.
        values: their UA.
        chance: the UA of guessing, of each: of joined corpora, among the classes of the speaker's own.
    """

    names: list[str]
    values: np.ndarray
    chance: np.ndarray

    @property
    def failed(self) -> int:
        """The number of speakers at or below chance."""
        return int((self.values <= self.chance + 1e-9).sum())

    @property
    def share(self) -> tuple[float, float, float]:
        """The share of such speakers with its exact interval (Clopper and Pearson 1934), percent."""
        n, k, tail = len(self.values), self.failed, (1 - LEVEL) / 2
        low = 0.0 if k == 0 else beta.ppf(tail, k, n - k + 1)
        high = 1.0 if k == n else beta.ppf(1 - tail, k + 1, n - k)
        return 100 * k / n, 100 * float(low), 100 * float(high)


def of_speakers(table: pd.DataFrame, task: Task) -> Speakers | None:
    """UA of every speaker, the mean over seeds; None where fewer than two are known."""
    if "speaker" not in table or table["speaker"].nunique() < 2:
        return None
    known = table[table["speaker"].notna()]
    right = (known["target"] == known["prediction"]).groupby([known["speaker"], known["seed"], known["target"]]).mean()
    values = 100 * right.groupby(level=[0, 1]).mean().groupby(level=0).mean().sort_values(kind="stable")
    chance = pd.Series(100 / len(task.classes), values.index)
    if task.corpora:
        corpus = known.groupby("speaker")["corpus"].first()
        chance = corpus.map(lambda name: 100 / len(task.corpora[name])).reindex(values.index)
    return Speakers([str(name) for name in values.index], values.to_numpy(), chance.to_numpy())


def plain(value: float) -> float | None:
    """A plain float; None for what is undefined."""
    return float(value) if np.isfinite(value) else None


def figures(task: Task, groups: Groups, what: str) -> Sequence[tuple[str, Figure, np.ndarray]]:
    """`UA`, or the `recall` or `precision` of every shared class: a name, the figure, the classes that it rests on."""
    if what == "UA":
        return [("UA", ua_of(groups.classes), groups.classes)]
    of = recall_of if what == "recall" else precision_of
    every = np.eye(len(task.classes), dtype=bool)
    shared = np.flatnonzero(groups.classes)
    # Precision rests on answers, not on true classes: every utterance carries alike.
    return [
        (task.classes[c], of(int(c)), every[c] if what == "recall" else np.ones(len(every), dtype=bool)) for c in shared
    ]
