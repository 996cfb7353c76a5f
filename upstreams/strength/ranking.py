"""Relative attributes: how strong an emotion is, learnt from pairs of utterances of which one is stronger.

For each emotion a linear function of functionals is learnt that ranks a speaker's utterances of the emotion above the
same speaker's neutral ones, and two of one kind alike (Parikh and Grauman, ICCV 2011). Its values, less the speaker's
neutral mean, scaled to 0..1, are the strengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from upstreams.strength.table import NEUTRAL

MOST_PAIRS = 50_000  # of an emotion, of each kind; beyond it they are drawn
RIDGE = 0.01  # of half the squared norm, beside the mean losses of pairs
RANGE = (1.0, 99.0)  # percentiles that become 0 and 1; a single odd utterance then decides nothing


@dataclass(frozen=True)
class Ranking:
    """Emotion -> (D,) weights of functionals less their `mean` (D,) and divided by their `scale` (D,)."""

    mean: np.ndarray
    scale: np.ndarray
    weights: Mapping[str, np.ndarray]

    def values(self, functionals: np.ndarray) -> dict[str, np.ndarray]:
        """Emotion -> (N,) values of utterances, from their (N, D) functionals: larger where the emotion is stronger."""
        z = (functionals.astype(float) - self.mean) / self.scale
        return {emotion: z @ w for emotion, w in self.weights.items()}


def learnt(functionals: np.ndarray, table: pd.DataFrame, seed: int = 1) -> Ranking:
    """The ranking of the utterances of a table (speaker, emotion), from their (N, D) functionals.

    Emotions of which no speaker has neutral utterances, too, are left out.
    """
    x = functionals.astype(float)
    ranking = Ranking(x.mean(0), np.maximum(x.std(0), 1e-9), {})
    z = (x - ranking.mean) / ranking.scale
    weights: dict[str, np.ndarray] = {}
    emotion, speaker = table["emotion"].to_numpy(), table["speaker"].to_numpy()
    neutral = emotion == NEUTRAL
    for number, name in enumerate(_emotions(table)):
        rng = np.random.default_rng((seed, number))
        strong, weak = _pairs(emotion == name, neutral, speaker, rng)
        if not len(strong):
            continue
        alike = [_alike(part, speaker, rng) for part in (emotion == name, neutral)]
        weights[name] = _fit(z[strong] - z[weak], np.concatenate([z[a] - z[b] for a, b in alike]))
    return replace(ranking, weights=weights)


def strengths(ranking: Ranking, functionals: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """(N,) in 0..1: how strong the emotion is in the utterances that were ranked.

    A neutral utterance has the mean of its values for all emotions.
    """
    emotion, speaker = table["emotion"].to_numpy(), table["speaker"].to_numpy()
    neutral = emotion == NEUTRAL
    values, count = np.zeros(len(table)), np.zeros(len(table))
    for name, own in ranking.values(functionals).items():
        rows = (emotion == name) | neutral
        values[rows] += _scaled((own - _neutral_means(own, speaker, neutral))[rows])
        count[rows] += 1
    return values / np.maximum(count, 1)


def ordered(ranking: Ranking, functionals: np.ndarray, table: pd.DataFrame, seed: int = 1) -> dict[str, float]:
    """Emotion -> share of the pairs of utterances of one speaker that are ranked right, the emotional above the neutral
    one; emotions without pairs are left out."""
    emotion, speaker = table["emotion"].to_numpy(), table["speaker"].to_numpy()
    shares: dict[str, float] = {}
    for number, (name, own) in enumerate(ranking.values(functionals).items()):
        rng = np.random.default_rng((seed, number))
        strong, weak = _pairs(emotion == name, emotion == NEUTRAL, speaker, rng)
        if len(strong):
            shares[name] = float((own[strong] > own[weak]).mean())
    return shares


def _emotions(table: pd.DataFrame) -> list[str]:
    return sorted(set(table["emotion"]) - {NEUTRAL})


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
