"""CSV: `leaderboard.csv`, one row a cell, rebuilt from the records; and any table.

Others read `leaderboard.csv`: columns are only ever added. Undefined values are empty. A text that a spreadsheet would
take for a formula (it starts with `=`, `+`, `-`, `@`, tab or return) gets a leading apostrophe; numbers never do.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from statistics import stdev

from commons.corridors.record import Record
from commons.metrics import DISTRIBUTION, METRICS, ORDINAL, SEQUENCE
from leaderboard.records import files
from leaderboard.records.comparable import unit
from leaderboard.records.display_names import given, shown
from leaderboard.records.record_store import load
from leaderboard.tables.model import Table

NAME = "leaderboard.csv"
DECIMALS = 4
ATTEMPTS = 50

Value = str | float | None
Column = tuple[str, str, Callable[[Record], Value]]  # name, explanation, what it holds


def _figure(metric: str, part: str) -> Callable[[Record], float | None]:
    def value(record: Record) -> float | None:
        figure = record.scores.metrics.get(metric)
        return getattr(figure, part) if figure else None

    return value


def _metric_columns(name: str) -> list[Column]:
    unit = METRICS[name].unit or "as it is"
    return [
        (name, f"{name}, pooled over folds, mean of seeds ({unit})", _figure(name, "value")),
        (f"{name}_low", "lower bound of its 95 % interval", _figure(name, "low")),
        (f"{name}_high", "upper bound", _figure(name, "high")),
    ]


def _further_columns(target: str, metric: str) -> list[Column]:
    def part(of: str) -> Callable[[Record], float | None]:
        def value(record: Record) -> float | None:
            own = record.further.get(target)
            figure = own.metrics.get(metric) if own else None
            return getattr(figure, of) if figure else None

        return value

    name = f"{target}_{metric}"
    return [
        (name, f"{metric} of {target.replace('_', ' ')}, beside the task's figures", part("value")),
        (f"{name}_low", "lower bound of its 95 % interval", part("low")),
        (f"{name}_high", "upper bound", part("high")),
    ]


def _seed_std(name: str) -> Column:
    def value(record: Record) -> float | None:
        values = [v for v in record.scores.by_seed.get(name, []) if v is not None]
        return stdev(values) if len(values) > 1 else None

    return f"{name}_seed_std", f"standard deviation of {name} over seeds", value


def _last_layer(name: str) -> Column:
    return f"last_layer_{name}", f"{name} of the last layer", lambda r: (r.scores.last_layer or {}).get(name)


SPECIAL = [name for name in METRICS if METRICS[name].special]
LEVELS = [name for name in SPECIAL if METRICS[name].kind == ORDINAL]  # came later, so they are the last columns
VOTES = [name for name in SPECIAL if METRICS[name].kind == DISTRIBUTION]  # and came later still
SENTIMENT = [name for name in SPECIAL if METRICS[name].kind not in (ORDINAL, DISTRIBUTION, SEQUENCE)]

FURTHER = (  # what heads of several targets learn beside the task's, and what their shared vectors tell
    ("intensity", "UA"),
    ("intensity", "level_MAE"),
    ("gender", "UA"),
    ("phonemes", "PER"),
    ("gender_probe", "UA"),
    ("speaker_probe", "WA"),
)


def _against(what: str, part: str) -> Callable[[Record], float | None]:
    return lambda r: getattr(getattr(r.scores.against_clean, what), part) if r.scores.against_clean else None


AGAINST_CLEAN: list[Column] = [
    ("perturbation", "how the audio of test is changed", lambda r: p.kind if (p := r.task.perturbation) else None),
    ("level", "how much", lambda r: p.level if (p := r.task.perturbation) else None),
    ("bit_rate", "of a codec, kbit/s", lambda r: p.bit_rate if (p := r.task.perturbation) else None),
    ("unchanged", "share of predictions that stay (percent)", _against("unchanged", "value")),
    ("unchanged_low", "lower bound of its 95 % interval", _against("unchanged", "low")),
    ("unchanged_high", "upper bound", _against("unchanged", "high")),
    ("change", "headline figure less that on clean audio", _against("change", "value")),
    ("change_low", "lower bound of its 95 % interval, paired", _against("change", "low")),
    ("change_high", "upper bound", _against("change", "high")),
    ("training", "key of the clean cell, whose training this one shares", lambda r: r.cell.training),
]

COLUMNS: list[Column] = [
    ("upstream", "who answered", lambda r: r.cell.upstream),
    ("task", "what was asked", lambda r: r.cell.task),
    ("downstream", "how it was read", lambda r: r.cell.downstream),
    *(column for name in METRICS if not METRICS[name].special for column in _metric_columns(name)),
    ("WA_folds", "mean of the folds' WA (percent)", lambda r: r.scores.WA_folds),
    _last_layer("WA"),
    _last_layer("UA"),
    _last_layer("CCC"),
    ("headline", "metric that the task is ranked by", lambda r: r.task.headline),
    ("n", "utterances tested", lambda r: r.scores.counts.n),
    ("speakers", "speakers tested", lambda r: r.scores.counts.speakers),
    ("groups", "groups that the intervals rest on", lambda r: r.scores.counts.groups),
    ("group_by", "what these groups are", unit),
    ("folds", "test folds", lambda r: r.scores.counts.folds),
    ("seeds", "seeds of the head", lambda r: r.scores.counts.seeds),
    ("marks", "warnings, joined by ;", lambda r: ";".join(r.marks)),
    ("layer", "layer that most folds chose, from 0", lambda r: r.chosen.layer),
    ("classes", "classes, joined by ;", lambda r: ";".join(r.task.classes)),
    ("language", "language of the corpus", lambda r: r.task.language),
    ("corpus", "the corpus", lambda r: r.task.corpus),
    ("family", "corpora that share speakers have one", lambda r: r.task.family),
    ("depth", "layers of the upstream", lambda r: r.upstream.depth),
    ("width", "values a layer", lambda r: r.upstream.width),
    ("audio_seconds", "audio of the cell, s", lambda r: r.upstream.audio_seconds),
    ("seconds_extract", "wall time of extraction, s", lambda r: r.run.seconds.get("extract")),
    ("seconds_evaluate", "wall time of the head, s", lambda r: r.run.seconds.get("evaluate")),
    ("peak_memory_mb", "peak resident memory, MB", lambda r: r.run.peak_memory_mb),
    ("precision", "fp32 or bf16", lambda r: r.cell.precision),
    ("device", "where the upstream ran", lambda r: r.run.device),
    ("limit", "utterances of a smoke run", lambda r: r.cell.limit),
    ("task_version", "version of the task's definition", lambda r: r.task.version),
    ("schema_version", "version of the record", lambda r: r.schema_version),
    ("emorep", "version of this program", lambda r: r.run.emorep),
    ("torch", "version of torch", lambda r: r.run.versions.get("torch")),
    ("created", "when, UTC", lambda r: r.created),
    ("key", "hash of all that decides the result", lambda r: r.cell.key),
    *(_seed_std(name) for name in METRICS if not METRICS[name].special),
    *(column for name in SENTIMENT for column in _metric_columns(name)),
    ("parameters", "parameters of the upstream's networks", lambda r: r.upstream.parameters),
    ("label", "what tables call the upstream", shown),
    ("base", "upstream that it is a variant, a checkpoint or a random twin of", lambda r: r.upstream.base),
    ("draw", "seed of random weights; tables show all draws of a base in one row", lambda r: r.upstream.draw),
    ("input", "speech, text (gold), text (ASR), or both; empty where neither is read", given),
    (
        "fusion",
        "early: features of several upstreams side by side; late: their predictions",
        lambda r: r.upstream.fusion,
    ),
    ("parts", "the upstreams that are fused, or the one of which it is a layer", lambda r: "|".join(r.upstream.parts)),
    ("trained", "what of the upstream was trained; empty: it stayed frozen", lambda r: r.downstream.trained),
    ("trainable", "values that were trained, of encoder and head", lambda r: r.downstream.trainable),
    ("hours", "time of all trainings, summed, h", lambda r: r.downstream.hours),
    *(column for name in LEVELS for column in _metric_columns(name)),
    *(column for name in VOTES for column in _metric_columns(name)),
    *(column for target, metric in FURTHER for column in _further_columns(target, metric)),
    (
        "group_of_runs",
        "pre-training runs that differ in the seed alone have one",
        lambda r: r.upstream.group_of_runs,
    ),
    ("processor", "processor, and GPU, that it ran on", lambda r: r.run.processor),
    ("contributor", "who brought it to this board; empty: measured here", lambda r: r.contributor),
    *AGAINST_CLEAN,
]


def write(results: Path) -> Path:
    """Write `results/leaderboard.csv` from the records; returns its path.

    Several runs may end at once. Each writer checks afterwards whether records were added or removed while it wrote,
    and if so writes again; so the file of the last writer has all of them.
    """
    path = results / NAME
    for _ in range(ATTEMPTS):
        before = _state(results)
        files.put(path, text(load(results)[0]))
        if _state(results) == before:
            break
    return path


def _state(results: Path) -> list[tuple[str, int, int]]:
    """What changes where a record is written or removed."""
    states = []
    for path in files.paths(results):
        with contextlib.suppress(OSError):
            facts = path.stat()
            states.append((str(path), facts.st_ino, facts.st_mtime_ns))
    return states


def text(records: list[Record]) -> str:
    """The CSV of some records."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([name for name, _, _ in COLUMNS])
    writer.writerows([[_cell(value(record)) for _, _, value in COLUMNS] for record in records])
    return stream.getvalue()


def of_table(table: Table) -> str:
    """A table as CSV: its texts, without the lines around it."""
    stream = io.StringIO()
    columns = [table.texts(column) for column in table.columns]
    rows = [[table.name(row), *(column[index].strip() for column in columns)] for index, row in enumerate(table.rows)]
    writer = csv.writer(stream, lineterminator="\n")
    lines = [[table.corner, *table.columns], *rows]
    writer.writerows([[text if re.match(r"-\d", text) else _cell(text) for text in line] for line in lines])
    return stream.getvalue()


def outdated(results: Path) -> list[str]:
    """One line if the CSV that is there is not that of the records."""
    path = results / NAME
    if not path.is_file() or path.read_bytes() == text(load(results)[0]).encode():
        return []
    return [f"{path}: not what the records say; rebuild it: python -m leaderboard csv --results {results}"]


def _cell(value: Value) -> Value:
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
