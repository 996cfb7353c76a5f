"""Lists tasks, checks copies of corpora, audits splits, downloads corpora."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tasks
from commons import commands, files, places
from commons.progress import bar
from tasks.errors import TaskError
from tasks.load_options import absolute

if TYPE_CHECKING:
    from tasks.task import Task


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 success, 1 data are absent or broken or leak, 2 wrong request."""

    def work() -> int:
        options = _parser().parse_args(arguments)
        return options.run(options)

    return commands.run(work, lambda said: print(said, file=sys.stderr), arguments=arguments)


def _parser() -> argparse.ArgumentParser:
    parser = commands.Parser(prog=commands.called("python -m tasks"), description=__doc__)
    folders = commands.Parser(add_help=False)
    places.add_to(folders, "data", "cache")
    jobs = commands.whole(1, commands.MOST_JOBS)
    folders.add_argument("--jobs", type=jobs, default=os.cpu_count() or 1, metavar="N", help="threads that decode")
    tables = commands.Parser(add_help=False)
    tasks.add_to(tables)
    several = parser.add_subparsers(required=True, metavar="COMMAND")
    command = several.add_parser("list", parents=[folders], help="tasks and the state of their corpora")
    command.set_defaults(run=_list)
    command = several.add_parser("check", parents=[folders, tables], help="count and decode a whole corpus")
    command.add_argument("corpus", help="a corpus, or a table of your own: csv:FILE")
    command.set_defaults(run=_check)
    command = several.add_parser("audit", parents=[folders, tables], help="what train, dev and test share, by fold")
    command.add_argument("task")
    command.add_argument("--output", type=Path, help="write the certificate to this file, as JSON")
    command.add_argument("--skip-bad", action="store_true", help="leave out audio that cannot be used")
    command.set_defaults(run=_audit)
    command = several.add_parser("folds", parents=[folders, tables], help="write a task's fold list")
    command.add_argument("task")
    command.add_argument("--output", type=Path, required=True, help="file to write, as JSON")
    command.set_defaults(run=_folds, skip_bad=False)
    command = several.add_parser("table", parents=[folders], help="files, speakers and emotions of tasks, as CSV")
    command.add_argument("task", nargs="+")
    command.add_argument("--output", type=Path, required=True, help="file to write")
    command.set_defaults(run=_table)
    command = several.add_parser("intensity", parents=[folders], help="where corpora lie on the scale of intensity")
    command.add_argument(
        "corpus", nargs="*", help="corpora; without a name, all that intensity.yaml has and that are here"
    )
    command.add_argument(
        "--neutral", choices=("masked", "zero"), default="masked", help="neutral speech: masked, or at 0"
    )
    command.add_argument("--by-arousal", action="store_true", help="IEMOCAP and MSP-Podcast by their rated arousal")
    command.set_defaults(run=_intensity)
    command = several.add_parser(
        "phonemes", parents=[folders], help="phonemes of corpora, their own or from their texts"
    )
    command.add_argument("corpus", nargs="+")
    command.set_defaults(run=_phonemes)
    command = several.add_parser("fetch", parents=[folders], help="download an openly licensed corpus")
    command.add_argument("corpus")
    command.add_argument("--accept-licence", action="store_true", help="you have read its licence and accept it")
    command.add_argument("--extract", action="store_true", help="write the sound of video clips as WAV, with ffmpeg")
    command.set_defaults(run=_fetch)
    return parser


