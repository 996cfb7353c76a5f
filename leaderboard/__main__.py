"""python -m leaderboard csv|table|compare|plot|umap|page|card|methods|import|merge|submit|anchors|verify|schema"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import leaderboard
from commons import places, registry
from commons.commands import run
from commons.errors import Refused
from commons.marks import IMPORTED, UNVERIFIED
from leaderboard.command_line import parse
from leaderboard.errors import LeaderboardError, NoResult
from leaderboard.plots import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from commons.corridors.record import Record
    from commons.places import Places
    from leaderboard.boards.merging import Facts
    from leaderboard.tables.model import Look, Table

    class HasFacts(Protocol):
        of: Facts


# Two commands need the room `tasks`, which this room never imports: what joins them lies in cells/, loaded by name.
TARGETS = "cells.targets:Targets"
ANCHORS = "cells.anchors:anchored"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; 0 all well, 1 something is wrong with the results, 2 the request was wrong."""
    steps = {"csv": _csv, "table": _table, "compare": _compare, "plot": _plot, "umap": _umap, "page": _page,
             "card": _card, "methods": _methods, "import": _import, "merge": _merge, "submit": _submit,
             "anchors": _anchors, "verify": _verify, "schema": _schema}  # fmt: skip

    def work() -> int:
        options = parse(arguments)
        os.environ["MPLBACKEND"] = "agg"  # pictures go to files, whatever a notebook or a shell left there
        return steps[options.command](options)

    return run(work, lambda said: print(said, file=sys.stderr), arguments=arguments)


def _records(results: Path) -> tuple[list[Record], bool]:
    """The whole records, and whether there were damaged ones, which are named."""
    if results.exists() and not results.is_dir():
        raise LeaderboardError(f"{results}: is no folder; name the folder of results with --results")
    if not results.is_dir():
        raise LeaderboardError(f"{results}: no such folder; name the folder of results with --results")
    records, problems = leaderboard.load(results)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not records:
        raise LeaderboardError(f"{results}: no results; run_benchmark.py makes some")
    return records, bool(problems)


def _csv(options: argparse.Namespace) -> int:
    from leaderboard.text import plural

    records, damage = _records(options.results)
    print(f"{leaderboard.csv(options.results)}: {plural(len(records), 'cell')}")
    return int(damage)


def _chosen(options: argparse.Namespace, records: list[Record], changed: bool = False) -> list[Record]:
    """The records that -t, -u and -d name; references stay.

    Args:
        changed: a task stands for its changed test audio, too.
    """
    from commons.corridors.record import REFERENCE
    from leaderboard.records.random_weights import is_of, names_of

    for what in ("task", "upstream", "downstream"):
        for name in getattr(options, what) or ():
            known = {one for r in records for one in (names_of(r) if what == "upstream" else {getattr(r.cell, what)})}
            if name not in known:
                raise NoResult(what, name, known)

    def wanted(record: Record) -> bool:
        reference = record.cell.downstream == REFERENCE
        named = {record.cell.task, record.task.base if changed and record.task.perturbation else None}
        return (not options.task or not named.isdisjoint(options.task)) and (
            reference
            or (
                (not options.upstream or is_of(record, options.upstream))
                and (not options.downstream or record.cell.downstream in options.downstream)
            )
        )

    return [record for record in records if wanted(record)]


def _intact(results: Path, records: list[Record]) -> tuple[list[Record], bool]:
    """The records whose predictions are the recorded ones, and whether others are not, which are named."""
    from leaderboard.records.record_store import intact

    kept, problems = intact(results, records)
    for problem in problems:
        print(problem, file=sys.stderr)
    return kept, bool(problems)


def _table(options: argparse.Namespace) -> int:
    from leaderboard.records.changed_audio import aside
    from leaderboard.tables import results, view
    from leaderboard.tables.model import Look

    records, damage = _records(options.results)
    by = options.by or ("metric" if options.format == "latex" else None)
    records = _chosen(options, records, changed=by == "robustness")
    records = records if by == "robustness" else aside(records, options.task)
    tables, problems = view(by, options.results, records) if by else (results.tables(records), [])
    if not tables:
        raise LeaderboardError(f"{options.results}: no result for a table" + (f" by {by}" if by else ""))
    look = Look(options.width, options.spread, options.published)
    return _print(tables, problems, options.format, look) or int(damage)


