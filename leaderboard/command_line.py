"""The command line of `python -m leaderboard`: its commands, their options, and which values are refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from commons import places
from commons.commands import Parser, called
from commons.errors import FOLDER, cut
from leaderboard.cards.formats import FORMATS
from leaderboard.plots import KINDS
from leaderboard.tables import FORMS, VIEWS
from leaderboard.umap import LABELS

COMMANDS = {
    "csv": "rebuild leaderboard.csv from the records",
    "table": "print the tables",
    "compare": "who is significantly better than whom",
    "plot": "pictures as PDF and PNG",
    "umap": "UMAP of what upstreams make of a task, side by side: PDF, PNG and JSON",
    "page": "one HTML file: tables, details, plots, UMAP; needs no network",
    "card": "one page on one representation: what it is, scores, groups, calibration, cost, what is not known",
    "methods": "the protocol in words, with BibTeX and licences",
    "import": "score a foreign system's predictions on a task measured here",
    "merge": "add results of others, folders or archives, to these; conflicts are told",
    "submit": "pack cells into an archive for others: no vectors, and targets only where licences allow it",
    "anchors": "published figures under the same protocol, and ours beside: measure these first",
    "verify": "recompute every figure from its predictions",
    "schema": "explain the columns of the CSV and the keys of a record",
}
OF_FILES = ("page", "card", "submit")  # their --out names a file
LONGEST_NAME = 100
NARROWEST = 40  # characters of a line that a table needs


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parsed command line; argparse ends the program with status 2 where it is wrong."""
    parser, parsers = _parser()
    options = parser.parse_args(arguments)
    if "results" in options:
        options.results = places.chosen(options).results
    if said := _refusal(options):
        parsers[options.command].error(said)
    return options


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The command line, and the parser of every command by its name."""
    parser = Parser(prog=called("python -m leaderboard"), description="Views on the results, and their proof.")
    several = parser.add_subparsers(dest="command", required=True)
    commands: dict[str, argparse.ArgumentParser] = {
        name: several.add_parser(name, help=about) for name, about in COMMANDS.items()
    }
    _table_options(commands["table"])
    _picture_options(commands["plot"], commands["umap"])
    _import_options(commands["import"])
    compare = commands["compare"]
    compare.add_argument("pair", nargs="*", metavar="A B", help="two upstreams, or two folders of results; none: ranks")
    compare.add_argument("--pairs", action="store_true", help="with the ranks, list every pair")
    compare.add_argument("--format", choices=("terminal", "markdown"), default="terminal")
    _card_options(commands["card"])
    commands["page"].add_argument("--out", type=Path, metavar="FILE", help="default: RESULTS/leaderboard.html")
    _board_options(commands["merge"], commands["submit"], commands["anchors"])
    for name in ("table", "compare", "plot", "umap", "page", "methods", "submit", "anchors"):
        command = commands[name]
        command.add_argument("-t", "--task", nargs="+", metavar="TASK", help="these tasks only")
        command.add_argument("-u", "--upstream", nargs="+", metavar="UPSTREAM", help="these and the references only")
        command.add_argument("-d", "--downstream", nargs="+", metavar="HEAD", help="these heads only")
    for name in ("table", "compare", "import", "anchors"):
        about = "characters of a line (default: the terminal's, or $COLUMNS; in a file or pipe as many as it takes)"
        commands[name].add_argument("--width", type=int, metavar="N", help=about)
    for name in commands.keys() - {"schema", "merge"}:
        places.add_to(commands[name], "results")
    return parser, commands


def _table_options(table: argparse.ArgumentParser) -> None:
    table.add_argument("--format", choices=FORMS, default="terminal")
    table.add_argument("--by", choices=VIEWS, help="the columns; rows are upstreams (latex: metric by default)")
    table.add_argument(
        "--spread",
        choices=("interval", "std", "none"),
        default="interval",
        help="latex: shown after each figure: its 95 %% interval (default), standard deviation over seeds, or nothing",
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


def _card_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("-u", "--upstream", required=True, metavar="UPSTREAM", help="the representation")
    command.add_argument(
        "--format", choices=FORMATS, default="html", help="pdf: printed by a browser where there is one"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="default: RESULTS/cards/UPSTREAM.FORMAT")


def _import_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="CSV: id, prediction or score:<class>..., seed if any")
    command.add_argument("--name", required=True, type=_name, help="what tables call the system")
    command.add_argument("-t", "--task", required=True, metavar="TASK", help="a task that has cells here")
    command.add_argument(
        "-d",
        "--downstream",
        default="imported",
        type=_name,
        metavar="HEAD",
        help="head it is listed and ranked under: that of the cells to compare it with, as probe",
    )
    command.add_argument("--like", metavar="UPSTREAM", help="whose cell gives targets and folds, if versions differ")
    command.add_argument(
        "--seen",
        nargs="*",
        metavar="CORPUS:LEVEL",
        help="what it was trained on (emodb:audio iemocap:labels ...; nothing: none; default: unknown)",
    )


def _board_options(
    merge: argparse.ArgumentParser, submit: argparse.ArgumentParser, anchors: argparse.ArgumentParser
) -> None:
    merge.add_argument(
        "sources", nargs="+", metavar="[NAME=]DIR", help="a folder of results or an archive; NAME: whose"
    )
    merge.add_argument("--into", type=Path, required=True, metavar="DIR", help="the board: a folder of results")
    merge.add_argument("--replace", action="store_true", help="of two records that differ, take the one that comes")
    merge.add_argument(
        "--data", type=Path, metavar="DIR", help="your corpora: gives targets, and checks those that come"
    )
    merge.add_argument("--cache", type=Path, metavar="DIR", help=places.HELP["cache"])
    submit.add_argument("--out", type=Path, required=True, metavar="FILE", help="the archive: FILE.zip")
    submit.add_argument("--name", required=True, type=_name, help="who contributes the cells")
    anchors.add_argument("--format", choices=FORMS, default="terminal")


def _name(text: str) -> str:
    """A name of a system or head: one line of up to LONGEST_NAME characters."""
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        said = f"{cut(repr(text), 60)}: a name is one line of 1 to {LONGEST_NAME} characters"
        raise argparse.ArgumentTypeError(said)
    return text


def _refusal(options: argparse.Namespace) -> str:
    """Why options that the parser took make no request; empty where they do."""
    if options.command == "compare" and len(options.pair) not in (0, 2):
        return f"compare takes two names, or none; {len(options.pair)} given: {' '.join(options.pair)}"
    if options.command in OF_FILES and (out := options.out) and out.is_dir():
        return f"--out {out} {FOLDER}"
    if (out := _goal(options)) and (said := places.unwritable(out)):
        return f"--{'into' if options.command == 'merge' else 'out'}: {said}"
    if options.command == "plot" and (strange := [kind for kind in options.kind if kind not in KINDS]):
        return f"no picture is called {strange[0]!r}; there are: {', '.join(KINDS)}"
    if options.command == "umap" and options.neighbours < 2:
        return f"--neighbours must be at least 2, and is {options.neighbours}"
    if options.command == "umap" and not 0 <= options.seed < 2**32:
        return f"--seed must be at least 0 and below 2**32, and is {options.seed}"
    if (
        options.command in ("table", "compare", "import", "anchors")
        and options.width is not None
        and options.width < NARROWEST
    ):
        return f"--width must be at least {NARROWEST}, and is {options.width}"
    if options.command == "import":
        for entry in options.seen or ():
            if entry.partition(":")[2] not in ("audio", "labels"):
                return f"--seen {entry}: CORPUS:audio or CORPUS:labels is expected"
    return ""


def _goal(options: argparse.Namespace) -> Path | None:
    """The folder that --out or --into writes to, where it is given and is no device or pipe."""
    out: Path | None = getattr(options, "out", None) or getattr(options, "into", None)
    if out is None or options.command not in OF_FILES:
        return out
    return out.parent if not out.exists() or out.is_file() else None
