"""Branches of a network that learns several targets: one for each further target, beside that of the task.

A branch's loss is a mean over those utterances of a batch that have its label; where none has, there is no loss. So a
corpus without a label neither moves the branch nor weakens the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, ctc_loss, softplus
from torch.nn.utils.rnn import pad_sequence

from commons.corridors.problem import Fold, Problem, Target
from downstreams.errors import DownstreamError
from downstreams.settings import Weight

NEUTRAL = "neutral"  # the class whose utterances have no intensity
# Every branch, and the kind of its target.
BRANCHES: dict[str, Literal["classification", "ordinal", "sequence"]] = {
    "intensity": "ordinal",
    "phonemes": "sequence",
    "gender": "classification",
}


@dataclass(frozen=True)
class Form:
    """What the module of a branch is made from.

    Attributes:
        name: of the branch and its target.
        classes: of the target: its classes, levels from low to high, or symbols.
        levels: how many levels are learnt; of a target that is not ordinal 0.
    """

    name: str
    classes: tuple[str, ...]
    levels: int = 0


@dataclass(frozen=True)
class Label:
    """A further target as a branch learns it on one fold.

    Attributes:
        target: as the problem has it; its values are what is scored.
        weight: of its loss.
        values: (N,) of the target, as they are learnt.
        usable: (N,) bool: the utterances of the fold's training part whose label can be learnt.
        levels: how many levels are learnt; of a target that is not ordinal 0.
    """

    target: Target
    weight: float
    values: np.ndarray
    usable: np.ndarray
    levels: int = 0

    @property
    def form(self) -> Form:
        """What its branch is made from."""
        return Form(self.target.name, self.target.classes, self.levels)


def labels(problem: Problem, fold: Fold, weights: dict[str, Weight], neutral: str, whole: np.ndarray) -> list[Label]:
    """The branches that a fold has: those of a weight above 0 whose label some utterance of train has.

    Args:
        weights: branch -> the weight of its loss.
        neutral: `masked`: neutral utterances have no intensity; `zero`: they lie below the lowest level, those of
            speakers who have utterances with a level.
        whole: (N,) bool: the utterances whose sequence training can read from their frames.

    Raises:
        DownstreamError: a target is of another kind than its branch learns.
    """
    made = []
    for target in problem.also:
        if weights.get(target.name, 0) > 0:
            if target.kind != BRANCHES[target.name]:
                raise DownstreamError(
                    f"target {target.name}: the branch learns a target of kind {BRANCHES[target.name]}, and the task's "
                    f"is of kind {target.kind}; set {target.name}: 0 in a file of settings, or use another task"
                )
            own = _label(problem, fold, target, weights[target.name], neutral, whole)
            made += [own] if own.usable.any() else []
    return made


def readable(problem: Problem, lengths: np.ndarray, longest: int) -> np.ndarray:
    """(N,) bool: the utterances whose frames are enough for their sequences, and few enough to be taken whole.

    Args:
        lengths: (N,) frames of each utterance.
        longest: frames of an utterance in training.
    """
    fits = lengths <= longest
    for target in problem.also:
        if target.kind == "sequence":
            fits = fits & (lengths >= [least(own) for own in target.values])
    return fits


def _label(problem: Problem, fold: Fold, target: Target, weight: float, neutral: str, whole: np.ndarray) -> Label:
    train = np.zeros(len(problem.ids), dtype=bool)
    train[fold.train] = True
    if target.kind == "sequence":
        return Label(target, weight, target.values, target.mask & whole & train)
    if target.kind != "ordinal":
        return Label(target, weight, target.values, target.mask & train)
    levels, values = len(target.classes), target.values
    values = np.where(is_neutral(problem), -1, values)
    # In corpora without levels neutral speech has no place either: there 0 would be all that is learnt.
    lowest = is_neutral(problem) & np.isin(problem.speaker, problem.speaker[train & (values >= 0)])
    if neutral == "zero" and (lowest & train).any():
        levels, values = levels + 1, np.where(lowest, 0, np.where(values < 0, -1, values + 1))
    return Label(target, weight, values, (values >= 0) & train, levels)


def is_neutral(problem: Problem) -> np.ndarray:
    """(N,) bool: the utterances of the class neutral, where there is one."""
    if NEUTRAL not in problem.classes:
        return np.zeros(len(problem.ids), dtype=bool)
    return problem.targets == problem.classes.index(NEUTRAL)


def least(symbols: np.ndarray | None) -> int:
    """The fewest frames that CTC needs for some symbols: one each, and one between two that are equal.

    >>> least(np.array([3, 3, 1])), least(None)
    (4, 0)
    """
    return 0 if symbols is None else len(symbols) + int((symbols[1:] == symbols[:-1]).sum())


class OfClasses(nn.Module):
    """Classes of an utterance, from its vector: softmax."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def losses(self, vectors: Tensor, values: Sequence[int]) -> Tensor:
        """(n,) cross-entropies of vectors (n, P)."""
        return cross_entropy(self.linear(vectors), torch.as_tensor(values, device=vectors.device), reduction="none")

    def probabilities(self, vectors: Tensor) -> Tensor:
        """(n, C)."""
        return self.linear(vectors).softmax(1)


