"""What runs by different engines are compared by."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import leaderboard
import run_benchmark

VARYING = ["created", "seconds_extract", "seconds_evaluate", "peak_memory_mb", "hours"]


def words(results: Path, cache: Path, *more: str) -> list[str]:
    """A small request on the embedded corpus: two upstreams, one head, two reference rows."""
    return ["-u", "fbank", "mfcc", "-t", "demo", "-d", "probe", "--limit", "48", "--jobs", "1", "--results",
            str(results), "--cache", str(cache), *more]  # fmt: skip


def run(results: Path, cache: Path, *more: str) -> int:
    """The exit status of the request."""
    return run_benchmark.main(words(results, cache, *more))


def made(results: Path) -> tuple[dict[tuple[str, str, str], pd.DataFrame], pd.DataFrame]:
    """The predictions of every cell, and leaderboard.csv without times; every record is verified."""
    folder = results / "limited"
    records, problems = leaderboard.load(folder)
    assert not problems and leaderboard.verify(folder) == []
    tables = {
        (one.cell.upstream, one.cell.task, one.cell.downstream): leaderboard.predictions(folder, one) for one in records
    }
    return tables, pd.read_csv(folder / "leaderboard.csv").drop(columns=VARYING)


def assert_same(results: Path, others: Path) -> None:
    """Predictions and the CSV are equal, bit by bit."""
    (one, csv), (other, other_csv) = made(results), made(others)
    assert set(one) == set(other) and len(one) == 4
    for cell, table in one.items():
        pd.testing.assert_frame_equal(table, other[cell], check_exact=True)
    pd.testing.assert_frame_equal(csv, other_csv, check_exact=True)


def stamps(results: Path) -> dict[Path, int]:
    """When each record was written."""
    return {path: path.stat().st_mtime_ns for path in (results / "limited").glob("*/*/*.json")}
