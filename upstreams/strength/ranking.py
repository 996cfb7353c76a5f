"""Relative attributes: how strong an emotion is, learnt from pairs of utterances of which one is stronger.

For each emotion a linear function of functionals is learnt that ranks a speaker's utterances of the emotion above the
same speaker's neutral ones, and two of one kind alike (Parikh and Grauman, ICCV 2011). Its values, less the speaker's
neutral mean, scaled to 0..1, are the strengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from upstreams.strength.table import NEUTRAL

MOST_PAIRS = 50_000  # of an emotion, of each kind; beyond it they are drawn
RIDGE = 0.01  # of half the squared norm, beside the mean losses of pairs
RANGE = (1.0, 99.0)  # percentiles that become 0 and 1; a single odd utterance then decides nothing


@dataclass(frozen=True)
class Strengths:
    """values: (N,) in 0..1; a neutral utterance has the mean of its values for all emotions.

    ordered: emotion -> share of the pairs, those that it was fitted to, that are ranked right.
    """

    values: np.ndarray
    ordered: Mapping[str, float]


def strengths(functionals: np.ndarray, table: pd.DataFrame, seed: int = 1) -> Strengths:
    """Strengths of the utterances of a table (speaker, emotion), from their (N, D) functionals.

    Of every emotion a speaker has neutral utterances, too (`table.load` sees to it).
    """
    z = _standardised(functionals)
    emotion, speaker = table["emotion"].to_numpy(), table["speaker"].to_numpy()
    neutral = emotion == NEUTRAL
    values, count, ordered = np.zeros(len(table)), np.zeros(len(table)), {}
    for number, name in enumerate(sorted(set(emotion) - {NEUTRAL})):
        rng = np.random.default_rng((seed, number))
        strong, weak = _pairs(emotion == name, neutral, speaker, rng)
        alike = [_alike(part, speaker, rng) for part in (emotion == name, neutral)]
        differences = z[strong] - z[weak]
        w = _fit(differences, np.concatenate([z[a] - z[b] for a, b in alike]))
        ordered[str(name)] = float((differences @ w > 0).mean())
        rows = (emotion == name) | neutral
        own = _scaled((z @ w)[rows] - _neutral_means(z @ w, speaker, neutral)[rows])
        values[rows] += own
        count[rows] += 1
    return Strengths(values / np.maximum(count, 1), ordered)


def _standardised(functionals: np.ndarray) -> np.ndarray:
    x = functionals.astype(float)
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)


def _speakers(members: np.ndarray, speaker: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for one in sorted(set(speaker[members])):
        yield one, np.flatnonzero(members & (speaker == one))


def _pairs(
    strong: np.ndarray, weak: np.ndarray, speaker: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each pair of a speaker: the first is of the emotion, the second neutral."""
    firsts, seconds = [np.zeros(0, int)], [np.zeros(0, int)]
    for one, rows in _speakers(strong, speaker):
        others = np.flatnonzero(weak & (speaker == one))
        firsts.append(np.repeat(rows, len(others)))
        seconds.append(np.tile(others, len(rows)))
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    if len(first) <= MOST_PAIRS:
        return first, second
    some = rng.choice(len(first), MOST_PAIRS, replace=False)
    return first[some], second[some]


def _alike(members: np.ndarray, speaker: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Every utterance of a kind beside one of its speaker, drawn without replacement; now and then it is itself."""
    firsts, seconds = [], []
    for _, rows in _speakers(members, speaker):
        firsts.append(rows)
        seconds.append(rng.permutation(rows))
    return np.concatenate(firsts), np.concatenate(seconds)


def _fit(ranked: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """The w that minimises RIDGE/2 |w|^2 + mean max(0, 1 - w ranked)^2 + mean (w alike)^2."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        short, apart = np.maximum(0, 1 - ranked @ w), alike @ w
        value = RIDGE / 2 * w @ w + np.mean(short**2) + np.mean(apart**2)
        slope = RIDGE * w + 2 * (apart @ alike / len(alike) - short @ ranked / len(ranked))
        return value, slope

    return minimize(loss, np.zeros(ranked.shape[1]), jac=True, method="L-BFGS-B").x


def _neutral_means(values: np.ndarray, speaker: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(N,) the mean of the speaker's neutral utterances; of all neutral ones where the speaker has none."""
    means = np.full(len(values), values[neutral].mean())
    for one, rows in _speakers(neutral, speaker):
        means[speaker == one] = values[rows].mean()
    return means


def _scaled(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, RANGE)
    return np.clip((values - low) / max(high - low, 1e-9), 0, 1)
