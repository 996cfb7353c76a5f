"""What came out: records of cells, and their views (CSV, tables, statistics, pictures), all rebuilt from the records.

A cell is (upstream, task, downstream). Its record is one JSON file, written last; it names the Parquet files
beside it (predictions; vectors for pictures) with their sha256. `python -m leaderboard schema` explains every key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.errors import LeaderboardError, NoResult

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import JsonValue
    from rich.console import Console

    from commons.corridors.measured import Measured
    from commons.corridors.record import Record

__all__ = [
    "LeaderboardError", "NoResult", "ablation", "csv", "drop_weights", "examples", "find", "keep", "kept", "load",
    "log_scoring", "markdown", "openings", "predictions", "record", "same", "show", "verify", "weights",
]  # fmt: skip

Failure = tuple[str, str, str, str]


def record(results: Path, measured: Measured, extends: Record | None = None) -> Record:
    """Score the predictions of a cell and write them: the Parquet files first, the record last.

    Args:
        results: folder of results; made if absent.
        measured: the cell, with its task, upstream, downstream, run and predictions.
        extends: the record of the same cell with other, earlier seeds; the new record holds both.

    Raises:
        LeaderboardError: predictions do not fit the task, `task.aspect` is null, the record to extend is damaged, the
            disk is full.
    """
    from leaderboard.records import record_store

    return record_store.record(Path(results), measured, extends)


def find(
    results: Path,
    upstream: str,
    task: str,
    downstream: str,
    *,
    verify: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Record | None:
    """The record of a cell, or None where there is none or it is damaged (`warn` then gets the reason).

    Its checksum must be that of its content: a record edited by hand is damaged, too.
    The Parquet files must be there in their recorded sizes; with `verify` their sha256 is computed too.
    """
    from leaderboard.records import record_store

    return record_store.find(Path(results), upstream, task, downstream, verify=verify, warn=warn)


def load(results: Path) -> tuple[list[Record], list[str]]:
    """All whole records, sorted by upstream, task, downstream; and one line for every damaged one.

    `results/limited` (smoke runs) is a results folder of its own and not read.
    """
    from leaderboard.records import record_store

    return record_store.load(Path(results))


def examples(results: Path, upstream: str, most: int) -> list[Record]:
    """Some whole records of an upstream, whatever the task and head; no more than `most` are read."""
    from leaderboard.records import record_store

    return record_store.examples(Path(results), upstream, most)


def predictions(results: Path, record: Record) -> pd.DataFrame:
    """The predictions of a record: `id fold seed target prediction group`, speaker and the like, `score:<class>`,
    and `layer:<l>`, what layer l would have predicted (first seed only, else missing)."""
    from leaderboard.records import record_store

    return record_store.predictions(Path(results), record)


def keep(
    results: Path, cell: tuple[str, str, str], key: str, seed: int, fill: Callable[[Path], Mapping[str, JsonValue]]
) -> Path:
    """Write the weights of one seed of a cell beside its record, whole or not at all; returns their folder.

    Args:
        key: of the cell.
        fill: writes files into the folder that it gets, and returns what the index has to say of them.

    Raises:
        LeaderboardError: they cannot be written.
    """
    from leaderboard.records import weights

    return weights.write(Path(results), cell, key, seed, fill)


def kept(results: Path, record: Record) -> list[int]:
    """The seeds of a record whose weights were kept."""
    from leaderboard.records import weights

    return weights.seeds(Path(results), record)


def weights(results: Path, record: Record, seed: int) -> tuple[Path, dict[str, JsonValue]]:
    """The folder with the kept weights of a seed, and what its index says of them.

    Raises:
        LeaderboardError: they are damaged, or are not there.
    """
    from leaderboard.records import weights

    return weights.read(Path(results), record, seed)


def drop_weights(results: Path, cell: tuple[str, str, str]) -> None:
    """Remove the kept weights of a cell, which is measured anew."""
    from leaderboard.records import weights

    weights.remove(Path(results), *cell)


def log_scoring(results: Path, record: Record) -> None:
    """Append to `results/scored/` that a cell was scored: time, cell, task version, audit, key, headline figure.

    Raises:
        LeaderboardError: the file cannot be written.
    """
    from leaderboard.records import openings

    openings.log(Path(results), record)


def openings(results: Path) -> dict[str, int]:
    """How often each task's test set was opened, by `results/scored/`; references do not count."""
    from leaderboard.records import openings

    return openings.openings(Path(results))


def same(before: Record, after: Record) -> list[str]:
    """What differs between two records of a cell in scores, choices and predictions; [] where they agree."""
    from leaderboard.records import differences

    return differences.same(before, after)


def ablation(
    results: Path,
    name: str,
    title: str,
    variants: Mapping[str, str],
    published: Mapping[str, float],
    measure: str,
    source: str,
    records: Sequence[Record],
    absent: Mapping[str, str],
) -> list[Path]:
    """Print an ablation and write `results/ablations/<name>` as CSV, Markdown and LaTeX (booktabs).

    Args:
        variants: variant -> the upstream it is; a row each, in this order.
        published: variant -> the paper's figure of `measure`, from `source`; shown in a column of its own.
        records: cells to show; a column for every task and head.
        absent: variant -> why it was not trained.
    """
    from leaderboard.tables import ablations

    table = ablations.table(name, title, variants, records)
    if published:
        table = ablations.with_paper(table, published, measure, source)
    return ablations.write(Path(results), name, ablations.with_absent(table, absent))


def csv(results: Path) -> Path:
    """Rebuild `results/leaderboard.csv` from the records, one row a cell (columns: spreadsheet.py)."""
    from leaderboard.tables import spreadsheet

    return spreadsheet.write(Path(results))


def show(
    records: Sequence[Record],
    console: Console | None = None,
    failures: Sequence[Failure] = (),
    *,
    published: bool = False,
    matrix: bool = False,
) -> None:
    """Print a table for every task and head, then the cells that failed (upstream, task, downstream, message).

    Published figures of an upstream that is shown, same protocol, stand on its line; `published` lists all of them.
    `matrix`: transfers of several pairs, and changes of the test audio, stand in one table for every upstream and head,
    without floors and notes. Of joined corpora, each stands in a table of its own as well.
    """
    from leaderboard.tables import results, robustness, terminal, transfers, unified

    alone, changed = robustness.apart(records) if matrix else (records, [])
    alone, pairs = transfers.apart(alone) if matrix else (alone, [])
    matrices = transfers.tables([*pairs, *alone]) if pairs else []
    joined = [*matrices, *robustness.tables(changed), *unified.tables(records)]
    terminal.show([*results.tables(alone), *joined], console, published=published)
    terminal.show_failures(failures, console)


def markdown(records: Sequence[Record], failures: Sequence[Failure] = ()) -> str:
    """The tables of `show` as Markdown."""
    from leaderboard.tables import markdown, results

    return markdown.document(results.tables(records), failures)


def verify(results: Path) -> list[str]:
    """Recompute every figure of every record from its predictions; one line for every difference or damage.

    A `leaderboard.csv` that is not the one of the records is a line, too.
    """
    from leaderboard.records import verify
    from leaderboard.tables import spreadsheet

    return [*verify.verify(Path(results)), *spreadsheet.outdated(Path(results))]
