"""`probe`: a linear model of the best layer; everything is chosen inside the training speakers.

For each fold, multinomial logistic regression (ridge regression for values) is fitted for every layer and
strength without each inner group of the training speakers in turn; the layer and strength whose pooled
predictions for the groups left out have the smallest loss are taken, and refitted on all that is not test. An
official dev part takes the place of the inner groups. Folds share nothing: a fold's rows, bases and coefficients are
its own, so neither labels nor features of its test speakers touch what it chooses.

The loss that chooses is class-balanced cross-entropy (squared error for values), each strength's logits first
flattened by the one factor that suits them best. Counts of right answers are too coarse for it: with few speakers they
tie over decades of strengths, and among ties the one that suits the rest best is the one that suits the speaker left
out least. The factor corrects weak ridges, which are overconfident on speakers that they do not know: their decisions
are no worse for it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from pydantic import JsonValue

from commons.corridors.features import Features, Pooled
from commons.corridors.predictions import Choice, Predictions
from commons.corridors.problem import Fold, Problem
from commons.metrics import METRICS, REGRESSION, sums
from commons.progress import Progress
from downstreams import logistic, ridge
from downstreams.assembly import fold_table
from downstreams.inputs import check_finite, fitting
from downstreams.linear import Linear
from downstreams.parallel import one_core_each
from downstreams.settings import Probe

INNER_TOLERANCE, FINAL_TOLERANCE = 1e-5, 1e-7  # choosing needs less than the figures that are shown
IMPOSSIBLE = 30.0  # nats: the surprise of a class that an inner training set lacks, the same for all strengths
SCALES = np.logspace(-1.5, 0, 16).tolist()
STATISTICS = {"mean": 0, "std": 1}


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
    return read(pooled, problem, Probe.model_validate(settings), device, progress)


def read(
    pooled: Pooled, problem: Problem, settings: Probe, device: str, progress: Progress | None = None
) -> Predictions:
    """The probe's predictions from pooled features (N, 2, L, D), or (N, 1, L, D) where it reads means alone.

    Raises:
        DownstreamError: the features are not finite.
    """
    started = time.perf_counter()
    depth, strengths = pooled.shape[2], torch.tensor(settings.strengths)
    statistics = [STATISTICS[name] for name in settings.statistics]
    fits: list[list[_LayerFit]] = [[] for _ in problem.folds]  # [fold][layer]
    with one_core_each(device) as pool:
        for layer in range(depth):
            rows = np.concatenate([pooled[:, s, layer] for s in statistics], axis=1)
            check_finite(rows, problem.ids, f"layer {layer}")
            fit_fold = partial(_fit_fold, rows, problem, strengths=strengths, device=device)
            for f, fit in enumerate(pool.map(fit_fold, problem.folds)):
                fits[f].append(fit)
                if progress:
                    progress(layer * len(problem.folds) + f + 1, depth * len(problem.folds))
    return _predictions(problem, fits, time.perf_counter() - started)


@dataclass(frozen=True)
class _LayerFit:
    """One fold fitted on one layer, at the strength that did best inside the training speakers."""

    strength: float
    edge: bool  # it is the first or last of the grid
    converged: bool  # the fit that predicts test
    loss: float  # on the inner groups left out
    figure: float  # `select_on` on the same predictions
    test: np.ndarray  # (n, C) probabilities, or (n,) values


def _fit_fold(rows: np.ndarray, problem: Problem, fold: Fold, *, strengths: torch.Tensor, device: str) -> _LayerFit:
    known = np.concatenate([fold.train, fold.dev])
    varies = np.ptp(rows[known], axis=0) > 0  # a column constant on what may be trained on carries nothing
    x = torch.as_tensor(rows[known][:, varies], device=device)
    y = torch.as_tensor(problem.targets[known], device=device)
    penalties = (strengths / max(1, x.shape[1])).to(device)
    best, loss, figure = _chosen(problem, fold, known, x, y, penalties)
    everything = torch.ones(1, len(known), dtype=torch.bool, device=device)
    final = _fit(problem, x, y, everything, penalties[best : best + 1], FINAL_TOLERANCE)
    test = torch.as_tensor(rows[fold.test][:, varies], device=device)
    outputs = final(_alike(test, x) if problem.test_standardised else test)[..., 0]
    return _LayerFit(
        strength=round(strengths[best].item(), 6),  # float32 0.1 is 0.1
        edge=best in (0, len(strengths) - 1),
        converged=bool(final.converged.all()),
        loss=loss,
        figure=figure,
        test=(outputs[:, 0] if problem.kind == REGRESSION else outputs.softmax(1)).cpu().numpy(),
    )


def _chosen(
    problem: Problem, fold: Fold, known: np.ndarray, x: torch.Tensor, y: torch.Tensor, penalties: torch.Tensor
) -> tuple[int, float, float]:
    """The index of the best strength, its loss and `select_on` on the inner groups left out.

    With nothing to leave out (one label a class), the middle strength; loss and figure are NaN.
    """
    groups = [group for group in fold.inner or (fold.dev,) if len(group)]
    if not groups:
        return len(penalties) // 2, np.nan, np.nan
    left_out = np.stack([np.isin(known, group) for group in groups])

    # Every utterance is predicted by the fits that left it out; pooled, they are one loss a strength.
    inner = _fit(problem, x, y, torch.as_tensor(~left_out, device=x.device), penalties, INNER_TOLERANCE)
    chooses = torch.as_tensor(left_out.any(0), device=x.device)
    outputs = inner(x[chooses]).unflatten(2, (len(groups), len(penalties)))
    own = outputs[torch.arange(len(outputs)), :, left_out.argmax(0)[left_out.any(0)]]  # (n, C, S)
    losses = _losses(problem, own, y[chooses])

    best = int(losses.argmin())
    predicted = own[:, 0, best] if problem.kind == REGRESSION else own[..., best].argmax(1)
    n_classes = None if problem.kind == REGRESSION else len(problem.classes)
    counted = sums(y[chooses].cpu().numpy(), predicted.cpu().numpy(), n_classes=n_classes)
    return best, float(losses[best]), float(METRICS[problem.select_on](counted)[0])


def _alike(test: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Test rows (n, D) with the mean and deviation, column by column, of the rows that train, in place of their own.

    A head that standardises by what trains thus sees them standardised by their own statistics; a column that is
    constant on them carries nothing.
    """
    test, known = test.double(), known.double()
    centred = test - test.mean(0)
    spread, wanted = centred.square().mean(0).sqrt(), (known - known.mean(0)).square().mean(0).sqrt()
    varies = test.amax(0) > test.amin(0)
    return (torch.where(varies, centred / torch.where(varies, spread, 1.0) * wanted, 0.0) + known.mean(0)).float()


