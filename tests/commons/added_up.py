"""Additive statistics of made-up answers, for tests that loop over all metrics."""

import numpy as np

from commons import ordinal, sequences, votes
from commons.metrics import REGRESSION, sums


def added_up(kind, target, guess, group, groups):
    """(G, ...) statistics of three classes, of values, of three levels or votes of which an answer is certain, or of
    sequences of one to three symbols."""
    if kind == REGRESSION:
        return sums(target, guess, group, n_groups=groups)
    if kind == "sequence":
        symbols = np.array(["a", "b c", "a c b"])
        return sequences.sums(symbols[target], symbols[guess], group, groups)
    counts = sums(target, guess, group, n_groups=groups, n_classes=3)
    if kind == "distribution":
        voted = 0.8 * np.eye(3)[target] + 0.2 * np.eye(3)[(target + 1) % 3]
        return votes.sums(counts, target, votes.outcomes(voted, 0.7 * np.eye(3)[guess] + 0.1), group)
    if kind != "ordinal":
        return counts
    made = ordinal.outcomes(target, np.eye(3)[guess], (0.0, 0.5, 1.0), np.arange(len(target)) // 60 * groups + group)
    return ordinal.sums(counts, target, made, group)
