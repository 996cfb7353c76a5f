"""Metrics as functions of additive statistics.

Every metric depends on the utterances only through sums (confusion counts, or sums of values and products). The same
function therefore serves a fold, a pooled figure, a group left out, a bootstrap and `verify`: add up the statistics of
the utterances, then apply the metric. It uses numpy only.

Statistics are arrays whose last axes hold the sums; leading axes are free. Those of a classification are
``(..., C, C)``: counts of utterances, the true class first. Those of values are ``(..., 16)``: sums over utterances
with targets t and predictions p; from index 7 on they serve sentiment from -3 to 3 (those of levels: ordinal.py; of
votes: votes.py):

    0  1                            8  t < 0 and p < 0              12  t < 0 and p <= 0
    1  t                            9  t < 0 and p >= 0             13  t < 0 and p > 0
    2  p                           10  t >= 0 and p < 0             14  t > 0 and p <= 0
    3  t * t                       11  t >= 0 and p >= 0            15  t > 0 and p > 0
    4  p * p
    5  t * p
    6  |t - p|
    7  seven(t) == seven(p)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from commons import ordinal, sequences, votes

CLASSIFICATION: Final = "classification"
REGRESSION: Final = "regression"
ORDINAL: Final = "ordinal"
DISTRIBUTION: Final = "distribution"
SEQUENCE: Final = "sequence"
WIDE: Final = 32  # classes; beyond, F1 adds up rows and columns, since its one product would hold C^3 numbers
ROUNDING: Final = 4 * np.finfo(np.float64).eps  # relative rounding error of a sum, for each of its terms


def sums(
    targets: np.ndarray,
    predictions: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    n_groups: int = 1,
    n_classes: int | None = None,
) -> np.ndarray:
    """Additive statistics of utterances, one row for each group.

    Args:
        targets: (N,) class indices when `n_classes` is given, else values.
        predictions: (N,) likewise.
        groups: (N,) group index of every utterance, 0 to n_groups - 1; None puts all into group 0.
        n_groups: number of groups G.
        n_classes: number of classes C of a classification; None for values.

    Returns:
        (G, C, C) counts or (G, 16) sums, float64.

    >>> print(sums(np.array([0, 0, 1]), np.array([0, 1, 1]), n_classes=2))
    [[[1. 1.]
      [0. 1.]]]
    """
    groups = np.zeros(len(targets), dtype=np.int64) if groups is None else np.asarray(groups)
    if n_classes is not None:
        cell = (groups * n_classes + np.asarray(targets)) * n_classes + np.asarray(predictions)
        counts = np.bincount(cell, minlength=n_groups * n_classes**2)
        return counts.reshape(n_groups, n_classes, n_classes).astype(np.float64)
    t, p = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    terms = [np.ones_like(t), t, p, t * t, p * p, t * p, np.abs(t - p), seven(t) == seven(p)]
    for counted, truth, guess in ((np.ones_like(t, dtype=bool), t >= 0, p >= 0), (t != 0, t > 0, p > 0)):
        terms += [counted & (truth == a) & (guess == b) for a in (False, True) for b in (False, True)]
    return np.stack([np.bincount(groups, weights=term, minlength=n_groups) for term in terms], axis=-1)


def seven(values: np.ndarray) -> np.ndarray:
    """Sentiment as one of the seven classes -3 to 3: clamped, then rounded, halves to the even number (numpy.round).

    The convention of Acc-7 on MOSI and MOSEI (Tsai et al. 2019, Multimodal Transformer).

    >>> print(seven(np.array([-4.2, 0.4, 2.5])))
    [-3.  0.  2.]
    """
    return np.round(np.clip(values, -3, 3))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below != 0)


def recalls(counts: np.ndarray) -> np.ndarray:
    """Recall of every class, (..., C): TP / support, from 0 to 1; NaN for a class without utterances.

    >>> print(recalls(np.array([[8, 2], [5, 5]])))
    [0.8 0.5]
    """
    return _ratio(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1))


def f1_scores(counts: np.ndarray) -> np.ndarray:
    """F1 of every class, (..., C): 2 TP / (support + predicted), from 0 to 1; 0 where a class has neither.

    The harmonic mean of precision and recall (van Rijsbergen 1979).

    >>> print(f1_scores(np.array([[8, 2], [4, 6]])).round(3))
    [0.727 0.667]
    """
    counts = np.asarray(counts, dtype=np.float64)
    below = counts.sum(-1) + counts.sum(-2) if counts.shape[-1] > WIDE else _rows_and_columns(counts)
    hits = 2 * np.diagonal(counts, axis1=-2, axis2=-1)
    return np.divide(hits, below, out=np.zeros(below.shape), where=below != 0)


def _rows_and_columns(counts: np.ndarray) -> np.ndarray:
    """(..., C) sums of every class's row and column: one product, which is faster than two sums over short axes."""
    classes = np.arange(counts.shape[-1])
    both = np.zeros((len(classes),) * 3)
    both[classes, :, classes] += 1
    both[:, classes, classes] += 1
    return counts.reshape(*counts.shape[:-2], len(classes) ** 2) @ both.reshape(-1, len(classes))


