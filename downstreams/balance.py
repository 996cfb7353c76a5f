"""Whether a head's loss weighs classes alike, and the weights."""

from __future__ import annotations

import numpy as np

from commons.corridors.problem import Problem
from commons.metrics import METRICS
from downstreams.settings import ClassWeights


def balanced(setting: ClassWeights, problem: Problem) -> bool:
    """Whether classes weigh alike: as `setting` says, or (`headline`) where they do in the metric that choices go by.

    That metric is the task's headline unless its protocol demands another one. UA and macro-F1 weigh classes alike; WA
    and WF1 weigh utterances alike, and a balanced loss would give away accuracy on frequent classes for nothing.
    """
    if setting == "headline":
        return METRICS[problem.select_on].by_class
    return setting == "balanced"


def weights(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) float32 weights under which every class that occurs counts the same: n / (K n_c), mean 1 over utterances.

    K is the number of classes that occur. It is scikit-learn's `class_weight="balanced"`.

    Args:
        targets: (n,) class indices.
    """
    counts = np.bincount(targets, minlength=n_classes)
    return (len(targets) / np.maximum(counts, 1) / np.count_nonzero(counts)).astype(np.float32)
