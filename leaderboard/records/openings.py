"""`scored/*.jsonl`: one line for every time a cell was scored, that is, for every time a test set was opened.

Every process writes a file of its own. Results of earlier versions have one file, `scored.jsonl`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from commons import journals
from commons.corridors.record import REFERENCE, Record
from leaderboard.records.files import writing

FOLDER, SUFFIX = "scored", ".jsonl"
OLDER = "scored.jsonl"  # of earlier versions
CELL = ("upstream", "task", "downstream")
LONGEST = 10_000  # characters of a line


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
    folder = results / FOLDER
    with writing(journals.own(folder, SUFFIX)):
        journals.append(folder, json.dumps(line) + "\n", SUFFIX)


def openings(results: Path) -> dict[str, int]:
    """How often each task's test set was opened; references do not count."""
    counts: Counter[str] = Counter()
    for line, times in _lines(results).items():
        entry = json.loads(line)
        if entry["downstream"] != REFERENCE:
            counts[entry["task"]] += times
    return dict(counts)


def take_over(theirs: Path, into: Path) -> None:
    """Append to the log of `into` the lines of another folder's log that it lacks, so that once more changes nothing.

    Raises:
        LeaderboardError: the file cannot be written.
    """
    lacking = _lines(theirs) - _lines(into)
    if lacking:
        with writing(journals.own(into / FOLDER, SUFFIX)):
            journals.append(into / FOLDER, "".join(f"{line}\n" for line in lacking.elements()), SUFFIX)


def _lines(results: Path) -> Counter[str]:
    """The lines of a log, with how often each is there; without half lines of killed processes, which name no cell."""
    known: Counter[str] = Counter()
    for line in journals.lines(results / FOLDER, SUFFIX, results / OLDER):
        try:
            entry = json.loads(line)
            if len(line) <= LONGEST and all(isinstance(entry[name], str) for name in ("scored", *CELL)):
                known[line] += 1
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return known
