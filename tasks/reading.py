"""From a corpus's folder to the usable utterances of a task, with their labels and their checked audio or texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

import pandas as pd
from pydantic import JsonValue, TypeAdapter

from commons.errors import EmorepError, some
from commons.metrics import REGRESSION
from commons.progress import Progress
from tasks import corpora, definition, transcripts
from tasks.copies import audio_check, search, wording
from tasks.copies.search import AudioFiles
from tasks.corpora import Corpus
from tasks.definition import Definition
from tasks.errors import TaskError, foreign
from tasks.load_options import Options
from tasks.transcripts import Texts

MEASURED = ("sha256", "samples_sha256", "duration")  # columns that are added when the audio is read
NAMED = 10  # at most so many files or folds are named in one message
_PLAIN = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True)
class Copy:
    """A user's copy of a corpus: its utterance table, before labels and audio are checked.

    Attributes:
        notes: lines about the copy, printed below tables.
        partial: whether it is known to be incomplete.
        flawed: number of utterances that are left out already, by reason.
    """

    corpus: Corpus
    root: Path
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()
    partial: bool = False
    flawed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """The usable utterances of a task, with marks, counts and notes for tables.

    Attributes:
        counts: `merged` (class -> raw label -> utterances) and `excluded` (raw label -> utterances); where corpora are
            joined, both are by task.
        bad_files: number of utterances left out because their audio cannot be used, or because they have no text.
        limited: whether this is a smoke run on some utterances, whose splits need no warnings.
        same_as: the known corpus whose recordings a user's table holds; empty where there is none.
        renamed: `1 is 01`, of speakers of a user's table that this corpus's reader names otherwise.
        cite: what is to be cited (corpora, folds of others) -> its BibTeX keys; no keys where none are known.
        texts: corpus -> where its texts come from; empty where it has none.
        joined: corpus -> its classes, of corpora that are joined and all tested; empty for others.
        known: these corpora, or the known ones whose recordings they hold.
    """

    corpus: Corpus
    root: Path
    utterances: pd.DataFrame
    marks: tuple[str, ...]
    counts: dict[str, JsonValue]
    notes: tuple[str, ...]
    bad_files: int = 0
    limited: bool = False
    same_as: str = ""
    renamed: tuple[str, ...] = ()
    cite: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, Texts] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known: tuple[str, ...] = ()


def counted(**counts: object) -> dict[str, JsonValue]:
    """Counts as plain values, for records. Raises ValidationError for values that JSON cannot hold."""
    return _PLAIN.validate_python(counts)


def table(corpus: Corpus, data: Path, cache: Path) -> tuple[Path, pd.DataFrame]:
    """A corpus's folder, and its complete utterance table from its reader.

    Raises:
        TaskError: the corpus is absent, or a file of it cannot be understood.
    """
    root = corpora.make(corpus, cache) if corpus.synthetic else folder(corpus, data)
    try:
        rows = corpora.module(corpus.name).read(root)
    except EmorepError:
        raise
    except OSError as error:
        raise TaskError(f"{corpus.name} cannot be read: {error}") from error
    except Exception as error:
        raise foreign(f"{corpus.name} cannot be read from {root}", error) from error
    if rows.empty:
        raise TaskError(f"{corpus.name} is absent: {root} holds no audio of it. {corpus.how_to_get(data)}")
    if "language" not in rows:
        rows["language"] = corpus.language
    return root, rows


def folder(corpus: Corpus, data: Path) -> Path:
    """The folder of a corpus's copy.

    Raises:
        TaskError: there is none, it cannot be read, or it holds neither audio nor all files of labels and texts.
    """
    place = corpus.place(data)
    if place.denied and not place.recordings:
        named, why = next(iter(place.denied.items()))
        raise TaskError(
            f"{corpus.name}: {wording.plain(str(named))} cannot be read ({why}); make it readable (chmod -R u+rX), or "
            "ask its owner"
        )
    texts_alone = not place.recordings and place.root is not None and corpora.has_texts(corpus, place.root)
    if place.packed and not place.recordings and not texts_alone:
        packed = ", ".join(wording.shortened([wording.plain(str(path)) for path in place.packed], 3))
        raise TaskError(
            f"{corpus.name} is absent: it has no audio files, but {packed}. Unpack it there: "
            "archives and Parquet are not read"
        )
    if place.root is None:
        closed = ", ".join(wording.shortened([wording.plain(str(path)) for path in place.closed], 3))
        unknown = f" (no permission to read {closed})" if closed else ""
        raise TaskError(f"{corpus.name} is absent{unknown}. {corpus.how_to_get(data)}")
    if not (place.recordings or texts_alone):
        raise TaskError(f"{corpus.name} is absent: {place.root} holds no audio of it. {corpus.how_to_get(data)}")
    return place.root if place.recordings else corpora.home_of_texts(corpus, place.root)


def without_flawed(corpus: Corpus, utterances: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table without the corpus's known-bad utterances, and the number of these by reason.

    It is their audio that is bad: where a copy has texts alone, none is left out.
    """
    if "path" not in utterances:
        return utterances, {}
    flawed = utterances.index[utterances.index.isin(list(corpus.flawed))]
    return utterances.drop(flawed), dict(Counter(corpus.flawed[utterance] for utterance in flawed))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} ({what})" for what, count in counts.items())


