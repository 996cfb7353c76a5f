"""`probe`: a linear model of the best layer; everything is chosen inside the training speakers.

For each fold, multinomial logistic regression (ridge regression for values, cumulative.py for levels) is fitted for
every layer and strength without each inner group of the training speakers in turn. Of each layer, the strongest ridge
is taken whose pooled loss for the groups left out is not clearly larger than the smallest. Of the layers, the one with
the smallest loss is taken, and refitted on all that is not test. An official dev part takes the place of the inner
groups. Folds share nothing: a fold's rows, bases and coefficients are its own, so neither labels nor features of its
test speakers touch what it chooses.

The loss that chooses is cross-entropy, class-balanced where the fit is (squared error for values). Each strength's
logits are first multiplied by the one factor that suits them best, since weak ridges are overconfident on speakers that
they do not know. Shares of right answers are too coarse: with few speakers they tie over decades of strengths. The
loss, too, is often flat over decades. Its minimum then says little, and a weak ridge that it points to can fail on one
speaker. So the one-standard-error rule is used (Breiman et al. 1984, Classification and Regression Trees, section
3.4.3), see `strongest`. It was settled on the development corpora (docs/heads.md).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from pydantic import JsonValue

from commons.corridors.features import Features, Pooled
from commons.corridors.predictions import Choice, Predictions
from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS, ORDINAL, REGRESSION, sums
from commons.progress import Progress
from downstreams import balance, cumulative, fitted_linear, logistic, own_classes, part_weights, ridge, selection
from downstreams.assembly import HeldOut, all_of, fold_table, held_out_table
from downstreams.checks import check_finite, fitting
from downstreams.cumulative import Cumulative
from downstreams.linear import Linear
from downstreams.parallel import one_core_each
from downstreams.settings import Probe

INNER_TOLERANCE, FINAL_TOLERANCE = 1e-5, 1e-7  # choosing needs less than the figures that are shown
# Strengths beyond it cost three times the time of all others, so they are tried only where they may be the best.
FAR, FAR_TOLERANCE = 100.0, 1e-4
TIE = 1e-3  # share of the loss that choosing cannot tell from nothing: inner fits stop about as far from the optimum
MOST = 0.05  # share of the loss that the rule gives away at most: one bad group has no more than one standard error
IMPOSSIBLE = 30.0  # nats: the surprise of a class that an inner training set lacks, the same for all strengths
SCALES = np.logspace(-1.5, 0, 16).tolist()


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The probe's predictions; `settings` are those of settings.Probe. It draws nothing, so seeds do not matter.

    Raises:
        DownstreamError: the features are not those of the problem, or are not finite.
    """
    pooled = fitting(features.pooled, problem, "pooled features")
    return read(pooled, problem, Probe.model_validate(settings), device, progress, features.parts)


def read(
    pooled: Pooled,
    problem: Problem,
    settings: Probe,
    device: str,
    progress: Progress | None = None,
    widths: tuple[int, ...] = (),
    counts: Sequence[int] = (),
) -> Predictions:
    """The probe's predictions from pooled features (N, 2, L, D), or (N, 1, L, D) where it reads means alone.

    Args:
        widths: of the parts of D, see part_weights.py; empty: there is one.
        counts: of features to select, ascending, of which one is chosen for each fold and layer; empty: all are read.

    Raises:
        DownstreamError: the features are not finite.
    """
    started = time.perf_counter()
    depth, strengths = pooled.shape[2], torch.tensor(settings.strengths)
    statistics = [fitted_linear.STATISTICS[name] for name in settings.statistics]
    balanced = balance.balanced(settings.class_weights, problem)
    owner = part_weights.owners(widths or pooled.shape[3:], len(statistics))
    fits: list[list[_LayerFit]] = [[] for _ in problem.folds]  # [fold][layer]
    with one_core_each(device) as pool:
        for layer in range(depth):
            rows = np.concatenate([pooled[:, s, layer] for s in statistics], axis=1)
            check_finite(rows, problem.ids, f"layer {layer}")
            fit_fold = partial(_fit_fold, rows, problem, counts, owner=owner, strengths=strengths, balanced=balanced)
            for f, fit in enumerate(pool.map(partial(fit_fold, device=device), problem.folds)):
                fits[f].append(fit)
                if progress:
                    progress(layer * len(problem.folds) + f + 1, depth * len(problem.folds))
    return _predictions(problem, fits, settings.statistics, time.perf_counter() - started)


