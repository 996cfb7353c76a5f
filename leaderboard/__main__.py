"""python -m leaderboard csv|table|compare|plot|umap|page|methods|import|verify|schema [--results DIR]"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import leaderboard
from commons import places
from commons.errors import EmorepError, Refused
from leaderboard.errors import LeaderboardError, NoResult
from leaderboard.plots import KINDS, LABELS

if TYPE_CHECKING:
    from commons.corridors.record import Record
    from leaderboard.blocks import Block


COMMANDS = {
    "csv": "rebuild leaderboard.csv from the records",
    "table": "print the tables",
    "compare": "who is significantly better than whom",
    "plot": "pictures as PDF and PNG",
    "umap": "UMAP of what upstreams make of a task, side by side: PDF, PNG and JSON",
    "page": "one HTML file: tables, details, plots, UMAP; needs no network",
    "methods": "the protocol in words, with BibTeX and licences",
    "import": "score a foreign system's predictions on a task measured here",
    "verify": "recompute every figure from its predictions",
    "schema": "explain the columns of the CSV and the keys of a record",
}
PIVOTS = ("metric", "task", "language", "family", "class", "cost", "ablation", "transfer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; 0 all well, 1 something is wrong with the results, 2 the request was wrong."""
    options = _parse(arguments)
    run = {"csv": _csv, "table": _table, "compare": _compare, "plot": _plot, "umap": _umap, "page": _page,
           "methods": _methods, "import": _import, "verify": _verify, "schema": _schema}  # fmt: skip
    try:
        return run[options.command](options)
    except EmorepError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, Refused) else 1
    except BrokenPipeError:  # the reader (head, less) has seen enough; python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser, commands = _parser()
    options = parser.parse_args(arguments)
    if "results" in options:
        options.results = places.chosen(options).results
    if said := _refusal(options):
        commands[options.command].error(said)
    return options


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line, and the parser of every command by its name."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard", description="Views on the results, and their proof.")
    several = parser.add_subparsers(dest="command", required=True)
    commands = {name: several.add_parser(name, help=about) for name, about in COMMANDS.items()}
    _table_options(commands["table"])
    _picture_options(commands["plot"], commands["umap"])
    _import_options(commands["import"])
    compare = commands["compare"]
    compare.add_argument("pair", nargs="*", metavar="A B", help="two upstreams, or two folders of results; none: ranks")
    compare.add_argument("--pairs", action="store_true", help="with the ranks, list every pair")
    compare.add_argument("--format", choices=("terminal", "markdown"), default="terminal")
    commands["page"].add_argument("--out", type=Path, metavar="FILE", help="default: RESULTS/leaderboard.html")
    for name in ("table", "compare", "plot", "umap", "page", "methods"):
        command = commands[name]
        command.add_argument("-t", "--task", nargs="+", metavar="TASK", help="these tasks only")
        command.add_argument("-u", "--upstream", nargs="+", metavar="UPSTREAM", help="these and the references only")
        command.add_argument("-d", "--downstream", nargs="+", metavar="HEAD", help="these heads only")
    for name in commands.keys() - {"schema"}:
        places.add_to(commands[name], "results")
    return parser, commands


def _table_options(table: argparse.ArgumentParser) -> None:
    table.add_argument("--format", choices=("terminal", "markdown", "latex"), default="terminal")
    table.add_argument("--by", choices=PIVOTS, help="upstreams down, these across (latex: metric by default)")
    table.add_argument(
        "--spread",
        choices=("interval", "std", "none"),
        default="interval",
        help="latex: what stands beside a figure: 95 %% interval, standard deviation of seeds, nothing",
    )
    table.add_argument("--published", action="store_true", help="terminal: list the published figures below a table")