def shortfall(corpus: Corpus, utterances: pd.DataFrame) -> str:
    """Counts of utterances, speakers and classes that differ from a complete copy; empty where none differs."""
    utterances = utterances.drop(utterances.index.intersection(list(corpus.flawed)))  # which the counts do not include
    sizes = utterances["emotion"].value_counts().to_dict() if corpus.classes else {}
    pairs = {"utterances": (len(utterances), corpus.files)} if corpus.files else {}
    if corpus.speakers:
        pairs["speakers"] = utterances["speaker"].nunique(), corpus.speakers
    pairs |= {emotion: (sizes.get(emotion, 0), count) for emotion, count in corpus.classes.items()}
    return ", ".join(f"{what} {there} of {whole}" for what, (there, whole) in pairs.items() if there != whole)


def lacking(corpus: Corpus, root: Path) -> list[str]:
    """Files and folders of a complete copy that are missing; of a missing folder only the folder is named."""
    gone = search.lacking(root, corpus.parts)
    return [part for part in gone if not any(part.startswith(f"{above}/") for above in gone)]


def left_out(audio: AudioFiles) -> list[str]:
    """Notes on the files of a copy that are not read; they name no folder of the user's."""
    lines = []
    if audio.same:
        lines.append(f"{len(audio.same)} files occur twice with the same bytes: each is read once")
    if audio.unlike:
        lines.append(f"left out {len(audio.unlike)} files that have the name of a file at the official place")
    return lines + [f"left out {len(paths)} files: {what}" for what, paths in audio.beside.items() if what]


