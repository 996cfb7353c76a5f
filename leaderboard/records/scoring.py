"""Scoring: all figures of a record from its table of predictions; `verify` computes them again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from commons import ordinal, votes
from commons.corridors.predictions import CLEAN
from commons.corridors.record import INTERVALS, AgainstClean, Counts, FoldScore, Score, Scores, Task
from commons.corridors.utterances import VOTES
from commons.metrics import CLASSIFICATION, DISTRIBUTION, METRICS, ORDINAL, REGRESSION, Metric, recalls, sums
from leaderboard.errors import LeaderboardError
from leaderboard.records.comparable import UTTERANCE
from leaderboard.records.intervals import LEVEL, freedom, jackknife, leave_one_out, shares, standard_error

Outcomes = ordinal.Outcomes | votes.Outcomes
COLUMNS = ("id", "fold", "seed", "target", "prediction", "group")
MOST = 5_000_000  # numbers in the statistics of a seed; tasks with more of them leave out blocks of utterances
FEWEST = 30  # blocks: with fewer, intervals would be wider for it


@dataclass(frozen=True)
class _Rows:
    """R predictions as indices.

    Attributes:
        target, prediction: (R,) class indices, or values.
        seed, fold, group: (R,) indices.
        seeds, folds, groups: how many there are of each.
        classes: how many there are; None for values.
        outcomes: of a task of levels or votes, what the answers add to its statistics; else None.
    """

    target: np.ndarray
    prediction: np.ndarray
    seed: np.ndarray
    fold: np.ndarray
    group: np.ndarray
    seeds: int
    folds: int
    groups: int
    classes: int | None
    outcomes: Outcomes | None

    @property
    def first(self) -> np.ndarray:
        """(R,) bool: rows of the first seed."""
        return self.seed == 0

    def sums(self, part: np.ndarray, parts: int) -> np.ndarray:
        """Additive statistics (seeds, parts, ...) of rows that belong to these parts, (R,) indices."""
        whole = self.seed * parts + part
        flat = sums(self.target, self.prediction, whole, n_groups=self.seeds * parts, n_classes=self.classes)
        if self.outcomes:
            flat = _extended(flat, self.target, self.outcomes, whole)
        return flat.reshape(self.seeds, parts, *flat.shape[1:])


def score(table: pd.DataFrame, task: Task) -> Scores:
    """All figures of a cell.

    Args:
        table: a row for every (utterance, seed): `id fold seed target prediction group`, `speaker` where known, `clean`
            where the audio was changed,
            `layer:0` ... `layer:L-1`, filled for the first (smallest) seed, and of an ordinal task what `needed` names.
        task: what was asked: classes, metrics, headline, folds.

    Raises:
        LeaderboardError: the table holds a class or a fold that the task does not have.
    """
    known = {
        name: metric
        for name, metric in METRICS.items()
        if metric.fits(_family(task)) and (not metric.special or name in task.metrics)
    }
    rows = _rows(table, task)
    by_group, by_fold = rows.sums(rows.group, rows.groups), rows.sums(rows.fold, rows.folds)
    whole = by_fold.sum(axis=1)
    folds = _fold_scores(rows, by_fold, known, task)
    wa = [value for f in folds if f.metrics and (value := f.metrics.get("WA")) is not None]
    layers = [_values(table[name][rows.first], task) for name in table.columns if name.startswith("layer:")]

    def of_layer(values: np.ndarray, metric: str) -> float | None:
        if known[metric].kind in (ORDINAL, DISTRIBUTION):
            return None  # it reads scores, and of single layers there are predicted classes alone
        return _number(known[metric](sums(rows.target[rows.first], values, n_classes=rows.classes))[0])

    return Scores(
        intervals=INTERVALS,
        counts=Counts(
            n=int(rows.first.sum()),
            speakers=int(table["speaker"].nunique()) if "speaker" in table else None,
            folds=len(np.unique(rows.fold)),
            seeds=rows.seeds,
            groups=rows.groups,
        ),
        metrics={m: pooled(by_group, metric) for m, metric in known.items()},
        by_seed={m: [_number(v) for v in metric(whole)] for m, metric in known.items()},
        folds=folds,
        WA_folds=float(np.mean(wa)) if wa else None,
        recall=dict(zip(task.classes, _recalls(by_group), strict=True)) if rows.classes else {},
        pairs=_pairs(rows, table, task),
        corpora=_corpora(rows, table, task, known),
        against_clean=_against_clean(table, task),
        confusion=ordinal.confusion(whole[0]).astype(int).tolist() if rows.classes else None,
        last_layer={m: of_layer(layers[-1], m) for m in known} if layers else None,
        by_layer=[of_layer(v, task.headline) for v in layers] if layers and task.kind != DISTRIBUTION else None,
    )


def _rows(table: pd.DataFrame, task: Task) -> _Rows:
    """The rows of a table as indices. Raises LeaderboardError for a class or fold that the task does not have."""
    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    group, groups = pd.factorize(resampled(table["group"], task))
    return _Rows(
        target=_values(table["target"], task),
        prediction=_values(table["prediction"], task),
        seed=seed,
        fold=_codes(table["fold"], task.folds, "fold"),
        group=group,
        seeds=len(seeds),
        folds=len(task.folds),
        groups=len(groups),
        classes=len(task.classes) or None,
        outcomes=_outcomes(table, task),
    )


def resampled(groups: pd.Series, task: Task) -> pd.Series:
    """The unit of resampling of every row: its group, as text.

    Where that is the utterance and the statistics would be too large (a task that asks for one of 231 speakers), it is
    a block of utterances, which their ids alone decide: the grouped jackknife (Quenouille 1956), with at least 30.
    """
    names = groups.astype(str)
    wide = len(task.classes) ** 2
    if task.group_by != UTTERANCE or names.nunique() * wide <= MOST:
        return names
    count = max(FEWEST, MOST // wide)
    return names.map({name: f"block {_dealt(name, count)} of {count}" for name in names.unique()})


def _dealt(name: str, count: int) -> int:
    """A number from 0 to count - 1, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count