def wa(counts: np.ndarray) -> np.ndarray:
    """Weighted accuracy (plain accuracy): the share of utterances whose class is right, from 0 to 1.

    >>> print(wa(np.array([[8, 2], [1, 0]])).round(3))
    0.727
    """
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


def ua(counts: np.ndarray) -> np.ndarray:
    """Unweighted accuracy: the mean recall over all classes, from 0 to 1; NaN where a class has no utterance.

    Also called unweighted average recall (UAR; Schuller et al. 2009, the INTERSPEECH emotion challenge).

    >>> print(ua(np.array([[8, 2], [1, 0]])))
    0.4
    """
    return recalls(counts).mean(-1)


def wf1(counts: np.ndarray) -> np.ndarray:
    """Weighted F1: sum_c support_c F1_c / sum_c support_c, from 0 to 1.

    >>> print(wf1(np.array([[8, 2], [4, 6]])).round(3))
    0.697
    """
    return _ratio((f1_scores(counts) * counts.sum(-1)).sum(-1), counts.sum((-2, -1)))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Macro F1: the mean of F1 over all classes of the task, from 0 to 1; a class without utterances counts as 0.

    >>> print(macro_f1(np.array([[8, 2], [4, 6]])).round(3))
    0.697
    """
    return f1_scores(counts).mean(-1)


def _moments(s: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means, population variances and covariance (mt, mp, vt, vp, c) of sums (..., 16).

    A variance is a difference of two sums, so that of a constant is seldom exactly 0: one within the rounding error of
    the sums counts as 0, and with it the covariance.
    """
    n = np.where(s[..., 0] > 0, s[..., 0], np.nan)
    mt, mp = s[..., 1] / n, s[..., 2] / n
    squares_t, squares_p = s[..., 3] / n, s[..., 4] / n
    vt, vp, c = squares_t - mt**2, squares_p - mp**2, s[..., 5] / n - mt * mp
    constant_t, constant_p = vt <= ROUNDING * n * squares_t, vp <= ROUNDING * n * squares_p
    vt, vp = np.where(constant_t, 0.0, vt), np.where(constant_p, 0.0, vp)
    return mt, mp, vt, vp, np.where(constant_t | constant_p, 0.0, c)


def ccc(s: np.ndarray) -> np.ndarray:
    """Concordance correlation: 2 cov / (var t + var p + (mean t - mean p)^2) (Lin 1989, population moments).

    From -1 to 1; 0 where one of both is constant, NaN where both are the same constant.

    >>> print(ccc(sums(np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))[0]).round(3))
    0.571
    """
    mt, mp, vt, vp, c = _moments(s)
    apart = np.where(np.abs(mt - mp) <= 1e-12 * (np.abs(mt) + np.abs(mp)), 0.0, (mt - mp) ** 2)
    return _ratio(2 * c, vt + vp + np.where((vt == 0) & (vp == 0), apart, (mt - mp) ** 2))


