"""python -m upstreams: what can be named, files of weights, and the store of features."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import upstreams
from commons import commands, places
from commons.errors import EmorepError
from upstreams import UpstreamError
from upstreams.pretraining import command as pretraining

GB = 1e9


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 it failed, 2 the request was wrong."""

    def work() -> int:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments)

    def tell(said: str) -> None:
        print(said if said.startswith("stopped by") else f"error: {said}", file=sys.stderr)

    return commands.run(work, tell, arguments=argv)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.Parser(prog=commands.called("python -m upstreams"), description=__doc__)
    several = parser.add_subparsers(required=True, metavar="COMMAND")
    several.add_parser("list", help="upstreams that can be named").set_defaults(run=_list)
    check = several.add_parser("check", help="try an upstream on synthetic audio; says what is wrong with it")
    check.add_argument("name", metavar="NAME")
    check.set_defaults(run=_check)
    pretraining.add_to(several)
    importer = several.add_parser("import", help="an official emotion2vec file as safetensors")
    importer.add_argument("file", type=Path, metavar="FILE")
    importer.add_argument("--output", type=Path, metavar="F", help="default: beside it, ending in .safetensors")
    importer.set_defaults(run=_import)
    label = several.add_parser("label", help="class probabilities of audio files, as CSV")
    label.add_argument("files", type=Path, nargs="+", metavar="WAV")
    label.add_argument(
        "-u",
        "--upstream",
        default="emotion2vec_plus_base",
        metavar="NAME",
        help="a fine-tuned emotion2vec, such as emotion2vec_plus_large@FILE (default: %(default)s)",
    )
    label.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    label.set_defaults(run=_label)
    cache = several.add_parser("cache", help="the store of features").add_subparsers(required=True, metavar="ACTION")
    shown = cache.add_parser("list", help="size, utterances and last use of what it holds")
    shown.set_defaults(run=_cache_list)
    prune = cache.add_parser("prune", help="remove features, the longest unused first")
    prune.add_argument("--older-than", type=_amount, metavar="DAYS", help="unused for so many days")
    prune.add_argument("--max-size", type=_amount, metavar="GB", help="until no more than this is left")
    prune.add_argument(
        "--upstream",
        metavar="NAME",
        help="of this upstream alone, by its name or its label in records; with no bound, all of them",
    )
    prune.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    prune.set_defaults(run=_cache_prune, usage=prune)
    for parser_ in (shown, prune):
        places.add_to(parser_, "cache")
    return parser


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, found {text!r}")
    return value


def _list(_: argparse.Namespace) -> int:
    for entry in upstreams.describe():
        print(f"{entry.name:<27}{entry.about}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from upstreams.checks import check

    for line in check(arguments.name, places.chosen(arguments)):
        print(line)
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from commons import hashing
    from upstreams.emotion2vec import checkpoint
    from upstreams.pretraining.checkpoints import Facts

    output = arguments.output or arguments.file.with_suffix(".safetensors")
    if output.exists():
        raise UpstreamError(f"{output} exists; name another file with --output, or remove it")
    whole = checkpoint.read(arguments.file)
    origin: Facts = {"imported": arguments.file.name, "sha256": hashing.of_file(arguments.file)}
    checkpoint.write(output, whole.config, whole.weights, {**whole.facts, **origin})
    count = sum(tensor.numel() for tensor in whole.weights.values())
    print(f"{output}: {len(whole.weights)} tensors, {count / 1e6:.2f} M parameters")
    return 0


def _label(arguments: argparse.Namespace) -> int:
    import csv

    from upstreams.emotion2vec.labels import Classifier

    name, _, file = arguments.upstream.partition("@")
    where = places.chosen(arguments)
    classifier = Classifier(name.casefold(), file, arguments.device, str(where.modelscope))
    table = csv.writer(sys.stdout)
    table.writerow(["file", "label", *classifier.labels])
    failed = False
    for path in arguments.files:
        try:
            shares = classifier(path)
        except EmorepError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
            continue
        best = classifier.labels[shares.index(max(shares))]
        table.writerow([path, best, *(f"{share:.4f}" for share in shares)])
    return int(failed)


def _cache_list(arguments: argparse.Namespace) -> int:
    from upstreams import cache

    place = places.chosen(arguments).cache
    folders = cache.folders(place)
    rows = [("upstream", "kept", "precision", "utterances", "MB", "last use")]
    for folder in folders:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(folder.used)) if folder.used else "never"
        size = f"{folder.size / 1e6:.1f}"
        rows.append((folder.upstream, folder.kind, folder.precision, str(folder.utterances), size, used))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, "<<<>><", widths, strict=True)
        print("  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip())
    print(f"{sum(folder.size for folder in folders) / GB:.3f} GB in {place}")
    return 0


def _cache_prune(arguments: argparse.Namespace) -> int:
    from upstreams import cache

    if arguments.older_than is None and arguments.max_size is None and arguments.upstream is None:
        arguments.usage.error("say what to prune: --older-than DAYS, --max-size GB or --upstream NAME")
    limit = None if arguments.max_size is None else int(arguments.max_size * GB)
    removal = cache.prune(
        places.chosen(arguments).cache, arguments.older_than, limit, arguments.upstream, arguments.dry_run
    )
    verb = "would remove" if arguments.dry_run else "removed"
    print(f"{verb} {removal.files} files, {removal.size / GB:.3f} GB; {removal.left / GB:.3f} GB left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