def needed(task: Task) -> list[str]:
    """Columns of predictions that only figures of levels, votes or joined corpora need; none for other tasks."""
    scores = [f"score:{name}" for name in task.classes]
    if task.kind == DISTRIBUTION:
        return [*scores, *(f"{VOTES}{name}" for name in task.classes)]
    if task.kind == ORDINAL:
        return [*scores, *task.pairs]
    return ["corpus"] if task.corpora else []


def _extended(flat: np.ndarray, target: np.ndarray, made: Outcomes, groups: np.ndarray) -> np.ndarray:
    """Statistics of classes with those of levels or votes beside them."""
    if isinstance(made, votes.Outcomes):
        return votes.sums(flat, target, made, groups)
    return ordinal.sums(flat, target, made, groups)


def _outcomes(table: pd.DataFrame, task: Task) -> Outcomes | None:
    """What the answers add to the statistics of levels or votes; None for other tasks. Pairs are of one seed."""
    if task.kind not in (ORDINAL, DISTRIBUTION):
        return None
    scores = table[[f"score:{name}" for name in task.classes]].to_numpy(np.float64)
    if task.kind == DISTRIBUTION:
        return votes.outcomes(table[[f"{VOTES}{name}" for name in task.classes]].to_numpy(np.float64), scores)
    sets = table.groupby(["seed", *task.pairs], sort=False).ngroup().to_numpy()
    return ordinal.outcomes(_values(table["target"], task), scores, task.levels, sets)