def _asked(problem: Problem) -> np.ndarray:
    """(N,) targets; of votes (N, C) float32, their shares."""
    return problem.targets if problem.votes is None else problem.votes.astype(np.float32)


@dataclass(frozen=True)
class _LayerFit:
    """One fold fitted on one layer, at the strength that did best inside the training speakers."""

    strength: float
    lowest: float  # the strength of the smallest loss
    edge: bool  # that one is the first or last of the grid
    converged: bool  # the fit that predicts test
    loss: float  # on the inner groups left out
    figure: float  # `select_on` on the same predictions
    test: np.ndarray  # (n, C) probabilities, or (n,) values
    model: Linear | Cumulative  # of the columns that vary
    varies: np.ndarray  # (D,) bool
    held_out: HeldOut | None  # of classes, where something was held out
    features: dict[str, float] | None  # where they were selected: the number of each -> norm of its weights


@dataclass(frozen=True)
class _Choice:
    """What is chosen inside the training speakers.

    Attributes:
        best, lowest: index of the strength that is taken, and of that of the smallest loss.
        loss, figure: of the former, on the inner groups left out; NaN where nothing was left out.
        rows: (m,) utterances that were left out once; outputs: (m, C), what the fits without them gave.
        parts: (m,) of these in the loss.
    """

    best: int
    lowest: int
    loss: float
    figure: float
    rows: np.ndarray
    outputs: torch.Tensor | None
    parts: np.ndarray


def _fit_fold(
    rows: np.ndarray,
    problem: Problem,
    counts: Sequence[int],
    fold: Fold,
    *,
    owner: np.ndarray,
    strengths: torch.Tensor,
    balanced: bool,
    device: str,
) -> _LayerFit:
    """The fit on rows (N, D); `owner` (D,): the part that each column belongs to; `counts`: as in `read`."""
    known = np.concatenate([fold.train, fold.dev])
    varies = np.ptp(rows[known], axis=0) > 0  # a column constant on what may be trained on carries nothing
    x = torch.as_tensor(rows[known][:, varies], device=device)
    y = torch.as_tensor(_asked(problem)[known], device=device)
    weights = part_weights.factors(owner[varies])
    factors = None if weights is None else weights.to(device)
    plain = partial(_fit, problem, balanced=balanced, allowed=own_classes.of_rows(problem, known, device))
    near = int((strengths <= FAR).sum()) or len(strengths)
    width = x.shape[1]
    tried = []
    for count in sorted({min(count, width) for count in counts}) or [width]:
        solve = partial(plain if count == width else partial(selection.fit, plain, count), factors=factors)
        penalties = (strengths / max(1, count)).to(device)
        tried.append((solve, penalties, _chosen(problem, fold, known, x, y, penalties, near, balanced, solve)))
    solve, penalties, chosen = tried[_fewest([own for _, _, own in tried], problem)]
    best = chosen.best
    everything = torch.ones(1, len(known), dtype=torch.bool, device=device)
    final = solve(x, y, everything, penalties[best : best + 1], FINAL_TOLERANCE)
    return _LayerFit(
        strength=round(strengths[best].item(), 6),  # float32 0.1 is 0.1
        lowest=round(strengths[chosen.lowest].item(), 6),
        edge=len(strengths) > 1 and chosen.lowest in (0, len(strengths) - 1),
        converged=bool(final.converged.all()),
        loss=chosen.loss,
        figure=chosen.figure,
        test=np.concatenate([_answers(problem, final, x, rows[own][:, varies], own) for own in fold.tests]),
        model=final,
        varies=varies,
        held_out=None
        if chosen.outputs is None or problem.kind == REGRESSION
        else HeldOut(chosen.rows, chosen.outputs.softmax(1).cpu().numpy()),
        features=_features(final, varies, factors) if counts else None,
    )