class OfLevels(nn.Module):
    """Levels of an utterance, from its vector: one value, and ascending thresholds between the levels.

    The probability to reach a level is the logistic function of the value less the level's threshold (McCullagh 1980).
    """

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.steps = nn.Parameter(torch.zeros(levels - 2))

    def logits(self, vectors: Tensor) -> Tensor:
        """(n, C - 1): whether an utterance reaches each level but the lowest."""
        thresholds = torch.cat([self.steps.new_zeros(1), softplus(self.steps).cumsum(0)])
        return self.linear(vectors) - thresholds

    def losses(self, vectors: Tensor, values: Sequence[int]) -> Tensor:
        """(n,) means over the thresholds of their binary cross-entropies."""
        logits = self.logits(vectors)
        true = torch.as_tensor(values, device=vectors.device)[:, None]
        reached = (true > torch.arange(logits.shape[1], device=vectors.device)).to(logits.dtype)
        return binary_cross_entropy_with_logits(logits, reached, reduction="none").mean(1)

    def probabilities(self, vectors: Tensor) -> Tensor:
        """(n, C)."""
        reached = self.logits(vectors).sigmoid()
        ones, zeros = torch.ones_like(reached[:, :1]), torch.zeros_like(reached[:, :1])
        return torch.cat([ones, reached], 1) - torch.cat([reached, zeros], 1)


class OfSymbols(nn.Module):
    """Symbols of an utterance in their order, from its frames: CTC (Graves et al. 2006). Output 0 is the blank."""

    def __init__(self, width: int, symbols: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, symbols + 1)

    def losses(self, frames: Sequence[Tensor], values: Sequence[np.ndarray]) -> Tensor:
        """(n,) negative log-likelihoods of the sequences, each divided by its number of symbols.

        Args:
            frames: (T_i, P) of each utterance, as many as `least` says.
        """
        lengths, sizes = (torch.tensor([len(own) for own in several]) for several in (frames, values))
        symbols = torch.as_tensor(np.concatenate(values) + 1, device=frames[0].device)
        log_p = self.linear(torch.cat(list(frames))).float().log_softmax(1).split(lengths.tolist())
        losses = ctc_loss(pad_sequence(log_p), symbols, lengths, sizes, reduction="none")
        return losses / sizes.to(losses.device)

    def decoded(self, frames: Sequence[Tensor]) -> list[np.ndarray]:
        """The most probable output of every frame (T_i, P) of each utterance, without repetitions and blanks."""
        outputs = self.linear(torch.cat(list(frames))).argmax(1).cpu().split([len(own) for own in frames])
        kept = [own.unique_consecutive() for own in outputs]
        return [(own[own > 0] - 1).numpy() for own in kept]


Branch = OfClasses | OfLevels | OfSymbols


def branch(form: Form, vectors: int, frames: int) -> Branch:
    """The module of a branch on vectors or frames of these widths."""
    if BRANCHES[form.name] == "sequence":
        return OfSymbols(frames, len(form.classes))
    return OfLevels(vectors, form.levels) if form.levels else OfClasses(vectors, len(form.classes))


def loss(
    own: Branch, label: Label, frames: Sequence[Tensor], vectors: Tensor, rows: np.ndarray, batch: np.ndarray
) -> Tensor | None:
    """The loss of a branch on some utterances of a batch: their sum, over how many of the batch have the label.

    None where none of the utterances has it.

    Args:
        frames, vectors: (T_i, P) of each, and (n, H), of the utterances `rows`.
        batch: (B,) all utterances of the batch, of which `rows` are some.
    """
    has = np.flatnonzero(label.usable[rows])
    if not len(has):
        return None
    values = label.values[rows[has]]
    if isinstance(own, OfSymbols):
        fit = [(frames[i], one) for i, one in zip(has.tolist(), values, strict=True) if len(frames[i]) >= least(one)]
        if not fit:
            return None
        losses = own.losses(*zip(*fit, strict=True))
    else:
        losses = own.losses(vectors[torch.as_tensor(has, device=vectors.device)], values)
    return losses.sum() / int(label.usable[batch].sum())


def of_its_own_levels(form: Form, probabilities: np.ndarray) -> np.ndarray:
    """(n, C) probabilities of the levels that the target has, where the branch also learnt the place of neutral."""
    if form.levels <= len(form.classes):
        return probabilities
    kept = probabilities[:, 1:]
    return kept / np.maximum(kept.sum(1, keepdims=True), np.finfo(kept.dtype).tiny)


def scored_rows(problem: Problem, target: Target, rows: np.ndarray) -> np.ndarray:
    """(n,) bool: which of some test utterances a target's answers are scored for; neutral speech has no intensity."""
    return target.mask[rows] & ~(is_neutral(problem)[rows] & (target.kind == "ordinal"))