def _compare(options: argparse.Namespace) -> int:
    from leaderboard.records.changed_audio import aside
    from leaderboard.records.random_weights import names_of
    from leaderboard.tables import rankings
    from leaderboard.tables.model import Look

    pair = options.pair
    if pair and all(Path(name).is_dir() for name in pair):
        first, second = Path(pair[0]), Path(pair[1])
        (before, damage), (after, more) = _records(first), _records(second)
        (old, lost), (new, gone) = (_intact(first, _chosen(options, before)), _intact(second, _chosen(options, after)))
        chosen, more = (old, new), more or lost or gone
        tables, problems = rankings.two_folders(first, second, chosen)
        damage |= more
    else:
        records, damage = _records(options.results)
        for name in pair:
            if name not in (known := set[str]().union(*map(names_of, records))):
                _one_folder(pair)
                raise NoResult("upstream", name, known)
        foreign = {r.cell.upstream for r in records if IMPORTED in r.marks}
        records, lost = _intact(options.results, aside(_chosen(options, records), options.task))
        damage |= lost
        if pair:
            tables, problems = rankings.two_upstreams(options.results, records, pair[0], pair[1], foreign)
        else:
            tables, problems = rankings.rankings(options.results, records, pairs=options.pairs)
        if not (tables or problems):
            raise LeaderboardError(f"no result of this choice in {options.results} can be compared")
    _print(tables, problems, options.format, Look(options.width))
    return int(damage)


def _one_folder(pair: Sequence[str]) -> None:
    """Raise Refused where one of the two names is a folder's."""
    folders = [name for name in pair if Path(name).is_dir()]
    if len(folders) == 1:
        other = next(name for name in pair if name != folders[0])
        raise Refused(
            f"{other}: no such folder, and {folders[0]} is one; name two folders of results, or two upstreams"
        )


def _plot(options: argparse.Namespace) -> int:
    from leaderboard import plots
    from leaderboard.plots import curves, style
    from leaderboard.text import plural

    widths = ["column", "page"] if options.width == "both" else [options.width]
    out, damage = options.out or options.results / "plots", False
    if options.log:
        made = []
        for width in widths:
            with style.styled():
                drawn = curves.log(options.log, width)
            made += style.save(drawn, out / ("pretraining-log" + "-column" * (width == "column")))
    else:
        records, damage = _records(options.results)
        records, lost = _intact(options.results, _chosen(options, records, changed=True))
        damage |= lost
        kinds = options.kind or list(KINDS)
        made, lacking, stopped = plots.write(options.results, records, kinds, widths, out, options.task)
        for line in (*(lacking if options.kind else []), *stopped):
            damage = True
            print(line, file=sys.stderr)
    if options.kind or options.log:
        for path in made:
            print(path)
    else:
        print(f"{plural(len(made), 'picture file')} in {out}")
    return int(damage)


