"""Whether a system's probabilities can be trusted: measures of them, and corrections that never see test.

A head whose loss weighs classes alike gives probabilities for a world in which all classes are equally frequent. Its
prior correction multiplies them by the classes' shares among the fold's held-out utterances (training or dev speakers).
A temperature T divides the logarithms before that: softmax(log p / T + log share). It is the one with the smallest log
loss on the same held-out utterances, fold by fold and seed by seed.

ECE, the mean distance of confidence and accuracy in bins of equal mass, is biased: it is above 0 for a calibrated
system, the more so the fewer utterances there are. So beside it stands what a calibrated system with the same
confidences would have on average (`calibrated_ece`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from commons.corridors.record import Record, Score, Task
from commons.metrics import OF_PROBABILITIES, mean_of
from leaderboard.errors import LeaderboardError
from leaderboard.records import parquet
from leaderboard.records.intervals import jackknife
from leaderboard.trust.systems import System, of_draws, where

BINS = 10
DRAWS = 200  # of outcomes of a calibrated system
COVERAGES = (50, 80)  # percent of the utterances, the surest ones
SMALLEST = float(np.finfo(np.float32).tiny)  # of a probability whose logarithm is taken
EPS = float(np.finfo(np.float64).eps)  # of the log loss, as scikit-learn has it
COLDEST, HOTTEST = 0.05, 20.0  # temperatures between which the best one is looked for


@dataclass(frozen=True)
class Answers:
    """Probabilities of N answers.

    Attributes:
        probabilities: (N, C), with sum 1.
        target: (N,) class indices.
        seed, fold, group: (N,) indices; fold and seed together are a fit.
    """

    probabilities: np.ndarray
    target: np.ndarray
    seed: np.ndarray
    fold: np.ndarray
    group: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """(N,) probability of the class that is predicted."""
        return np.asarray(self.probabilities.max(1))

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return np.asarray(self.probabilities.argmax(1) == self.target)


def answers(table: pd.DataFrame, task: Task) -> Answers | None:
    """The answers in a table of predictions; None where it holds no probabilities."""
    columns = [f"score:{name}" for name in task.classes]
    if not set(columns) <= set(table):
        return None
    values = table[columns].to_numpy(np.float64)
    if not np.isfinite(values).all():
        return None
    return Answers(
        probabilities=values / values.sum(1, keepdims=True),
        target=pd.Index(task.classes).get_indexer(pd.Index(table["target"])),
        seed=np.unique(table["seed"], return_inverse=True)[1],
        fold=pd.Index(task.folds).get_indexer(pd.Index(table["fold"])),
        group=pd.factorize(table["group"].astype(str), sort=True)[0] if "group" in table else np.zeros(len(table), int),
    )


def held_out(results: Path, system: System) -> Answers | None:
    """The held-out answers of a system, seeds numbered as in its table; None where they are not known.

    Raises:
        LeaderboardError: a file cannot be read, or is not the recorded one.
    """
    tables = []
    for record in system.draws:
        table = parquet.held_out(where(results, record), record)
        if table is None or set(table["seed"]) != set(record.cell.seeds):
            return None
        tables.append(table)
    return answers(of_draws(tables), system.record.task)


@dataclass(frozen=True)
class Correction:
    """How probabilities of one fit are corrected: softmax(log p / temperature + shift)."""

    temperature: float
    shift: np.ndarray

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Corrected probabilities (n, C)."""
        logits = np.log(probabilities.clip(SMALLEST)) / self.temperature + self.shift
        return np.asarray(softmax(logits, axis=1))


def correction(probabilities: np.ndarray, target: np.ndarray, prior: bool, temperature: bool) -> Correction:
    """The correction that held-out answers of one fit ask for.

    Args:
        probabilities: (m, C); target: (m,).
        prior: whether the fit weighed classes alike, so that their shares are put back (one is added to each count).
        temperature: whether a temperature is fitted.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(target, minlength=classes) + 1.0
    shift = np.log(counts / counts.sum()) if prior else np.zeros(classes)
    if not temperature:
        return Correction(1.0, shift)
    logits, rows = np.log(probabilities.clip(SMALLEST)), np.arange(len(target))

    def loss(power: float) -> float:
        return float(-log_softmax(logits / np.exp(power) + shift, axis=1)[rows, target].mean())

    best = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return Correction(float(np.exp(best.x)), shift)


def at_end(temperatures: Sequence[float]) -> int:
    """How many temperatures lie at an end of what was looked through: the best ones are beyond it, or there is none."""
    return sum(not 1.01 * COLDEST < own < HOTTEST / 1.01 for own in temperatures)


def corrected(test: Answers, known: Answers, prior: bool, temperature: bool) -> tuple[Answers, list[float]]:
    """Test answers after the correction of every fit, and the fits' temperatures.

    Raises:
        LeaderboardError: a fit has no held-out answers.
    """
    made, temperatures = test.probabilities.copy(), []
    for seed, fold in sorted({*zip(test.seed.tolist(), test.fold.tolist(), strict=True)}):
        own = (known.seed == seed) & (known.fold == fold)
        if not own.any():
            raise LeaderboardError(f"held-out predictions lack fold {fold} of seed {seed}; measure the cell again")
        change = correction(known.probabilities[own], known.target[own], prior, temperature)
        rows = (test.seed == seed) & (test.fold == fold)
        made[rows] = change(made[rows])
        temperatures.append(change.temperature)
    return replace(test, probabilities=made), temperatures


def balanced(record: Record) -> bool:
    """Whether the head's loss weighed classes alike."""
    return record.downstream.class_weights == "balanced"