def _picture_options(plot: argparse.ArgumentParser, umap: argparse.ArgumentParser) -> None:
    plot.add_argument("kind", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all that there is)")
    plot.add_argument("--out", type=Path, metavar="DIR", help="default: RESULTS/plots")
    plot.add_argument("--log", type=Path, metavar="FILE", help="draw the log.jsonl of a pre-training run instead")
    umap.add_argument("--by", nargs="+", choices=LABELS, default=["emotion"], help="colours (default: emotion)")
    umap.add_argument(
        "--first-layer",
        nargs="?",
        const="",
        metavar="FOLD",
        help="the head's first layer on the test utterances of a fold (default: the largest), not pooled features",
    )
    umap.add_argument("--neighbours", type=int, default=15, metavar="N", help="UMAP's n_neighbors (default: 15)")
    umap.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    umap.add_argument("--out", type=Path, metavar="DIR", help="default: RESULTS/umap, where the page looks")
    for command in (plot, umap):
        widths = ("column", "page", "both")
        command.add_argument("--width", choices=widths, default="both", help="of a paper (default: both)")


def _import_options(bring: argparse.ArgumentParser) -> None:
    bring.add_argument("file", type=Path, metavar="FILE", help="CSV: id, prediction or score:<class>..., seed if any")
    bring.add_argument("--name", required=True, help="what tables call the system")
    bring.add_argument("-t", "--task", required=True, metavar="TASK", help="a task that has cells here")
    bring.add_argument(
        "-d",
        "--downstream",
        default="imported",
        metavar="HEAD",
        help="head it is listed and ranked under: that of the cells to compare it with, as probe",
    )
    bring.add_argument("--like", metavar="UPSTREAM", help="whose cell gives targets and folds, if versions differ")
    bring.add_argument(
        "--seen",
        nargs="*",
        metavar="CORPUS:LEVEL",
        help="what it was trained on (emodb:audio iemocap:labels ...; nothing: none; default: unknown)",
    )


def _refusal(options: argparse.Namespace) -> str:
    """Why options that the parser took make no request; empty where they do."""
    if options.command == "compare" and len(options.pair) not in (0, 2):
        return f"compare takes two names, or none; {len(options.pair)} given: {' '.join(options.pair)}"
    if options.command == "plot" and (strange := [kind for kind in options.kind if kind not in KINDS]):
        return f"no picture is called {strange[0]!r}; there are: {', '.join(KINDS)}"
    if options.command == "umap" and options.neighbours < 2:
        return f"--neighbours must be at least 2, and is {options.neighbours}"
    if options.command == "umap" and not 0 <= options.seed < 2**32:
        return f"--seed must be at least 0 and below 2**32, and is {options.seed}"
    if options.command == "import":
        for entry in options.seen or ():
            if entry.partition(":")[2] not in ("audio", "labels"):
                return f"--seen {entry}: CORPUS:audio or CORPUS:labels is expected"
    return ""


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
    from leaderboard.blocks import plural

    records, damage = _records(options.results)
    print(f"{leaderboard.csv(options.results)}: {plural(len(records), 'cell')}")
    return int(damage)


def _chosen(options: argparse.Namespace, records: list[Record]) -> list[Record]:
    """The records that -t, -u and -d name; references stay."""
    from commons.corridors.record import REFERENCE

    for what in ("task", "upstream", "downstream"):
        for name in getattr(options, what) or ():
            if name not in (known := {getattr(r.cell, what) for r in records}):
                raise NoResult(what, name, known)

    def wanted(record: Record) -> bool:
        reference = record.cell.downstream == REFERENCE
        return (not options.task or record.cell.task in options.task) and (
            reference
            or (
                (not options.upstream or record.cell.upstream in options.upstream)
                and (not options.downstream or record.cell.downstream in options.downstream)
            )
        )

    return [record for record in records if wanted(record)]


def _table(options: argparse.Namespace) -> int:
    records, damage = _records(options.results)
    records = _chosen(options, records)
    if options.by or options.format == "latex":
        return _pivot(options, records) or int(damage)
    if options.format == "markdown":
        print(leaderboard.markdown(records), end="")
    else:
        leaderboard.show(records, published=options.published)
    return int(damage)


def _pivot(options: argparse.Namespace, records: list[Record]) -> int:
    from leaderboard import grids, latex, transfers

    problems: list[str] = []
    if options.by in ("language", "family"):
        found, problems = grids.mean_grids(options.results, records, options.by)
    else:
        make = {"metric": grids.metric_grids, "task": grids.task_grids, "class": grids.recall_grids,
                "cost": grids.cost_grids, "ablation": grids.ablation_grids,
                "transfer": transfers.grids}  # fmt: skip
        found = make[options.by or "metric"](records)
    if not found:
        raise LeaderboardError(f"{options.results}: no result for a table by {options.by}")
    if options.format == "latex":
        print(latex.tables(found, options.spread), end="")
    else:
        _print([grids.block(grid) for grid in found], options.format)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


