"""Is every figure what its predictions say? All of them are computed again."""

from __future__ import annotations

from pathlib import Path

from commons.corridors.record import Record
from commons.errors import EmorepError
from leaderboard import files, parquet, records, spreadsheet


def verify(results: Path) -> list[str]:
    """See leaderboard.verify."""
    problems: list[str] = []
    for path in files.paths(results):
        record, damage = records.examine(results, path)
        problems += damage
        if record:
            problems += parquet.damaged(path, record, contents=True) or _recomputed(path, record)
    return problems + spreadsheet.outdated(results)


def _recomputed(path: Path, record: Record) -> list[str]:
    from leaderboard.scoring import check, score

    try:
        table = parquet.read(path, record)
    except EmorepError as error:
        return [str(error)]
    lines = []
    if len(table) != record.files.predictions.rows:
        lines.append(f"rows: {record.files.predictions.rows} before, {len(table)} now")
    if missing := records.contamination(record.upstream, record.task) - set(record.marks):
        lines.append(f"marks: {', '.join(sorted(missing))} missing")
    try:
        check(table, record.task)
        lines += records.differences("scores", record.scores, score(table, record.task))
    except EmorepError as error:
        lines.append(str(error))
    return [f"{path}: recorded figures are not those of the predictions: {line}" for line in lines]
