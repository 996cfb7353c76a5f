"""python -m upstreams: names of upstreams, files of weights, and the store of features."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import upstreams
from commons import commands, places
from commons.errors import EmorepError
from upstreams import UpstreamError
from upstreams.extraction import cache_commands
from upstreams.pretraining import command as pretraining
from upstreams.strength import command as strength


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong request."""

    def work() -> int:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments)

    def show(message: str) -> None:
        print(message if message.startswith("stopped by") else f"error: {message}", file=sys.stderr)

    return commands.run(work, show, arguments=argv)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.Parser(prog=commands.called("python -m upstreams"), description=__doc__)
    several = parser.add_subparsers(required=True, metavar="COMMAND")
    several.add_parser("list", help="names of upstreams").set_defaults(run=_list)
    check = several.add_parser("check", help="test an upstream on made-up audio or sentences, and say what is wrong")
    check.add_argument("name", metavar="NAME")
    check.set_defaults(run=_check)
    pretraining.add_to(several)
    strength.add_to(several)
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
    words = several.add_parser("words", help="how utterances sound, in words, as a table for --text CORPUS=FILE")
    words.add_argument("places", type=Path, nargs="+", metavar="DIR", help="folders of speech, or audio files")
    words.add_argument("--output", type=Path, required=True, metavar="FILE", help="such as words.csv")
    words.set_defaults(run=_words)
    cache_commands.add_to(several)
    return parser


def _list(_: argparse.Namespace) -> int:
    for entry in upstreams.describe():
        print(f"{entry.name:<27}{entry.modality:<7}{entry.about}")
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

    from upstreams.emotion2vec.classify import Classifier

    name, _, file = arguments.upstream.partition("@")
    where = places.chosen(arguments)
    own = str(places.expanded(file)) if file else ""
    classifier = Classifier(name.casefold(), own, arguments.device, str(where.modelscope))
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


def _words(arguments: argparse.Namespace) -> int:
    from commons.progress import bar
    from upstreams import prosody_words

    with bar("measuring", "files") as progress:
        count = prosody_words.written(arguments.places, arguments.output, progress)
    print(f"{arguments.output}: words for {count} utterances")
    return 0


if __name__ == "__main__":
    sys.exit(main())