def pearson(s: np.ndarray) -> np.ndarray:
    """Pearson's correlation: cov / sqrt(var t var p) (Pearson 1895), from -1 to 1.

    NaN where targets or predictions are constant.

    >>> print(pearson(sums(np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))[0]).round(3))
    1.0
    """
    _, _, vt, vp, c = _moments(s)
    return _ratio(c, np.sqrt(vt * vp))


def mae(s: np.ndarray) -> np.ndarray:
    """Mean absolute error, mean |t - p|, 0 or more, in the unit of the targets.

    >>> print(mae(sums(np.array([1.0, 2, 3]), np.array([2.0, 2, 5]))[0]))
    1.0
    """
    return _ratio(s[..., 6], s[..., 0])


def acc7(s: np.ndarray) -> np.ndarray:
    """Acc-7: the share of values that fall into the right one of the `seven` classes, from 0 to 1.

    >>> print(acc7(sums(np.array([-3.0, 0, 2]), np.array([-2.6, 0.4, 1.2]))[0]).round(3))
    0.667
    """
    return _ratio(s[..., 7], s[..., 0])


def signs(s: np.ndarray, without_zero: bool) -> np.ndarray:
    """Counts (..., 2, 2) of signs, the true one first: indices 8 to 11 of the sums, or 12 to 15 without targets of 0.

    >>> print(signs(sums(np.array([-1.0, 0, 2]), np.array([-2.0, 1, 1]))[0], without_zero=True))
    [[1. 0.]
     [0. 1.]]
    """
    first = 12 if without_zero else 8
    return s[..., first : first + 4].reshape(*s.shape[:-1], 2, 2)


