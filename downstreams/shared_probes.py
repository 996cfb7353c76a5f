"""What the vectors that the branches of a head share tell of gender and speaker: `probe` on them.

Gender: trained on the fold's training part, tested on its test speakers. Speaker: trained on four fifths of the
sentences of the fold's training part (of two on one), tested on the same speakers' other sentences. Strengths are
chosen within what the probe is trained on: speakers or sentences are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commons.corridors.features import Features
from commons.corridors.predictions import Further
from commons.corridors.problem import Fold, Problem
from downstreams import probe
from downstreams.settings import Probe

FIFTHS = 5  # groups of speakers or sentences that are left out in turn
GENDER, SPEAKER = "gender_probe", "speaker_probe"


@dataclass(frozen=True)
class _Asked:
    """What a probe is asked for: (N,) classes of the rows that it knows and is tested on, and what is left out."""

    name: str
    classes: tuple[str, ...]
    targets: np.ndarray
    known: np.ndarray
    test: np.ndarray
    units: np.ndarray


def probed(problem: Problem, fold: Fold, seed: int, known: np.ndarray, tested: np.ndarray) -> list[Further]:
    """The predictions of the probes that a fold allows.

    Args:
        known: (n, H) vectors of the fold's training part.
        tested: (m, H) of its test part.
    """
    vectors = np.zeros((len(problem.ids), known.shape[1]), dtype=np.float32)
    vectors[fold.train], vectors[fold.test] = known, tested
    asked = (_gender(problem, fold), _speaker(problem, fold))
    return [_probe(one, problem, fold, seed, vectors) for one in asked if one is not None]


def _gender(problem: Problem, fold: Fold) -> _Asked | None:
    target = next((one for one in problem.also if one.name == "gender"), None)
    if target is None:
        return None
    train, test = fold.train[target.mask[fold.train]], fold.test[target.mask[fold.test]]
    if len(np.unique(target.values[train])) < 2 or not len(test):
        return None
    return _Asked(GENDER, target.classes, target.values, train, test, problem.speaker)


def _speaker(problem: Problem, fold: Fold) -> _Asked | None:
    if problem.sentence is None:
        return None
    rows = fold.train[problem.sentence[fold.train] != ""]
    sentences = np.unique(problem.sentence[rows])
    if len(sentences) < 2:
        return None
    held_out = np.isin(problem.sentence[rows], sentences[::FIFTHS])
    known, test = rows[~held_out], rows[held_out]
    test = test[np.isin(problem.speaker[test], problem.speaker[known])]
    classes, targets = np.unique(problem.speaker, return_inverse=True)
    if len(np.unique(problem.speaker[known])) < 2 or not len(test):
        return None
    return _Asked(SPEAKER, tuple(classes.tolist()), targets, known, test, problem.sentence)


def _probe(asked: _Asked, problem: Problem, fold: Fold, seed: int, vectors: np.ndarray) -> Further:
    units = np.unique(asked.units[asked.known])
    if len(units) < 2:
        units, group = asked.known, np.arange(len(asked.known)) % FIFTHS
    else:
        group = np.searchsorted(units, asked.units[asked.known]) % FIFTHS
    inner = tuple(asked.known[group == k] for k in np.unique(group))
    alone = Problem(
        ids=problem.ids,
        kind="classification",
        classes=asked.classes,
        targets=asked.targets,
        folds=(Fold(fold.name, asked.known, asked.known[:0], asked.test, inner),),
        groups=problem.groups,
        speaker=problem.speaker,
        select_on="UA",
    )
    made = probe.evaluate(_features(problem, vectors), alone, Probe().plain(), [0], "cpu")
    return Further(asked.name, "classification", asked.classes, (), made.table.assign(seed=seed))


def _features(problem: Problem, vectors: np.ndarray) -> Features:
    pooled = np.stack([vectors, np.zeros_like(vectors)], axis=1)[:, :, None]
    return Features(
        ids=problem.ids,
        upstream="",
        fingerprint="",
        precision="fp32",
        device="cpu",
        depth=1,
        width=vectors.shape[1],
        pooled=pooled,
        frames=None,
        counts={},
        seconds={},
        audio_seconds=None,
        parameters=None,
    )