def _compare(options: argparse.Namespace) -> int:
    from leaderboard import contest, foreign

    pair = options.pair
    if pair and all(Path(name).is_dir() for name in pair):
        first, second = Path(pair[0]), Path(pair[1])
        (before, damage), (after, more) = _records(first), _records(second)
        chosen = (_chosen(options, before), _chosen(options, after))
        blocks, problems = contest.two_folders(first, second, chosen)
        damage |= more
    else:
        records, damage = _records(options.results)
        for name in pair:
            if name not in (known := {r.cell.upstream for r in records}):
                raise NoResult("upstream", name, known)
        imported = {r.cell.upstream for r in records if foreign.IMPORTED in r.marks}
        records = _chosen(options, records)
        if pair:
            blocks, problems = contest.two_upstreams(options.results, records, pair[0], pair[1], imported)
        else:
            blocks, problems = contest.rank_blocks(options.results, records, pairs=options.pairs)
    _print(blocks, options.format)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(damage)


def _plot(options: argparse.Namespace) -> int:
    from leaderboard import plots
    from leaderboard.blocks import plural
    from leaderboard.plots import curves, style

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
        made = plots.write(options.results, _chosen(options, records), options.kind or list(KINDS), widths, out)
    if options.kind or options.log:
        for path in made:
            print(path)
    else:
        print(f"{plural(len(made), 'picture file')} in {out}")
    return int(damage)


def _umap(options: argparse.Namespace) -> int:
    from leaderboard import embedding

    records, damage = _records(options.results)
    problems: list[str] = []
    widths = ["column", "page"] if options.width == "both" else [options.width]
    wanted = embedding.Options(
        upstreams=options.upstream or (), tasks=options.task or (), fold=options.first_layer,
        neighbours=options.neighbours, seed=options.seed, by=options.by, widths=widths,
    )  # fmt: skip
    out = options.out or options.results / "umap"
    made = embedding.write(options.results, _chosen(options, records), out, wanted, problems)
    for path in made:
        print(path, flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(damage or bool(problems))


def _page(options: argparse.Namespace) -> int:
    from leaderboard import page

    records, damage = _records(options.results)
    path, problems = page.write(options.results, _chosen(options, records), damage=damage, out=options.out)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(path)
    return int(damage or bool(problems))


def _methods(options: argparse.Namespace) -> int:
    from leaderboard import methods

    records, damage = _records(options.results)
    print(methods.methods(_chosen(options, records), leaderboard.openings(options.results)), end="")
    return int(damage)


def _import(options: argparse.Namespace) -> int:
    from commons.corridors.record import REFERENCE
    from leaderboard import foreign

    records, damage = _records(options.results)
    seen = "unknown" if options.seen is None else dict(entry.split(":") for entry in options.seen)
    record = foreign.bring(
        options.results, records, options.file, name=options.name, task=options.task, head=options.downstream,
        like=options.like, seen=seen,
    )  # fmt: skip
    leaderboard.log_scoring(options.results, record)
    leaderboard.csv(options.results)
    own = [r for r in records if r.cell.task == options.task and r.cell.downstream in (options.downstream, REFERENCE)]
    leaderboard.show([*(r for r in own if r.cell.upstream != options.name), record])
    return int(damage)


def _print(blocks: Sequence[Block], form: str) -> None:
    from leaderboard import table

    if form == "markdown":
        print(table.markdown_blocks(blocks), end="")
    else:
        table.show_blocks(blocks)


def _verify(options: argparse.Namespace) -> int:
    from leaderboard.blocks import plural

    records, damage = _records(options.results)
    problems = leaderboard.verify(options.results)
    for problem in problems:
        print(problem)
    verdict = plural(len(problems), "problem") if problems else "every figure follows from its predictions"
    print(f"{options.results}: {plural(len(records), 'cell')}, {verdict}")
    return int(bool(problems) or damage)


def _schema(options: argparse.Namespace) -> int:
    from commons.corridors import record as schema
    from leaderboard import spreadsheet

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