def bad_audio(bad: dict[str, str], utterances: pd.DataFrame) -> str:
    """Lines on files that cannot be used: the first of them, each with the reason, and how many more there are."""
    paths = utterances["path"].to_dict()
    lines = [f"  {paths[utterance]} {reason}" for utterance, reason in bad.items()]
    more = [f"  and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    return "\n".join(lines[:NAMED] + more)


def read(wanted: Definition, options: Options, progress: Progress | None) -> Reading:
    """The usable utterances of a task on a corpus that has a reader.

    Raises:
        TaskError: as `table` and `prepare`.
    """
    corpus: Corpus = corpora.module(wanted.corpus).CORPUS
    root, rows = table(corpus, options.data, options.cache)
    notes = []
    rows, flawed = without_flawed(corpus, rows)
    if flawed:
        notes.append(f"left out {sum(flawed.values())} known-bad utterances: {_listed(flawed)}")
    missing = shortfall(corpus, rows)
    if missing:
        # Notes go into records, which must not name a user's folders.
        notes.append(f"not a complete copy: {missing} ({corpus.homepage}; see python -m tasks check {corpus.name})")
    if "path" not in rows:
        notes.append("the copy has labels and texts, and no audio")
    elif gone := lacking(corpus, root):
        notes.append(f"the copy lacks {', '.join(gone)}")
    notes += left_out(corpora.audio_files(root, corpus))
    return prepare(wanted, Copy(corpus, root, rows, tuple(notes), bool(missing), flawed), options, progress)


def prepare(wanted: Definition, copy: Copy, options: Options, progress: Progress | None) -> Reading:
    """The usable utterances of a task, from a copy of its corpus.

    Raises:
        TaskError: a label is unknown, audio cannot be used, a dialogue lacks a turn, or a file of texts is wrong.
    """
    corpus, notes, partial = copy.corpus, list(copy.notes), copy.partial
    rows, origin = transcripts.placed(corpus.name, copy.rows, dict(options.texts).get(corpus.name))
    rows, merged, excluded = _labelled(wanted, rows)
    known_bad = [utterance for utterance in corpus.flawed if utterance in rows.index]
    common = _labelled(wanted, rows.drop(known_bad))[1] if known_bad else merged
    if not partial and (differs := _uncommon(wanted, common)):
        notes.append(f"counts differ from those of a complete copy: {differs}")
        partial = True
    if wanted.kind == "conversation":
        notes += _gaps(wanted, corpus, rows, whole=not partial, skip_bad=options.skip_bad)
    notes += [
        f"{name} = {' + '.join(f'{count} {raw}' for raw, count in parts.items())}"
        for name, parts in merged.items()
        if len(parts) > 1
    ]
    rows = _limited(wanted, rows, options.limit)
    bad: dict[str, str] = {}
    if "path" in rows:
        rows, bad = _usable(wanted, rows, options, progress)
    gone: list[str] = []
    if options.with_text and "text" in rows:
        gone = rows.index[transcripts.blank(rows["text"])].tolist()
        rows = rows.drop(gone)
    marks = ["synthetic"] * corpus.synthetic + ["partial"] * partial
    if bad:
        marks.append(f"skipped:{len(bad)}")
        notes.append(f"left out {len(bad)} utterances whose audio cannot be used: {some(list(bad), NAMED)}")
    if gone:
        marks.append(f"textless:{len(gone)}")
        notes.append(f"left out {len(gone)} utterances that have no text: {some(gone, NAMED)}")
    if origin and origin.file:
        marks.append(f"other_text:{origin.kind}")
    if corpus.lossless and "path" in rows and rows["path"].str.lower().str.endswith(tuple(corpora.LOSSY)).any():
        marks.append("lossy_audio")
    counts = counted(merged=merged, excluded=excluded | dict(copy.flawed))
    limited = options.limit is not None
    return Reading(
        corpus=corpus,
        root=copy.root,
        utterances=rows,
        marks=tuple(marks),
        counts=counts,
        notes=tuple(notes),
        bad_files=len(bad) + len(gone),
        limited=limited,
        cite={corpus.name: corpus.cite},
        texts={corpus.name: origin} if origin else {},
    )


def _usable(
    wanted: Definition, rows: pd.DataFrame, options: Options, progress: Progress | None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The rows whose audio can be used, with `sha256`, `samples_sha256` and `duration`; reasons by the other ids.

    Raises:
        TaskError: audio cannot be used, and the options do not say to leave it out; or no utterance is left.
    """
    contents, bad = audio_check.examine(rows, options.cache, options.jobs, progress, options.below)
    if bad and (not options.skip_bad or contents.empty):
        raise TaskError(
            f"{wanted.name}: {len(bad)} of {len(rows)} audio files cannot be used:\n{bad_audio(bad, rows)}\n"
            "Replace them by intact files, or leave them out with --skip-bad"
        )
    return rows.join(contents[list(MEASURED)], how="inner"), bad


def _labelled(wanted: Definition, rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, dict[str, int]], dict[str, int]]:
    """The utterances of the task; counts of raw labels by class; and counts of raw labels that are left out.

    A conversation keeps all turns: those without a class are context.
    """
    for column, values in wanted.where.items():
        if column not in rows:
            raise TaskError(f"{definition.path(wanted.name)}: where: {wanted.corpus} has no column {column!r}")
        rows = rows[rows[column].isin(values)]
    if wanted.target not in rows:
        raise TaskError(f"{definition.path(wanted.name)}: target: {wanted.corpus} has no column {wanted.target!r}")
    raw = rows[wanted.target]
    if wanted.kind == REGRESSION:
        return rows[raw.notna()], {}, {"none": int(raw.isna().sum())} if raw.isna().any() else {}
    known = [value for values in wanted.labels.values() for value in values]
    stray = rows[raw.notna() & ~raw.isin([*known, *wanted.drop])]
    if len(stray):
        first = stray["path"].iloc[0] if "path" in stray else stray.index[0]
        raise TaskError(
            f"{first}: label {stray[wanted.target].iloc[0]!r} is neither in `labels` nor in `drop` of "
            f"{definition.path(wanted.name)} ({len(stray)} such utterances); add it to one of them"
        )
    sizes = raw.value_counts().to_dict()
    merged = {name: {v: sizes[v] for v in values if v in sizes} for name, values in wanted.labels.items()}
    excluded = {value: sizes[value] for value in wanted.drop if value in sizes}
    if raw.isna().any():
        excluded["none"] = int(raw.isna().sum())
    return rows if wanted.kind == "conversation" else rows[raw.isin(known)], merged, excluded


def _uncommon(wanted: Definition, merged: dict[str, dict[str, int]]) -> str:
    """Classes whose number of utterances differs from the definition's `counts`; empty where none differs."""
    sizes = {name: sum(merged[name].values()) for name in wanted.counts}
    return ", ".join(f"{name} {sizes[name]} of {n}" for name, n in wanted.counts.items() if sizes[name] != n)


def _gaps(wanted: Definition, corpus: Corpus, rows: pd.DataFrame, whole: bool, skip_bad: bool) -> list[str]:
    """A note on how many dialogues lack a turn; empty where none does.

    Args:
        whole: whether the copy is complete, so that a missing turn is missing from the corpus itself.

    Raises:
        TaskError: two turns of a dialogue have one number; or a turn is missing that is not known to be bad, and
            `skip_bad` is false.
    """
    lacking = [column for column in ("dialogue", "turn") if column not in rows or rows[column].isna().any()]
    if lacking:
        raise TaskError(f"{wanted.name}: some utterances of {wanted.corpus} have no {' and no '.join(lacking)}")
    missing, known = [], 0
    for dialogue, of_dialogue in rows.groupby("dialogue"):
        turns = of_dialogue["turn"]
        if turns.duplicated().any():
            pair = turns.index[turns == turns[turns.duplicated()].iloc[0]]
            raise TaskError(f"{wanted.name}: dialogue {dialogue} has one turn twice: {' and '.join(pair[:2])}")
        last = of_dialogue["turns"].max() if "turns" in rows else turns.max() + 1
        gone = sorted(set(range(int(last))) - set(turns))
        if gone and (whole or any(flawed.startswith(f"{dialogue}_") for flawed in corpus.flawed)):
            known += 1
        elif gone:
            missing.append(f"{dialogue} turn {', '.join(str(turn) for turn in gone)}")
    if missing and not skip_bad:
        raise TaskError(
            f"{wanted.name}: {len(missing)} dialogues lack a turn, its audio is missing: {'; '.join(missing[:NAMED])} "
            f"(counted from 0). Complete the copy (python -m tasks check {corpus.name}), or use --skip-bad"
        )
    return [f"{known + len(missing)} dialogues lack a turn, and so some context"] if known or missing else []


def _limited(wanted: Definition, rows: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """About `limit` rows, all where there is no limit."""
    if limit is None or limit >= len(rows):
        return rows
    return _dialogues(rows, limit) if wanted.kind == "conversation" else _spread(rows, wanted, limit)


def _dialogues(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Whole dialogues with about `limit` turns, taken from each part or session by turns."""
    by = next((column for column in ("partition", "session") if column in rows), "dialogue")
    queues = [list(dict.fromkeys(part["dialogue"])) for _, part in rows.groupby(by)]
    sizes, taken = rows["dialogue"].value_counts(), []
    for dialogue in (d for turn in zip_longest(*queues) for d in turn if d is not None):
        if limit <= 0:
            break
        taken.append(dialogue)
        limit -= sizes[dialogue]
    return rows[rows["dialogue"].isin(taken)]


def _spread(rows: pd.DataFrame, wanted: Definition, limit: int) -> pd.DataFrame:
    """`limit` rows, taken by turns from every speaker (or official part) and class."""
    target = pd.Series(0, rows.index) if wanted.kind == REGRESSION else rows[wanted.target]
    official = "partition" if wanted.folds.by == "partition" else "speaker"
    by = next((column for column in (official, "speaker", "path") if column in rows), wanted.target)
    classes = sorted(target.unique())
    queues = []
    for shift, (_, of_speaker) in enumerate(rows.groupby(by)):
        cells = [of_speaker.index[target[of_speaker.index] == c] for c in classes]
        turns = zip_longest(*(cells[shift % len(classes) :] + cells[: shift % len(classes)]))
        queues.append([row for turn in turns for row in turn if row is not None])
    order = [row for row in chain.from_iterable(zip_longest(*queues)) if row is not None]
    return rows.loc[order[:limit]].sort_index()
