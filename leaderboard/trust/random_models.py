"""How far groups differ by chance alone: a model that guesses, on groups of the same sizes.

ser-tests (Derington et al. 2023) takes the greatest difference of 1,000 such models as the threshold of a fair one. A
model that guesses knows nothing of speakers, so its answers are independent, and it errs more often than a trained
model: the threshold says what groups of these sizes can show at all, the interval over speakers how sure a gap is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from leaderboard.trust.groups import Figure

DRAWS = 1000


def thresholds(sizes: np.ndarray, figures: Mapping[str, Figure], draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """For every figure the greatest gap between best and worst group of `draws` models that guess, in points.

    Args:
        sizes: (L, C) utterances of every group and class.
        figures: of counts (..., C, C), in percent; groups of which one is undefined take no part.
    """
    random = np.random.default_rng(seed)
    classes = sizes.shape[1]
    greatest = dict.fromkeys(figures, 0.0)
    for _ in range(draws):
        counts = random.multinomial(sizes.astype(np.int64), np.full(classes, 1 / classes)).astype(np.float64)
        for name, figure in figures.items():
            values = figure(counts)
            known = values[np.isfinite(values)]
            if len(known) > 1:
                greatest[name] = max(greatest[name], float(known.max() - known.min()))
    return greatest