def _losses(problem: Problem, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss that chooses (see above) of outputs (n, C, S): one a strength (S,)."""
    if problem.kind == REGRESSION:
        return (outputs[:, 0] - y[:, None]).square().mean(0)
    rows, present = torch.arange(len(y)), y.unique()
    losses = []
    for scale in SCALES:
        surprise = -(scale * outputs).log_softmax(1)[rows, y].clamp_min(-IMPOSSIBLE)
        losses.append(torch.stack([surprise[y == c].mean(0) for c in present]).mean(0))
    return torch.stack(losses).amin(0)


def _fit(
    problem: Problem, x: torch.Tensor, y: torch.Tensor, members: torch.Tensor, strengths: torch.Tensor, tolerance: float
) -> Linear:
    if problem.kind == REGRESSION:
        return ridge.fit(x, y, members, strengths)
    return logistic.fit(x, y, members, strengths, len(problem.classes), tolerance)


def _predictions(problem: Problem, fits: list[list[_LayerFit]], seconds: float) -> Predictions:
    """Tables from what every fold and layer gave: fits[fold][layer]."""
    choices: list[Choice] = []
    chosen_layers: list[int] = []
    tables, marks = [], set[str]()
    for fold, layers in zip(problem.folds, fits, strict=True):
        losses = [fit.loss for fit in layers]
        layer = len(layers) - 1 if np.isnan(losses).all() else int(np.argmin(losses))  # the lowest of equals
        best = layers[layer]
        chosen = {"layer": layer, "strength": best.strength, "dev": best.figure, "loss": best.loss, "edge": best.edge}
        choices.append({"fold": fold.name, "seed": 0, **chosen})
        chosen_layers.append(layer)
        tables.append(fold_table(problem, fold, 0, best.test))
        marks |= set() if best.converged else {"unconverged"}
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
        marks=tuple(sorted(marks)),
        seconds=seconds,
    )
