"""python -m leaderboard csv | table | verify | schema  [--results DIR]"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import leaderboard
from leaderboard.errors import LeaderboardError, UnknownName

if TYPE_CHECKING:
    from leaderboard.schema import Record


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; 0 all well, 1 something is wrong with the results, 2 the request was wrong."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard", description="Views on the results, and their proof.")
    commands = parser.add_subparsers(dest="command", required=True)
    csv = commands.add_parser("csv", help="rebuild leaderboard.csv from the records")
    table = commands.add_parser("table", help="print the tables")
    table.add_argument("--format", choices=("terminal", "markdown"), default="terminal")
    table.add_argument("-t", "--task", nargs="+", metavar="TASK", help="these tasks only")
    table.add_argument("-u", "--upstream", nargs="+", metavar="UPSTREAM", help="these and the references only")
    verify = commands.add_parser("verify", help="recompute every figure from its predictions")
    commands.add_parser("schema", help="explain the columns of the CSV and the keys of a record")
    for command in (csv, table, verify):
        command.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: ./results")
    options = parser.parse_args(arguments)
    try:
        return {"csv": _csv, "table": _table, "verify": _verify, "schema": _schema}[options.command](options)
    except LeaderboardError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UnknownName) else 1
    except BrokenPipeError:  # the reader (head, less) has seen enough; python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _records(results: Path) -> tuple[list[Record], bool]:
    """The whole records, and whether there were damaged ones, which are named."""
    if not results.is_dir():
        raise LeaderboardError(f"{results}: no such folder; name the folder of results with --results")
    records, problems = leaderboard.load(results)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not records:
        raise LeaderboardError(f"{results}: no results; run_benchmark.py makes some")
    return records, bool(problems)


def _csv(options: argparse.Namespace) -> int:
    records, damage = _records(options.results)
    print(f"{leaderboard.csv(options.results)}: {len(records)} cells")
    return int(damage)


def _table(options: argparse.Namespace) -> int:
    records, damage = _records(options.results)
    for what, wanted in (("task", options.task), ("upstream", options.upstream)):
        for name in wanted or ():
            if name not in (known := {getattr(r.cell, what) for r in records}):
                raise UnknownName(what, name, known)
    records = [r for r in records if not options.task or r.cell.task in options.task]
    if options.upstream:
        records = [r for r in records if r.cell.upstream in options.upstream or r.cell.downstream == "reference"]
    if options.format == "markdown":
        print(leaderboard.markdown(records), end="")
    else:
        leaderboard.show(records)
    return int(damage)


def _verify(options: argparse.Namespace) -> int:
    records, damage = _records(options.results)
    problems = leaderboard.verify(options.results)
    for problem in problems:
        print(problem)
    verdict = f"{len(problems)} problems" if problems else "every figure follows from its predictions"
    print(f"{options.results}: {len(records)} cells, {verdict}")
    return int(bool(problems) or damage)


def _schema(options: argparse.Namespace) -> int:
    from leaderboard import schema, spreadsheet

    print(f"Record, schema version {schema.SCHEMA_VERSION} (one JSON file a cell)\n")
    _two_columns(schema.keys())
    print(f"\n{spreadsheet.NAME} (one row a cell)\n")
    _two_columns([(name, explanation) for name, explanation, _ in spreadsheet.COLUMNS])
    return 0


def _two_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, explanation in rows:
        print(f"{name:<{width}}  {explanation}")


if __name__ == "__main__":
    sys.exit(main())
