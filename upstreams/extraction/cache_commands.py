"""python -m upstreams cache list|prune: what the store of features holds, and its removal."""

from __future__ import annotations

import argparse
import time

from commons import places

GB = 1e9


def add_to(several: argparse._SubParsersAction) -> None:
    """Add `cache` to the commands."""
    actions = several.add_parser("cache", help="the store of features").add_subparsers(required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="size, utterances and last use of its features, for each upstream")
    shown.set_defaults(run=_list)
    prune = actions.add_parser("prune", help="remove features, those unused for longest first")
    prune.add_argument("--older-than", type=_amount, metavar="DAYS", help="unused for so many days")
    prune.add_argument("--max-size", type=_amount, metavar="GB", help="until so much is left")
    prune.add_argument(
        "--upstream",
        metavar="NAME",
        help="only those of this upstream, by its name or its name in records; without a limit, all of them",
    )
    prune.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    prune.set_defaults(run=_prune, usage=prune)
    for parser in (shown, prune):
        places.add_to(parser, "cache")


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, not {text!r}")
    return value


def _list(arguments: argparse.Namespace) -> int:
    from upstreams.extraction import cache

    store = places.chosen(arguments).cache
    folders = cache.folders(store)
    rows = [("upstream", "kept", "precision", "utterances", "MB", "last use")]
    for folder in folders:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.used)) if folder.used else "never"
        size = f"{folder.size / 1e6:.1f}"
        rows.append((folder.upstream, folder.kind, folder.precision, str(folder.utterances), size, used))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, "<<<>><", widths, strict=True)
        print("  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip())
    print(f"{sum(folder.size for folder in folders) / GB:.3f} GB in {store}")
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from upstreams.extraction import cache

    if arguments.older_than is None and arguments.max_size is None and arguments.upstream is None:
        arguments.usage.error("say what to prune: --older-than DAYS, --max-size GB or --upstream NAME")
    limit = None if arguments.max_size is None else int(arguments.max_size * GB)
    removal = cache.prune(
        places.chosen(arguments).cache, arguments.older_than, limit, arguments.upstream, arguments.dry_run
    )
    verb = "would remove" if arguments.dry_run else "removed"
    print(f"{verb} {removal.files} files, {removal.size / GB:.3f} GB; {removal.left / GB:.3f} GB left")
    return 0