def _answers(
    problem: Problem, model: Linear | Cumulative, x: torch.Tensor, rows: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """What the model of the training rows x gives for the `rows` of a test set, which is the utterances `own`."""
    test = torch.as_tensor(rows, device=x.device)
    test = _alike(test, x) if problem.test_standardised else test
    return fitted_linear.predicted(model, test, own_classes.of_rows(problem, own, x.device))


def _fewest(tried: Sequence[_Choice], problem: Problem) -> int:
    """Index of the fewest features that one cannot tell from those of the smallest loss; the middle where no group is
    left out."""
    rows = tried[0].rows
    if not len(rows):
        return len(tried) // 2
    return strongest(np.stack([own.parts for own in tried], 1), problem.groups[rows])


def _features(model: Linear | Cumulative, varies: np.ndarray, factors: torch.Tensor | None) -> dict[str, float]:
    """The numbers of the features that a model reads, from 0, each with the norm of its weights; largest first."""
    norms = selection.importance(model, factors).cpu().numpy()
    order = np.argsort(-norms, kind="stable")[: np.count_nonzero(norms)]
    return {str(np.flatnonzero(varies)[column]): round(float(norms[column]), 6) for column in order}


def _chosen(
    problem: Problem,
    fold: Fold,
    known: np.ndarray,
    x: torch.Tensor,
    y: torch.Tensor,
    penalties: torch.Tensor,
    near: int,
    balanced: bool,
    solve: Callable[..., Linear | Cumulative],
) -> _Choice:
    """The strength that is taken.

    The first `near` penalties are tried, the others where the smallest loss lies at one of the two last of these. With
    nothing to leave out (one label a class), it is the middle strength; loss and figure are NaN.
    """
    groups = [group for group in fold.inner or (fold.dev,) if len(group)]
    if not groups:
        middle = len(penalties) // 2
        return _Choice(middle, middle, np.nan, np.nan, known[:0], None, np.zeros(0))
    left_out = np.stack([np.isin(known, group) for group in groups])
    some = left_out.any(0)

    members, chooses = torch.as_tensor(~left_out, device=x.device), torch.as_tensor(some, device=x.device)

    def outputs(part: torch.Tensor, tolerance: float) -> torch.Tensor:
        """(n, C, S) of every utterance that chooses, by the fits that left it out."""
        inner = solve(x, y, members, part, tolerance)
        each = inner(x[chooses]).unflatten(2, (len(groups), len(part)))
        left = each[torch.arange(len(each)), :, left_out.argmax(0)[some]]
        return own_classes.within(left, own_classes.of_rows(problem, known[some], x.device))

    # Pooled over utterances, they are one loss a strength.
    own = outputs(penalties[:near], INNER_TOLERANCE)
    losses = _losses(problem, own, y[chooses], balanced).cpu().numpy()
    if near < len(penalties) and losses.sum(0).argmin() >= near - 2:
        own = torch.cat([own, outputs(penalties[near:], FAR_TOLERANCE)], -1)
        losses = _losses(problem, own, y[chooses], balanced).cpu().numpy()
    lowest = int(losses.sum(0).argmin())
    best = strongest(losses, problem.groups[known][some])

    predicted = own[:, 0, best] if problem.kind == REGRESSION else own[..., best].argmax(1)
    n_classes = None if problem.kind == REGRESSION else len(problem.classes)
    counted = sums(problem.targets[known][some], predicted.cpu().numpy(), n_classes=n_classes)
    figure = float(METRICS[problem.select_on](counted)[0])
    return _Choice(best, lowest, float(losses[:, best].sum()), figure, known[some], own[..., best], losses[:, best])


def strongest(losses: np.ndarray, groups: np.ndarray) -> int:
    """The strongest ridge that one cannot tell from the one of the smallest loss, by the one-standard-error rule.

    With d_g what a strength's loss exceeds the smallest by in group g, a strength is near it where
    sum_g d_g <= sqrt(G / (G - 1) sum_g (d_g - mean d)^2), one standard error of the difference, and the sum is at most
    a twentieth of the smallest loss; or where it is less than a thousandth, about what inner fits fall short of the
    optimum. Going to stronger ridges from the one of the smallest loss, the last before the first that is not near it
    is taken.

    Args:
        losses: (n, S) part of every utterance in the loss of each strength, strongest ridge first.
        groups: (n,) the unit of resampling of each utterance.

    Returns:
        An index of the S strengths.
    """
    total = losses.sum(0)
    best = lowest = int(total.argmin())
    names, place = np.unique(groups, return_inverse=True)
    excess = np.zeros((len(names), len(total)))
    np.add.at(excess, place, losses - losses[:, [lowest]])
    error = np.zeros(len(total))  # with one group no spread is known
    if len(names) > 1:
        error = np.sqrt(len(names) / (len(names) - 1) * ((excess - excess.mean(0)) ** 2).sum(0))
    near = np.maximum(np.minimum(error, MOST * total[lowest]), TIE * total[lowest])
    while best and excess[:, best - 1].sum() <= near[best - 1]:
        best -= 1
    return best


def _alike(test: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Test rows (n, D), shifted and scaled so that each column has the mean and deviation of the training rows `known`.

    The head standardises by the training rows, so after this its test rows are standardised by their own statistics.
    A column that is constant on test becomes the mean of the training rows.
    """
    test, known = test.double(), known.double()
    centred = test - test.mean(0)
    spread, wanted = centred.square().mean(0).sqrt(), (known - known.mean(0)).square().mean(0).sqrt()
    varies = test.amax(0) > test.amin(0)
    return (torch.where(varies, centred / torch.where(varies, spread, 1.0) * wanted, 0.0) + known.mean(0)).float()


def _losses(problem: Problem, outputs: torch.Tensor, y: torch.Tensor, balanced: bool) -> torch.Tensor:
    """Part of every utterance (n, S) in the loss that chooses, of outputs (n, C, S); the parts add up to the loss."""
    n = len(y)
    if problem.kind == REGRESSION:
        return (outputs[:, 0] - y[:, None]).square() / n
    shares = torch.full((n,), 1 / n)
    soft = y.ndim > 1
    if balanced:
        most = y.argmax(1) if soft else y
        shares *= torch.as_tensor(balance.weights(most.cpu().numpy(), len(problem.classes)))[most.cpu()]
    rows = torch.arange(n)
    lowest: torch.Tensor | None = None
    for scale in SCALES:
        log_p = (scale * outputs).log_softmax(1)
        if soft:
            surprise = -(y[:, :, None] * log_p.clamp_min(-IMPOSSIBLE)).sum(1)
        else:
            surprise = -log_p[rows, y].clamp_min(-IMPOSSIBLE)
        parts = shares[:, None].to(surprise) * surprise
        if lowest is None:
            lowest = parts
        lowest = torch.where(parts.sum(0) < lowest.sum(0), parts, lowest)
    assert lowest is not None
    return lowest


def _fit(
    problem: Problem,
    x: torch.Tensor,
    y: torch.Tensor,
    members: torch.Tensor,
    strengths: torch.Tensor,
    tolerance: float,
    balanced: bool,
    factors: torch.Tensor | None,
    allowed: torch.Tensor | None,
) -> Linear | Cumulative:
    if problem.kind == REGRESSION:
        return ridge.fit(x, y, members, strengths, factors)
    if problem.kind == ORDINAL:
        return cumulative.fit(x, y, members, strengths, len(problem.classes), tolerance, balanced, factors)
    return logistic.fit(x, y, members, strengths, len(problem.classes), tolerance, balanced, factors, allowed)


def _predictions(
    problem: Problem, fits: list[list[_LayerFit]], statistics: Sequence[str], seconds: float
) -> Predictions:
    """Tables from what every fold and layer gave: fits[fold][layer]."""
    choices: list[Choice] = []
    chosen_layers: list[int] = []
    tables, fitted, marks, held_out, features = [], [], set[str](), [], list[dict[str, float]]()
    for fold, layers in zip(problem.folds, fits, strict=True):
        losses = [fit.loss for fit in layers]
        layer = len(layers) - 1 if np.isnan(losses).all() else int(np.argmin(losses))  # the lowest of equals
        best = layers[layer]
        chosen: Choice = {"layer": layer, "strength": best.strength, "lowest": best.lowest, "edge": best.edge}
        if best.features is not None:
            chosen["features"] = len(best.features)
            features.append(best.features)
        choices.append({"fold": fold.name, "seed": 0, **chosen, "dev": best.figure, "loss": best.loss})
        chosen_layers.append(layer)
        tables.append(fold_table(problem, fold, 0, best.test))
        fitted.append(fitted_linear.fitted(fold.name, best.model, best.varies, [layer], statistics))
        marks |= set() if best.converged else {"unconverged"}
        held_out.append(None if best.held_out is None else held_out_table(problem, fold, 0, best.held_out))
    by_layer = [np.concatenate([layers[layer].test for layers in fits]) for layer in range(len(fits[0]))]
    if problem.kind == REGRESSION:
        tests = np.stack(by_layer).astype(np.float32)
    else:
        tests = np.stack(by_layer).argmax(2).astype(np.int16)
    return Predictions(
        table=pd.concat(tables, ignore_index=True),
        by_layer=tests,
        dev_by_layer=np.array([[fit.figure for fit in layers] for layers in fits]),
        choices=choices,
        layer=min(Counter(chosen_layers).items(), key=lambda item: (-item[1], item[0]))[0],
        held_out=all_of(held_out),
        marks=tuple(sorted(marks)),
        fitted=fitted,
        features=features or None,
        seconds=seconds,
    )
