"""The report of `python -m tasks check CORPUS`: whether a copy is complete, and which files were taken from where."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from commons.progress import Progress
from tasks import corpora, reading
from tasks.copies import audio_check, wording
from tasks.corpora import LOSSY, Corpus

FEW = 3  # label files that are named one by one


def report(corpus: Corpus, data: Path, cache: Path, jobs: int, progress: Progress | None) -> tuple[list[str], bool]:
    """Lines on a copy, with every audio file decoded; and whether the copy is complete and can be used.

    Raises:
        TaskError: the corpus is absent, or a file of it cannot be understood.
    """
    with corpora.label_files() as labels:
        root, rows = reading.table(corpus, data, cache)
    number = len(rows)
    rows, flawed = reading.without_flawed(corpus, rows)
    short = reading.shortfall(corpus, rows)
    lacking = reading.lacking(corpus, root)
    missing = ", ".join(([short] if short else []) + [f"no {part}" for part in lacking])
    heading = [f"{corpus.title}, {corpus.language}, {corpus.licence}, {corpus.homepage}", f"folder   {root}"]
    facts = [*_emotions(rows), f"columns  {', '.join(_columns(rows))}"]
    if "path" not in rows:
        heading.append(f"state    text only: {', '.join(filter(None, [short, 'no audio']))}")
        heading.append(f"found    {len(rows)} utterances, {_speakers(rows)}")
        return [*heading, *facts, *_label_lines(labels, root), corpus.how_to_get(data)], False
    contents, bad = audio_check.examine(rows, cache, jobs, progress)
    lines = [
        *heading,
        f"state    {'partial: ' + missing if missing else 'complete'}",
        f"found    {len(rows)} utterances, {_speakers(rows)}, {contents['duration'].sum() / 3600:.2f} h",
        *facts,
        f"rates    {_rates(corpus, rows, contents)}",
    ]
    if not corpus.synthetic:
        lines += _files(corpus, data, root, rows)
        lines += _label_lines(labels, root)
        extra = 0 if corpus.videos else corpora.count(corpus, root) - number
        lines += [f"extra    {extra} audio files without a label; they are not read"] if extra > 0 else []
    lines += [f"flawed   {count} left out: {what}" for what, count in flawed.items()]
    lines += [corpus.how_to_get(data)] if missing else []
    lines += [f"{len(bad)} audio files cannot be used:\n{reading.bad_audio(bad, rows)}"] if bad else []
    return lines, not (missing or bad)


def _speakers(rows: pd.DataFrame) -> str:
    voices = rows["speaker"].nunique() if "speaker" in rows else 0
    return f"{voices} speaker{'s' * (voices != 1)}" if voices else "speakers unknown"


def _emotions(rows: pd.DataFrame) -> list[str]:
    counts = rows["emotion"].value_counts().to_dict() if "emotion" in rows else {}
    return [f"emotions {', '.join(f'{emotion} {count}' for emotion, count in counts.items())}"] if counts else []


def _columns(rows: pd.DataFrame) -> list[str]:
    """The columns, each with the number of utterances without a value, and the first of them."""
    said = []
    for column in rows:
        empty = rows.index[rows[column].isna()]
        said.append(f"{column} (none for {len(empty)}, such as {empty[0]})" if len(empty) else str(column))
    return said


def _rates(corpus: Corpus, rows: pd.DataFrame, contents: pd.DataFrame) -> str:
    """Sample rates, with a warning where no file has the corpus's own; lossy formats are decoded at another rate."""
    counts = Counter(contents["rate"].tolist())
    said = ", ".join(f"{rate} Hz {count}" for rate, count in counts.most_common())
    lossy = rows["path"].str.lower().str.endswith(tuple(LOSSY)).any()
    if not counts or not corpus.rate or lossy or corpus.rate in counts:
        return said
    return f"{said}; none has the corpus's own, {corpus.rate} Hz: a resampled copy, or `rate` in its facts is wrong"


def _label_lines(opened: list[Path], root: Path) -> list[str]:
    """Lines on where labels and texts were taken from: label files, or the names of the audio files."""
    there = list(dict.fromkeys(opened))
    named = [wording.plain(path.relative_to(root).as_posix()) for path in there]
    listed = wording.by_folder(there, root) if len(there) > FEW else named or ["from the names of the audio files"]
    return [f"labels   {line}" for line in listed]


def _files(corpus: Corpus, data: Path, root: Path, rows: pd.DataFrame) -> list[str]:
    """Lines on the files that were taken, by folder, and on those that were left out, with the reason."""
    there = corpora.audio_files(root, corpus)
    taken = list(dict.fromkeys(Path(path) for path in rows["path"]))
    lines = [f"taken    {line}" for line in wording.by_folder([path for path in taken if path.exists()], root)]
    for what, pairs in (
        ("twice    {} files with the same bytes, the first is read: {}", there.same),
        ("left out {} files that have the name of a file at the official place, and other bytes: {}", there.unlike),
    ):
        if pairs:
            folders = wording.shortened(wording.pairs_of_folders(pairs, root))
            lines.append(what.format(len(pairs), "; ".join(folders)))
    for what, paths in there.beside.items():
        if what:
            lines.append(f"left out {len(paths)} files {what}: {', '.join(wording.by_folder(paths, root))}")
    if there.strange:
        strange = wording.plain(there.strange[0].name)
        lines.append(f"other    {len(there.strange)} audio files whose names are not the corpus's, such as {strange}")
    others = corpus.place(data).others
    return lines + [
        f"unread   {number} more files of it are in {wording.plain(str(path))}" for path, number in others.items()
    ]