def _umap(options: argparse.Namespace) -> int:
    from leaderboard.records.changed_audio import aside
    from leaderboard.umap import pictures

    records, damage = _records(options.results)
    problems: list[str] = []
    widths = ["column", "page"] if options.width == "both" else [options.width]
    wanted = pictures.Options(
        upstreams=options.upstream or (), tasks=options.task or (), fold=options.first_layer,
        neighbours=options.neighbours, seed=options.seed, by=options.by, widths=widths,
    )  # fmt: skip
    out = options.out or options.results / "umap"
    made = pictures.write(options.results, aside(_chosen(options, records), options.task), out, wanted, problems)
    for path in made:
        print(path, flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(damage or bool(problems))


def _page(options: argparse.Namespace) -> int:
    from leaderboard import page
    from leaderboard.records.changed_audio import aside

    records, damage = _records(options.results)
    chosen = aside(_chosen(options, records), options.task)
    path, problems = page.write(options.results, chosen, damage=damage, out=options.out)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(path)
    return int(damage or bool(problems))


def _card(options: argparse.Namespace) -> int:
    from leaderboard.cards.writing import write

    records, damage = _records(options.results)
    records, lost = _intact(options.results, records)
    path, problems = write(options.results, records, options.upstream, options.format, options.out)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(path)
    return int(damage or lost or bool(problems))


def _methods(options: argparse.Namespace) -> int:
    from commons.corridors.record import REFERENCE
    from leaderboard import methods

    records, damage = _records(options.results)
    chosen = _chosen(options, records)
    if all(record.cell.downstream == REFERENCE for record in chosen):
        raise LeaderboardError(f"no result of this choice in {options.results}")
    print(methods.methods(chosen, leaderboard.openings(options.results)), end="")
    return int(damage)


def _import(options: argparse.Namespace) -> int:
    from commons.corridors.record import REFERENCE
    from leaderboard import imported

    records, damage = _records(options.results)
    seen = "unknown" if options.seen is None else dict(entry.split(":") for entry in options.seen)
    record = imported.import_predictions(
        options.results, records, options.file, name=options.name, task=options.task, head=options.downstream,
        like=options.like, seen=seen,
    )  # fmt: skip
    leaderboard.log_scoring(options.results, record)
    leaderboard.csv(options.results)
    own = [r for r in records if r.cell.task == options.task and r.cell.downstream in (options.downstream, REFERENCE)]
    leaderboard.show([*(r for r in own if r.cell.upstream != options.name), record], _terminal(options))
    return int(damage)


def _print(tables: Sequence[Table], problems: Sequence[str], form: str, look: Look) -> int:
    """Print tables, and the records that they lack; 1 where there are such, else 0."""
    from leaderboard.tables import print_in

    print_in(form, tables, look)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def _terminal(options: argparse.Namespace) -> Console:
    from leaderboard.tables import terminal

    return terminal.terminal(options.width)


def _merge(options: argparse.Namespace) -> int:
    from leaderboard.boards import merging
    from leaderboard.text import plural

    facts = None
    if options.data:
        there = places.chosen(options)
        if not there.data.is_dir():
            raise Refused(f"{there.data}: {places.NO_DATA}")
        facts = cast("Callable[[Places], HasFacts]", registry.load(TARGETS))(there).of
    accounts = merging.merge(options.sources, options.into, prefer_new=options.replace, facts=facts)
    for account in accounts:
        counts = [f"{plural(n, 'cell')} {what}" for what, n in account.counts.items() if n]
        print(f"{account.who}: {', '.join(counts) or 'no cells'}")
        for line in [*(f"{plural(n, 'cell')}: {remark}" for remark, n in account.remarks.items()), *account.lines]:
            print(f"  {line}")
    records, damage = _records(options.into)
    print(f"{leaderboard.csv(options.into)}: {plural(len(records), 'cell')} ({merging.shares(records)})")
    return int(damage or any(account.wrong for account in accounts))


def _submit(options: argparse.Namespace) -> int:
    from leaderboard.boards import archive
    from leaderboard.text import plural

    records, damage = _records(options.results)
    packed, left = archive.pack(options.results, _chosen(options, records), options.out, options.name)
    for line in left:
        print(line, file=sys.stderr)
    print(f"{options.out}: {plural(packed, 'cell')} by {options.name}, without vectors")
    return int(damage)


def _anchors(options: argparse.Namespace) -> int:
    from leaderboard.tables import anchors
    from leaderboard.tables.model import Look

    figures = cast("Callable[[list[str] | None], list[anchors.Anchored]]", registry.load(ANCHORS))(options.task)
    records, damage = _records(options.results) if any(options.results.glob("*/*/*.json")) else ([], False)
    made = anchors.tables(figures, records, options.upstream or (), options.downstream or ())
    if not made:
        raise LeaderboardError("no published figure is of these upstreams and heads; without -u and -d, all are shown")
    _print(made, [], options.format, Look(options.width))
    print(anchors.summary(made))
    return int(damage)


def _verify(options: argparse.Namespace) -> int:
    from leaderboard.text import plural

    records, damage = _records(options.results)
    problems = leaderboard.verify(options.results)
    for problem in problems:
        print(problem)
    bare = sum(UNVERIFIED in record.marks for record in records)
    verdict = plural(len(problems), "problem") if problems else "every figure follows from its predictions"
    without = f" (but {plural(bare, 'cell')} without targets not recomputed: {UNVERIFIED})" if bare else ""
    print(f"{options.results}: {plural(len(records), 'cell')}, {verdict}{without}")
    return int(bool(problems) or damage)


def _schema(options: argparse.Namespace) -> int:
    from commons.corridors.record import SCHEMA_VERSION
    from commons.corridors.record_keys import keys
    from leaderboard.tables import spreadsheet

    print(f"Record, schema version {SCHEMA_VERSION} (one JSON file a cell)\n")
    _two_columns(keys())
    print(f"\n{spreadsheet.NAME} (one row a cell)\n")
    _two_columns([(name, explanation) for name, explanation, _ in spreadsheet.COLUMNS])
    return 0


def _two_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, explanation in rows:
        print(f"{name:<{width}}  {explanation}")


if __name__ == "__main__":
    sys.exit(main())
