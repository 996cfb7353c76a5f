"""`scored.jsonl`: one line for every time a cell was scored, that is, for every time a test set was opened."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from commons.corridors.record import REFERENCE, Record
from leaderboard.records.files import writing

NAME = "scored.jsonl"


def log(results: Path, record: Record) -> None:
    """Append a line for a record that was just scored: time, cell, task version, audit, key, headline figure."""
    metric = record.task.headline
    line = {
        "scored": record.created,
        "upstream": record.cell.upstream,
        "task": record.cell.task,
        "downstream": record.cell.downstream,
        "task_version": record.task.version,
        "audit": record.task.audit,
        "key": record.cell.key,
        "seeds": record.cell.seeds,
        metric: record.scores.metrics[metric].value,
    }
    path = results / NAME
    with writing(path):
        results.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # one write of one line: processes may share the file
            file.write(json.dumps(line) + "\n")


def openings(results: Path) -> dict[str, int]:
    """How often each task's test set was opened; references do not count."""
    path = results / NAME
    counts: Counter[str] = Counter()
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                if entry["downstream"] != REFERENCE:
                    counts[entry["task"]] += 1
            except (ValueError, TypeError, KeyError, RecursionError):  # half a line of a killed process
                continue
    return dict(counts)