def _list(options: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [("task", "corpus", "language", "state", "found", "title")]
    for row in tasks.describe(options.data):
        rows.append((row.task, row.corpus, row.language, row.state, row.files, row.problem or row.title))
    _columns(rows)
    for line in tasks.unread(options.data):
        print(line)
    return 0


def _check(options: argparse.Namespace) -> int:
    from tasks import brought, corpora, corpus_check

    if brought.is_table(name := brought.full(options.corpus)):
        return _check_table(name, options)
    corpus = corpora.module(options.corpus).CORPUS
    data, cache = _folders(options)
    with bar("reading audio", "files") as progress:
        lines, whole = corpus_check.report(corpus, data, cache, options.jobs, progress)
    print("\n".join(lines))
    return int(not whole)


def _check_table(name: str, options: argparse.Namespace) -> int:
    from tasks.brought import table_check

    with bar("reading audio", "files") as progress:
        lines, whole = table_check.report(name, _wanted(options, skip_bad=False), progress)
    print("\n".join(lines))
    return int(not whole)


def _audit(options: argparse.Namespace) -> int:
    task = _load(options)
    proof = task.audit
    kinds = list(proof.folds[0].rest_and_test)
    crossing = [kind + sign for sign in "*+" for kind in kinds]
    rows: list[tuple[str, ...]] = [("fold", "train", "dev", "test", *crossing)]
    for fold in proof.folds:
        common = (*fold.rest_and_test.values(), *fold.train_and_dev.values())
        rows.append((fold.name, *(str(n) for n in (fold.train, fold.dev, fold.test, *common))))
    _columns(rows)
    print("* common to test and train or dev   + common to train and dev")
    for note in task.notes:
        print(note)
    print(f"marks {' '.join(task.marks) or 'none'}")
    print(f"folds sha256 {proof.folds_hash}\nall   sha256 {proof.hash}")
    if options.output:
        _write(options.output, json.dumps(proof.to_dict(), indent=1) + "\n")
    return 0


def _intensity(options: argparse.Namespace) -> int:
    from tasks import corpora, intensity, reading

    data, cache = _folders(options)
    scale = intensity.read()
    wanted = options.corpus or [
        name
        for name in (*scale.levels, *(scale.arousal if options.by_arousal else ()))
        if corpora.module(name).CORPUS.root(data)
    ]
    if not wanted:
        raise TaskError(f"{data}: holds no corpus with levels of intensity (known: {', '.join(scale.levels)})")
    for name in wanted:
        _, rows = reading.table(corpora.module(name).CORPUS, data, cache)
        rows = intensity.by_arousal(name, rows) if options.by_arousal else rows
        print(intensity.contribution(name, rows, options.neutral))
    return 0


def _phonemes(options: argparse.Namespace) -> int:
    from tasks import corpora, phonemes, reading

    data, cache = _folders(options)
    for name in options.corpus:
        _, rows = reading.table(corpora.module(name).CORPUS, data, cache)
        print("\n".join(phonemes.counted(rows, name)))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from tasks import corpora, fetch

    corpus = corpora.module(options.corpus).CORPUS
    extract = corpora.extractor(corpus.name) if options.extract else None
    data, cache = _folders(options)
    root = corpus.root(data)
    # With --extract, clips that are there need no download.
    if not (extract and root and any(root.rglob("*.mp4"))):
        with bar(f"downloading {corpus.name}", "B") as progress:
            root = fetch.fetch(corpus, data, cache, options.accept_licence, progress)
    failed = []
    if extract:
        with bar("sound of clips", "clips") as progress:
            failed = extract(root, progress)
    print(fetch.state(corpus, root))
    if failed:
        print(f"{len(failed)} clips cannot be read:", *failed[:10], sep="\n  ")
    return int(bool(failed))


def _folds(options: argparse.Namespace) -> int:
    from tasks.splits import fold_lists

    task = _load(options)
    if "partial" in task.marks:
        raise TaskError("\n".join(["a fold list is written for a complete copy only", *task.notes]))
    _write(options.output, fold_lists.text(task.audit))
    return 0


def _table(options: argparse.Namespace) -> int:
    """Write path, speaker, emotion and corpus of every utterance of some tasks."""
    import pandas as pd

    there = places.chosen(options)
    rows = []
    for name in options.task:
        loaded = tasks.load(
            name, tasks.Options(absolute(there.data), absolute(there.cache), there.emobox, jobs=options.jobs)
        )
        table = loaded.utterances
        if "path" not in table or "start" in table or "speaker" not in table or "emotion" not in table:
            raise TaskError(f"{name}: needs whole files, each with a speaker and an emotion, and has not all of these")
        rows.append(table[["path", "speaker", "emotion"]].assign(corpus=loaded.known_corpus))
    _write(options.output, pd.concat(rows).to_csv(index=False))
    return 0


def _load(options: argparse.Namespace) -> Task:
    """The task that a command names. Raises EmorepError where a name stands for several."""
    there = places.chosen(options)

    def resolve(name: str) -> list[str]:
        return tasks.resolve([name], there.data, lambda line: None, there.emobox, options.audio, options.labels)

    names = resolve(options.task)
    if len(names) > 1 and names != resolve(names[0]):  # a transfer comes with the task of its target
        raise TaskError(f"{options.task} names {len(names)} tasks; give one at a time: {', '.join(names)}")
    wanted = _wanted(options, options.skip_bad)
    with bar("reading audio", "files") as progress:
        return tasks.load(names[0], wanted, progress)


def _wanted(options: argparse.Namespace, skip_bad: bool) -> tasks.Options:
    """The options of a load, from a parsed command line."""
    there = places.chosen(options)
    return tasks.Options(
        there.data, there.cache, there.emobox, skip_bad, None, options.jobs, options.audio, options.labels,
        noise=options.noise,
    )  # fmt: skip


def _folders(options: argparse.Namespace) -> tuple[Path, Path]:
    """The absolute folders of corpora and of the cache."""
    there = places.chosen(options)
    return absolute(there.data), absolute(there.cache)


def _write(path: Path, text: str) -> None:
    try:
        files.write(path, text)
    except OSError as error:
        raise TaskError(f"{path}: cannot be written ({error.strerror})") from error


def _columns(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