def _pairs(rows: _Rows, table: pd.DataFrame, task: Task) -> dict[str, Score]:
    """The share of each emotion's pairs that are ordered right; empty where pairs are not of one emotion."""
    if not isinstance(rows.outcomes, ordinal.Outcomes) or "emotion" not in task.pairs:
        return {}
    emotion, names = pd.factorize(table["emotion"].astype(str), sort=True)
    cell = (rows.seed * rows.groups + rows.group) * len(names) + emotion
    size = rows.seeds * rows.groups * len(names)
    right, pairs = (
        np.bincount(cell, weights=part, minlength=size).reshape(rows.seeds, rows.groups, len(names))
        for part in (rows.outcomes.right, rows.outcomes.pairs)
    )

    def shown(statistics: np.ndarray) -> np.ndarray:
        right, pairs = statistics[..., 0], statistics[..., 1]
        return 100.0 * np.divide(right, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)

    carried = pairs[0] / np.maximum(pairs[0].sum(0), 1)
    scores = _scores(np.stack([right, pairs], axis=-1), shown, (0.0, 100.0), carried)
    return dict(zip(names, scores, strict=True))


def _corpora(rows: _Rows, table: pd.DataFrame, task: Task, known: Mapping[str, Metric]) -> dict[str, dict[str, Score]]:
    """Every metric of each joined corpus, on its own utterances, groups and classes; empty for other tasks."""
    scores = {}
    for corpus, classes in task.corpora.items():
        inside = (table["corpus"] == corpus).to_numpy()
        names, group = np.unique(rows.group[inside], return_inverse=True)
        whole = rows.seed[inside] * len(names) + group
        flat = sums(
            rows.target[inside],
            rows.prediction[inside],
            whole,
            n_groups=rows.seeds * len(names),
            n_classes=len(task.classes),
        )
        own = [task.classes.index(name) for name in classes]
        counts = flat[:, own][:, :, own].reshape(rows.seeds, len(names), len(own), len(own))
        scores[corpus] = {name: pooled(counts, metric) for name, metric in known.items()}
    return scores


def _fold_scores(rows: _Rows, by_fold: np.ndarray, known: Mapping[str, Metric], task: Task) -> list[FoldScore]:
    """Figures of every fold, means over seeds.

    Args:
        by_fold: (seeds, folds, ...) additive statistics.
    """
    folds = []
    for index, name in enumerate(task.folds):
        inside = rows.first & (rows.fold == index)
        figures = {m: _number(metric(by_fold[:, index]).mean()) for m, metric in known.items()}
        folds.append(
            FoldScore(
                fold=name,
                n=int(inside.sum()),
                classes_in_test=len(np.unique(rows.target[inside])) if rows.classes else None,
                metrics=None if task.pooled_only else figures,
            )
        )
    return folds


def by_group(table: pd.DataFrame, task: Task) -> tuple[np.ndarray, list[str]]:
    """Additive statistics (S, G, ...) of a table's seeds and groups, and the G groups' names, sorted."""
    group, names = pd.factorize(resampled(table["group"], task), sort=True)
    _, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    target, whole = _values(table["target"], task), seed * len(names) + group
    flat = sums(
        target,
        _values(table["prediction"], task),
        whole,
        n_groups=(seed.max() + 1) * len(names),
        n_classes=len(task.classes) or None,
    )
    if outcomes := _outcomes(table, task):
        flat = _extended(flat, target, outcomes, whole)
    return flat.reshape(-1, len(names), *flat.shape[1:]), list(names)


def _against_clean(table: pd.DataFrame, task: Task) -> AgainstClean | None:
    """What a change of the audio does to predictions and headline figure; None where nothing was changed.

    The interval of the change is that of a paired difference: what both figures share cancels out.
    """
    if CLEAN not in table:
        return None
    metric = METRICS[task.headline]
    changed, clean = (by_group(table.assign(prediction=table[name]), task)[0] for name in ("prediction", CLEAN))
    stays = by_group(table.assign(target=table[CLEAN]), task)[0]
    before, after = leave_one_out(clean, metric), leave_one_out(changed, metric)
    difference, without = float(after[0] - before[0]), after[1] - before[1]
    half = np.nan
    if len(without) > 1:
        half = stdtrit(freedom(shares(changed[0], metric)), (1 + LEVEL) / 2) * standard_error(without)
    return AgainstClean(
        unchanged=pooled(stays, METRICS["WA"]),
        clean=_number(float(before[0])),
        change=Score(
            value=_number(difference),
            low=_number(difference - half),
            high=_number(difference + half),
            undefined=0 if np.isnan(difference) else int(np.isnan(without).sum()),
        ),
    )


