"""Verification: every figure of every record is computed again from its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from commons.corridors.record import Record, Score, Scores
from commons.errors import EmorepError
from leaderboard.records import files, further, parquet, record_store

ROUNDED = 1e-4  # a correlation below it may be the rounding error of a constant's


def verify(results: Path) -> list[str]:
    """A line for every damaged record or file, and for every figure that does not follow from its predictions."""
    problems: list[str] = []
    for path in files.paths(results):
        problems += record_store.settled(path, partial(_examined, results, path))[1]
    return problems


def _examined(results: Path, path: Path) -> tuple[None, list[str]]:
    """What is wrong with one record, its files and its figures."""
    record, damage = record_store.examine(results, path)
    if record:
        damage = [*damage, *(parquet.damaged(path, record, contents=True) or _recomputed(path, record))]
    return None, damage


def _as_now(before: Scores, now: Scores) -> Scores:
    """Recorded scores as this version would have recorded them, where an earlier one had another rule.

    Pearson's correlation of a constant is undefined; earlier versions recorded the rounding error, some 1e-8. Intervals
    of an earlier formula are replaced by those of today, so that figures alone are compared.
    """
    if before.intervals < now.intervals:
        before = before.model_copy(
            update={
                "intervals": now.intervals,
                "metrics": _with_intervals(before.metrics, now.metrics),
                "recall": _with_intervals(before.recall, now.recall),
            }
        )

    def walk(old: object, new: object, of_pearson: bool) -> object:
        if isinstance(old, dict) and isinstance(new, dict):
            return {key: walk(value, new.get(key), of_pearson or key == "Pearson") for key, value in old.items()}
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            return [walk(a, b, of_pearson) for a, b in zip(old, new, strict=True)]
        rounding = of_pearson and new is None and isinstance(old, float) and abs(old) < ROUNDED
        return None if rounding else old

    return Scores.model_validate(walk(before.model_dump(), now.model_dump(), of_pearson=False))


def _with_intervals(before: Mapping[str, Score], now: Mapping[str, Score]) -> dict[str, Score]:
    """The recorded values with the bounds that are computed now."""
    return {
        name: now[name].model_copy(update={"value": score.value}) if name in now else score
        for name, score in before.items()
    }


def _recomputed(path: Path, record: Record) -> list[str]:
    from leaderboard.records.scoring import check, score

    try:
        table = parquet.read(path, record)
    except EmorepError as error:
        return [str(error)]
    lines = []
    if len(table) != record.files.predictions.rows:
        lines.append(f"rows: {record.files.predictions.rows} before, {len(table)} now")
    if missing := record_store.contamination(record.upstream, record.task) - set(record.marks):
        lines.append(f"marks: {', '.join(sorted(missing))} missing")
    try:
        check(table, record.task)
        now = score(table, record.task)
        lines += record_store.differences("scores", _as_now(record.scores, now), now)
        for name, (before, again) in further.computed_again(path, record).items():
            lines += record_store.differences(f"further.{name}", before, again)
    except EmorepError as error:
        lines.append(str(error))
    return [f"{path}: recorded figures are not those of the predictions: {line}" for line in lines]
