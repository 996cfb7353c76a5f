"""What each class weighs in a head's loss."""

from __future__ import annotations

from typing import Literal

import numpy as np

from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS
from downstreams.settings import ClassWeights, Trained


def applied(setting: ClassWeights, problem: Problem) -> Literal["balanced", "effective", "none"]:
    """What a setting means for a problem: classes weigh alike, by their effective numbers, or as their utterances do.

    `headline` is balanced where classes weigh alike in the metric that choices go by. That is the task's headline
    unless its protocol demands another one. UA and macro-F1 weigh classes alike; WA and WF1 weigh utterances alike, and
    a balanced loss would give away accuracy on frequent classes for nothing.
    """
    if setting == "headline":
        return "balanced" if METRICS[problem.select_on].by_class else "none"
    return setting


def balanced(setting: ClassWeights, problem: Problem) -> bool:
    """Whether classes weigh alike."""
    return applied(setting, problem) == "balanced"


def of_fold(problem: Problem, fold: Fold, settings: Trained) -> np.ndarray | None:
    """(C,) float32 weights of the classes in the loss on a fold's training part; None where utterances weigh alike."""
    how, targets = applied(settings.class_weights, problem), problem.targets[fold.train]
    if how == "none":
        return None
    if how == "balanced":
        return weights(targets, len(problem.classes))
    return effective(targets, len(problem.classes), settings.effective_beta)


def weights(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) float32 weights under which every class that occurs counts the same: n / (K n_c), mean 1 over utterances.

    K is the number of classes that occur. It is scikit-learn's `class_weight="balanced"`.

    Args:
        targets: (n,) class indices.
    """
    counts = np.bincount(targets, minlength=n_classes)
    return (len(targets) / np.maximum(counts, 1) / np.count_nonzero(counts)).astype(np.float32)


def effective(targets: np.ndarray, n_classes: int, beta: float) -> np.ndarray:
    """(C,) float32 weights by the inverse effective number of a class's utterances (Cui et al. 2019, arXiv 1901.05555).

    Of n utterances it is (1 - beta^n) / (1 - beta): each further one tells less. Beta 0 weighs utterances alike, beta
    towards 1 classes. The mean over utterances is 1, as that of `weights` (in the paper the sum over classes is C).

    >>> effective(np.array([0, 0, 0, 1]), 2, 0.0).tolist()
    [1.0, 1.0]

    Args:
        targets: (n,) class indices.
    """
    counts = np.bincount(targets, minlength=n_classes)
    own = np.where(counts > 0, (1 - beta) / (1 - beta ** np.maximum(counts, 1)), 0.0)
    return (own * len(targets) / (own @ counts)).astype(np.float32)