def _family(task: Task) -> str:
    if task.kind in (ORDINAL, DISTRIBUTION):
        return task.kind
    return CLASSIFICATION if task.classes else REGRESSION


def check(table: pd.DataFrame, task: Task) -> None:
    """Raise LeaderboardError where a table is not one that `score` can take."""
    where = f"predictions of task {task.name!r}"
    columns = (*COLUMNS, *needed(task))
    missing = [name for name in columns if name not in table]
    if missing:
        raise LeaderboardError(f"{where}: the table lacks {', '.join(missing)}; it needs {', '.join(columns)}")
    if not len(table):
        raise LeaderboardError(f"{where}: the table is empty; a cell needs test utterances")
    holes = [name for name in columns if table[name].isna().any()]
    if holes:
        raise LeaderboardError(f"{where}: empty values in {', '.join(holes)}; only utterances with a target are scored")
    for name in (*task.metrics, task.headline):
        if name not in METRICS or not METRICS[name].fits(_family(task)):
            fit = [m for m, metric in METRICS.items() if metric.fits(_family(task))]
            raise LeaderboardError(f"task {task.name!r}: no metric of {_family(task)}: {name!r}; use {', '.join(fit)}")
    rows = table.groupby("seed")["id"]
    twice = rows.apply(lambda ids: ids.duplicated().any())
    if twice.any():
        raise LeaderboardError(f"{where}: an utterance is tested twice with seed {twice.idxmax()}; once is expected")
    if rows.agg(frozenset).nunique() > 1:
        raise LeaderboardError(f"{where}: the seeds tested different utterances; all must test the same")


def _values(column: pd.Series, task: Task) -> np.ndarray:
    """(N,) class indices, or values."""
    return _codes(column, task.classes, "class") if task.classes else column.to_numpy(dtype=np.float64)


def _codes(column: pd.Series, names: Sequence[str], what: str) -> np.ndarray:
    codes = pd.Index(names).get_indexer(pd.Index(column))
    if (codes < 0).any():
        strange = column.iloc[int(np.argmin(codes))]
        raise LeaderboardError(f"predictions hold the {what} {strange!r}; the task has {', '.join(names)}")
    return codes.astype(np.int64)


def _scores(
    statistics: np.ndarray,
    metric: Callable[[np.ndarray], np.ndarray],
    ends: tuple[float, float],
    shares: np.ndarray,
) -> list[Score]:
    columns = (np.atleast_1d(part) for part in jackknife(statistics, metric, ends, shares))
    return [
        Score(value=_number(value), low=_number(low), high=_number(high), undefined=int(undefined))
        for value, low, high, undefined in zip(*columns, strict=True)
    ]


def pooled(by_group: np.ndarray, metric: Metric) -> Score:
    """A pooled figure, mean over seeds, with its interval over groups, from statistics (S, G, ...)."""
    return _scores(by_group, metric, metric.limits, shares(by_group[0], metric))[0]


def _recalls(counts: np.ndarray) -> list[Score]:
    counts = ordinal.confusion(counts)
    held = counts[0].sum(-1)  # (G, C), the same for every seed
    carried = held / np.maximum(held.sum(0), 1)
    return _scores(counts, lambda s: 100.0 * recalls(s), (0.0, 100.0), carried)


def _number(value: float) -> float | None:
    """A plain float; None for what is undefined."""
    return float(value) if np.isfinite(value) else None