@dataclass(frozen=True)
class Metric:
    """A metric: its formula, and the facts that tables need.

    Attributes:
        function: additive statistics (..., sums) -> values (...) as shares or plain numbers.
        kind: the kind of statistics that it takes: classification, regression, ordinal, distribution or sequence. A
            metric of classes takes those of levels and of votes too.
        unit: the unit of its values in tables: `percent`, or empty for plain numbers.
        limits: the smallest and the largest possible value, in table units.
        higher_is_better: whether larger values are better.
        by_class: whether each class weighs the same; then there is no interval where one group alone has a class.
        linear: whether a difference of two systems is a sum over groups where their targets are equal: a swap of their
            predictions changes nothing that it divides by.
        special: whether it is for sentiment from -3 to 3, for levels or for votes only; such a metric is computed only
            where a task names it.
    """

    function: Callable[[np.ndarray], np.ndarray]
    kind: str
    unit: str = "percent"
    limits: tuple[float, float] = (0.0, 100.0)
    higher_is_better: bool = True
    by_class: bool = False
    linear: bool = False
    special: bool = False

    @property
    def scale(self) -> float:
        """The factor from the formula's value to that of tables."""
        return 100.0 if self.unit == "percent" else 1.0

    @property
    def decimals(self) -> int:
        """Digits after the point in tables."""
        return 1 if self.unit == "percent" else 3

    @property
    def reads(self) -> str:
        """A few words on how to read its values."""
        return self.unit or ("1 is perfect" if self.higher_is_better else "smaller is better")

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """The metric in table units, with the leading shape of `statistics`."""
        return self.scale * self.function(ordinal.confusion(statistics) if self.kind == CLASSIFICATION else statistics)

    def fits(self, family: str) -> bool:
        """Whether it can be computed of answers of a family: classification, regression, ordinal or distribution."""
        return self.kind == family or (family in (ORDINAL, DISTRIBUTION) and self.kind == CLASSIFICATION)

    def shown(self, value: float | None) -> str:
        """A value as tables show it; a dash where there is none."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


def mean_of(sums: np.ndarray) -> np.ndarray:
    """The mean of what an utterance adds, from its sum and the number of utterances, (..., 2).

    >>> print(mean_of(np.array([3.0, 4.0])))
    0.75
    """
    return _ratio(sums[..., 0], sums[..., 1])


def axis_label(name: str) -> str:
    """The label of an axis with a metric's values.

    >>> axis_label("UA"), axis_label("CCC")
    ('UA (%)', 'CCC')
    """
    return f"{name} (%)" if METRICS[name].unit == "percent" else name


def _class_metric(
    function: Callable[[np.ndarray], np.ndarray], *, by_class: bool = False, linear: bool = False
) -> Metric:
    return Metric(function, CLASSIFICATION, by_class=by_class, linear=linear)


def _sentiment_metric(function: Callable[[np.ndarray], np.ndarray], *, linear: bool = False) -> Metric:
    return Metric(function, REGRESSION, linear=linear, special=True)


def _divergence(name: str, top: float, higher_is_better: bool = False) -> Metric:
    which = votes.DIVERGENCES.index(name)
    return Metric(
        lambda s: votes.mean(s, which), DISTRIBUTION, unit="", limits=(0.0, top), higher_is_better=higher_is_better,
        linear=True, special=True,
    )  # fmt: skip


METRICS: dict[str, Metric] = {
    "WA": _class_metric(wa, linear=True),
    "UA": _class_metric(ua, by_class=True, linear=True),
    "WF1": _class_metric(wf1),
    "macro_F1": _class_metric(macro_f1, by_class=True),
    "CCC": Metric(ccc, REGRESSION, unit="", limits=(-1.0, 1.0)),
    "Pearson": Metric(pearson, REGRESSION, unit="", limits=(-1.0, 1.0)),
    "MAE": Metric(mae, REGRESSION, unit="", limits=(0.0, np.inf), higher_is_better=False, linear=True),
    # The two conventions of MOSI and MOSEI: negative against the rest; negative against positive, zeros left out.
    "Acc2_nonneg": _sentiment_metric(lambda s: wa(signs(s, without_zero=False)), linear=True),
    "F1_nonneg": _sentiment_metric(lambda s: wf1(signs(s, without_zero=False))),
    "Acc2_posneg": _sentiment_metric(lambda s: wa(signs(s, without_zero=True)), linear=True),
    "F1_posneg": _sentiment_metric(lambda s: wf1(signs(s, without_zero=True))),
    "Acc7": _sentiment_metric(acc7, linear=True),
    "level_MAE": Metric(
        ordinal.level_error, ORDINAL, unit="", limits=(0.0, 1.0), higher_is_better=False, linear=True, special=True
    ),
    "Spearman": Metric(ordinal.spearman, ORDINAL, unit="", limits=(-1.0, 1.0), special=True),
    "pairs": Metric(ordinal.pairs_right, ORDINAL, linear=True, special=True),
    "JS": _divergence("JS", 1.0),
    "KL": _divergence("KL", np.inf),
    "cosine": _divergence("cosine", 1.0, higher_is_better=True),
    "votes_Brier": _divergence("Brier", 2.0),
    "threshold_F1": Metric(votes.threshold_f1, DISTRIBUTION, special=True),
    # Of phonemes, a further target: no task is scored by it.
    "PER": Metric(
        sequences.error_rate, SEQUENCE, limits=(0.0, np.inf), higher_is_better=False, linear=True, special=True
    ),
}

# Figures of probabilities, which views compute and records do not hold; their statistics are a sum and a count.
OF_PROBABILITIES: dict[str, Metric] = {
    "Brier": Metric(mean_of, "probabilities", unit="", limits=(0.0, 2.0), higher_is_better=False),
    "log_loss": Metric(mean_of, "probabilities", unit="", limits=(0.0, np.inf), higher_is_better=False),
}


def named(name: str) -> Metric:
    """The metric of a name, of records or of views.

    >>> named("UA").unit, named("Brier").limits
    ('percent', (0.0, 2.0))
    """
    return METRICS.get(name) or OF_PROBABILITIES[name]