def brier(answers: Answers) -> np.ndarray:
    """(N,) sum over classes of (p - y)^2, from 0 to 2 (Brier 1950)."""
    truth = np.eye(answers.probabilities.shape[1])[answers.target]
    return np.asarray(((answers.probabilities - truth) ** 2).sum(1))


def log_loss(answers: Answers) -> np.ndarray:
    """(N,) -log p of the true class, in nats."""
    rows = np.arange(len(answers.target))
    return np.asarray(-np.log(answers.probabilities[rows, answers.target].clip(EPS, 1.0)))


def score(answers: Answers, name: str) -> Score:
    """`Brier` or `log_loss` with its interval over groups; the mean over seeds."""
    losses = {"Brier": brier, "log_loss": log_loss}[name](answers)
    return _mean(answers, losses, np.ones(len(losses)), 1.0, OF_PROBABILITIES[name].limits)


def overconfidence(answers: Answers) -> Score:
    """Mean confidence less accuracy, in points: above 0 the system is surer than it is right."""
    return _mean(answers, answers.confidence - answers.right, np.ones(len(answers.target)), 100.0, (-100.0, 100.0))


def accuracy_at(answers: Answers, coverage: int) -> Score:
    """Accuracy on the surest `coverage` percent of all utterances, seed by seed.

    Its interval leaves out groups at the confidence from which utterances are kept.
    """
    kept = np.zeros(len(answers.target), dtype=bool)
    for seed in np.unique(answers.seed):
        rows = np.flatnonzero(answers.seed == seed)
        surest = rows[np.argsort(-answers.confidence[rows], kind="stable")]
        kept[surest[: max(1, round(len(rows) * coverage / 100))]] = True
    return _mean(answers, (answers.right & kept).astype(float), kept.astype(float), 100.0, (0.0, 100.0))


def _mean(answers: Answers, added: np.ndarray, counted: np.ndarray, scale: float, limits: tuple[float, float]) -> Score:
    """scale * sum of `added` over sum of `counted`, the mean over seeds, with its interval over groups."""
    groups = answers.group.max() + 1
    place, size = answers.seed * groups + answers.group, (answers.seed.max() + 1) * groups
    sums = np.stack([np.bincount(place, part, size) for part in (added, counted)], axis=-1)
    statistics = sums.reshape(-1, groups, 2)
    carried = statistics[..., 1].sum(0) / statistics[..., 1].sum()
    value, low, high, undefined = jackknife(statistics, lambda s: scale * mean_of(s), limits, carried)
    bottom, top = (float(part) if np.isfinite(part) else None for part in (low, high))
    return Score(value=float(value), low=bottom, high=top, undefined=int(undefined))


def bins(answers: Answers, count: int = BINS) -> Iterator[np.ndarray]:
    """Rows of every bin: as many utterances in each, from the least to the most confident."""
    yield from np.array_split(np.argsort(answers.confidence, kind="stable"), min(count, len(answers.target)))


def ece(answers: Answers) -> float:
    """Expected calibration error in bins of equal mass, percent (Naeini et al. 2015); the mean over seeds."""
    return float(np.mean([_ece(own.confidence, own.right[None], own) for own in of_seeds(answers)]))


def calibrated_ece(answers: Answers) -> float:
    """The ECE that a calibrated system with these confidences would have on average, percent.

    Its outcomes are drawn independently, so where utterances of a speaker are alike it would be larger still.
    """
    random, means = np.random.default_rng(0), []
    for own in of_seeds(answers):
        right = random.random((DRAWS, len(own.target))) < own.confidence
        means.append(_ece(own.confidence, right, own))
    return float(np.mean(means))


def _ece(confidence: np.ndarray, right: np.ndarray, own: Answers) -> float:
    """The mean over outcomes `right` (draws, N)."""
    parts = [np.abs((right[:, rows] - confidence[rows]).sum(1)) for rows in bins(own)]
    return float(100 * np.mean(np.sum(parts, axis=0)) / len(confidence))


def of_seeds(answers: Answers) -> Sequence[Answers]:
    """The answers of every seed."""
    made = []
    for seed in np.unique(answers.seed):
        rows = answers.seed == seed
        made.append(Answers(answers.probabilities[rows], answers.target[rows], answers.seed[rows] * 0,
                            answers.fold[rows], answers.group[rows]))  # fmt: skip
    return made
