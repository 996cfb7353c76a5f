"""`emobox:CORPUS`: a corpus under EmoBox's folds, from its fold files (Ma et al., Interspeech 2024).

The files lie under DATA/EmoBox, or in the folder that $EMOREP_EMOBOX names, as in its repository:
`data/<corpus>/label_map.json` and `data/<corpus>/fold_<k>/<corpus>_<part>_fold_<k>.jsonl` (parts train, test and,
rarely, valid), one JSON line an utterance. The corpus's reader finds the audio, by the file's stem (and its folders,
where several files share one); a corpus without a reader is searched under DATA/<corpus>.

Errors in the files are repaired, with a note: folds in two schemas, labels that the map lacks or spells otherwise, dev
utterances within train. Where EmoBox has no dev part, dev is a stratified fifth of train. As in EmoBox, all choices are
made on dev. Folds that share speakers between train and test are marked.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from commons.corridors.problem import Fold, Problem
from commons.errors import UnknownName
from commons.metrics import CLASSIFICATION
from commons.progress import Progress
from tasks import corpora, definition, reading, utterances
from tasks.corpora import Corpus
from tasks.definition import Definition, FoldRule, Published
from tasks.errors import TaskError
from tasks.load_options import Options
from tasks.reading import Copy
from tasks.splits import folds, problems
from tasks.task import Task, finish

READERS = {"msppodcast": "msp_podcast"}  # name in EmoBox -> our name, where they differ
NOUNS = {
    "angry": "anger",
    "boredem": "boredom",
    "happy": "happiness",
    "sad": "sadness",
    "fearful": "fear",
    "disgusted": "disgust",
    "surprised": "surprise",
    "excited": "excitement",
    "enthusiastic": "enthusiasm",
}
PARTS = ("train", "valid", "test")
CITE = ("ma2024emobox",)


@dataclass(frozen=True)
class _Line:
    """An utterance of a fold file: the path of its audio there, and its label as written."""

    wav: PurePosixPath
    label: str


def folder(data: Path, emobox: Path | None) -> Path | None:
    """The folder that holds a folder for each corpus, in `emobox` or under `data`; None where there is none.

    Raises:
        TaskError: `data` cannot be read.
    """
    if emobox:
        places = [emobox]
    else:
        try:
            inside = list(data.iterdir()) if data.is_dir() else []
        except PermissionError as error:
            raise TaskError(f"{data} cannot be read ({error.strerror}); allow it (chmod u+rX)") from error
        places = [path for path in inside if path.name.casefold() == "emobox" and path.is_dir()]
    home = next((place for place in sorted(places) if place.is_dir()), None)
    return home / "data" if home and (home / "data").is_dir() else home


def names(data: Path, emobox: Path | None) -> list[str]:
    """Names of the corpora that have fold files, sorted."""
    home = folder(data, emobox)
    return sorted(path.parent.name for path in home.glob("*/fold_1") if path.is_dir()) if home else []


def check(name: str, options: Options) -> str:
    """The task's name in results.

    Raises:
        TaskError: there are no fold files.
        UnknownName: EmoBox has no such corpus.
    """
    data, corpus, there = options.data, name.partition(":")[2], names(options.data, options.emobox)
    if not there:
        raise TaskError(
            f"{name}: there are no fold files; put the folder data/ of github.com/emo-box/EmoBox under "
            f"{data / 'EmoBox'}, or set $EMOREP_EMOBOX to its place"
        )
    if corpus not in there:
        raise UnknownName("corpus of EmoBox", corpus, there)
    return name


def load(name: str, options: Options, progress: Progress | None) -> Task:
    """The task of a corpus under EmoBox's folds.

    Raises:
        TaskError: the fold files are wrong, or none of their audio files exists.
    """
    check(name, options)
    key = name.partition(":")[2]
    home = (folder(options.data, options.emobox) or Path()) / key
    notes: list[str] = []
    lists = _lists(home, key, notes)
    everything = {line.wav: line for fold in lists.values() for part in fold.values() for line in part}
    corpus, root, there = _audio(key, options)
    classes = _classes(home, everything.values(), corpus, notes)
    ids = _matched(everything, there)
    if not ids:
        raise TaskError(f"{name}: none of the {len(everything)} files that {home} lists is in {root}")
    lost = len(everything) - len(ids)
    if lost:
        notes.append(f"{lost} of {len(everything)} utterances that EmoBox lists are missing in this copy")
    rows = there.loc[list(ids.values())].sort_index()
    emotion = {utterance: classes[everything[wav].label] for wav, utterance in ids.items()}
    differing = _differing(key, rows, emotion)
    if differing:
        notes.append(f"{differing} labels differ from those of the corpus; EmoBox's are used")
    rows = rows.assign(emotion=[emotion[utterance] for utterance in rows.index])
    wanted = _definition(name, corpus, rows, own_dev=any(fold["valid"] for fold in lists.values()))
    usable = reading.prepare(wanted, Copy(corpus, root, rows, tuple(notes), bool(lost)), options, progress)
    usable = replace(usable, cite={**usable.cite, "EmoBox's folds": CITE})
    problem = _problem(wanted, usable.utterances, lists, ids)
    return finish(usable, wanted, problem, [])


def _definition(name: str, corpus: Corpus, rows: pd.DataFrame, own_dev: bool) -> Definition:
    """The definition of EmoBox's task on a corpus. Raises TaskError where it has one class only."""
    return definition.new(
        name=name,
        version="emobox 1",
        title=f"{corpus.title} under EmoBox's folds",
        corpus=corpus.name,
        kind=CLASSIFICATION,
        labels={label: (label,) for label in sorted(set(rows["emotion"]))},
        folds=FoldRule(by="partition"),
        dev="partition" if own_dev else "fifth",
        metrics=("WA", "UA", "WF1", "macro_F1"),
        headline="UA",
        downstream="probe",
        speakers_shared=True,
        group_by="speaker" if "speaker" in rows else "utterance",
        published=_published(name.partition(":")[2]),
    )


def _lists(home: Path, key: str, notes: list[str]) -> dict[str, dict[str, list[_Line]]]:
    """Lines by fold and part."""
    lists: dict[str, dict[str, list[_Line]]] = {}
    twice = 0
    folders = [path for path in home.iterdir() if re.fullmatch(r"fold_\d+", path.name)]
    for place in sorted(folders, key=lambda path: int(path.name[5:])):
        number = place.name[5:]
        fold: dict[str, list[_Line]] = {}
        for part in PARTS:
            files = [place / f"{key}_{part}_fold{dash}{number}.jsonl" for dash in ("_", "")]
            there = [path for path in files if path.is_file()]
            twice += len(there) > 1
            if not there and part != "valid":
                raise TaskError(f"{files[0]}: is missing; put EmoBox's own there")
            fold[part] = _read(there[0]) if there else []
        lists[f"fold {number}"] = fold
    if twice:
        notes.append(f"{twice} of EmoBox's fold files exist in two schemas; the newer one is read")
    taken = _apart(lists)
    if taken:
        notes.append(f"{taken} utterances of dev or test were in train, too; they are removed from train")
    return lists


def _read(path: Path) -> list[_Line]:
    lines = []
    for number, text in enumerate(corpora.lines(path), start=1):
        try:
            line = json.loads(text)
            # An older schema says audio and label for wav and emo.
            wav, label = line.get("wav") or line["audio"], line.get("emo") or line["label"]
            lines.append(_Line(PurePosixPath(wav), str(label)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TaskError(f"{path}, line {number}: is not a line of EmoBox's ({error!r})") from error
    return lines


def _apart(lists: Mapping[str, dict[str, list[_Line]]]) -> int:
    """Remove utterances of dev and test from train, and of test from dev; returns their number."""
    taken = 0
    for fold in lists.values():
        later: set[PurePosixPath] = set()
        for part in reversed(PARTS):
            kept = list({line.wav: line for line in fold[part] if line.wav not in later}.values())
            taken += len({line.wav for line in fold[part]}) - len(kept)
            fold[part] = kept
            later |= {line.wav for line in kept}
    return taken


def _audio(key: str, options: Options) -> tuple[Corpus, Path, pd.DataFrame]:
    """Facts, folder and utterances of a corpus, from its reader; without a reader, all audio under DATA/<corpus>."""
    name = READERS.get(key, key)
    if name in corpora.names():
        corpus: Corpus = corpora.module(name).CORPUS
        home, table = reading.table(corpus, options.data, options.cache)
        if "path" not in table:
            raise TaskError(f"emobox:{key} finds utterances by their audio files, and {home} has labels and texts only")
        return corpus, home, table
    corpus = Corpus(
        name=key,
        title=key,
        language="und",
        licence="its own",
        homepage="github.com/emo-box/EmoBox",
        obtain="See there where to get it.",
        folders=(key,),
        globs=("**/*",),
        files=0,
        speakers=0,
        classes={},
        family=key,
        lossless=True,
        rate=0,
        source="EmoBox's fold files",
    )
    root = corpus.root(options.data)
    files = corpora.audio(root) if root else {}
    if root is None or not files:
        raise TaskError(f"{key} is absent. {corpus.how_to_get(options.data)}")
    rows = [{"id": utterances.without_slashes(place), "path": path} for place, path in files.items()]
    return corpus, root, utterances.table(rows)


def _classes(home: Path, lines: Iterable[_Line], corpus: Corpus, notes: list[str]) -> dict[str, str]:
    """Class by label as written in the fold files."""
    path = home / "label_map.json"
    table: dict[str, str] = {}
    if path.is_file():
        try:
            table = {str(raw): str(common) for raw, common in json.loads("\n".join(corpora.lines(path))).items()}
        except (ValueError, AttributeError) as error:
            raise TaskError(f"{path}: is not a JSON object of labels ({error})") from error
    else:
        notes.append("EmoBox has no label map for this corpus; the corpus's own codes are used")
    any_case = {raw.casefold(): common for raw, common in table.items()}
    own = getattr(corpora.module(corpus.name), "EMOTIONS", {}) if corpus.name in corpora.names() else {}
    classes: dict[str, str] = {}
    repaired: Counter[str] = Counter()
    for line in lines:
        raw = line.label
        common = table.get(raw)
        if common is None and table:
            common = any_case.get(raw.casefold()) or raw
            repaired[raw] += 1
        common = common or own.get(raw) or raw
        classes[raw] = NOUNS.get(common.casefold(), common.casefold())
    if repaired:
        said = ", ".join(f"{raw!r} ({count})" for raw, count in sorted(repaired.items()))
        notes.append(f"labels that EmoBox's label map lacks or spells otherwise: {said}")
    return classes


def _matched(lines: Mapping[PurePosixPath, _Line], there: pd.DataFrame) -> dict[PurePosixPath, str]:
    """Utterance by path in the fold files: the file of that stem; of several, the one with most folders in common.

    Raises:
        TaskError: two files match equally well.
    """
    by_stem: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for utterance, path in there["path"].items():
        parts = tuple(part.casefold() for part in Path(path).with_suffix("").parts)
        by_stem[parts[-1]].append((str(utterance), parts[-2::-1]))
    matched = {}
    for wav in lines:
        # Some names there join folder and file: SAVEE's DC_a01 is DC/a01.
        wanted = tuple(part.casefold() for part in wav.with_suffix("").parts)
        candidates = by_stem.get(wanted[-1], [])
        if not candidates and "_" in wanted[-1]:
            above, _, stem = wanted[-1].partition("_")
            wanted, candidates = (*wanted[:-1], above, stem), by_stem.get(stem, [])
        ranked = sorted(((_alike(wanted[-2::-1], parts), utterance) for utterance, parts in candidates), reverse=True)
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            paths = " and ".join(there["path"][utterance] for _, utterance in ranked[:2])
            raise TaskError(f"EmoBox's {wav} may be {paths}; remove one of the two")
        if ranked:
            matched[wav] = ranked[0][1]
    return matched


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of folders, from the innermost outwards, that two paths have in common."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _differing(key: str, rows: pd.DataFrame, emotion: Mapping[str, str]) -> int:
    """Number of labels that differ from those of our own task on the corpus, after its merges."""
    path = definition.path(READERS.get(key, key))
    if "emotion" not in rows or not path.exists():
        return 0
    merged = {raw: label for label, values in definition.read(path).labels.items() for raw in values}
    own = rows["emotion"].map(lambda raw: merged.get(raw, raw))
    return sum(own[utterance] != label for utterance, label in emotion.items())


def _published(key: str) -> tuple[Published, ...]:
    path = definition.path(READERS.get(key, key))
    figures = definition.read(path).published if path.exists() else ()
    differs = {"matches": True, "difference": "last layer, a two-layer head trained for 100 epochs, its own dev"}
    return tuple(Published.model_validate(dict(figure) | differs) for figure in figures if figure.head == "emobox")


def _problem(
    wanted: Definition,
    rows: pd.DataFrame,
    lists: Mapping[str, Mapping[str, Sequence[_Line]]],
    ids: Mapping[PurePosixPath, str],
) -> Problem:
    """Targets and EmoBox's folds of the usable utterances."""
    asked = problems.targets(rows, wanted)
    place = {utterance: row for row, utterance in enumerate(rows.index)}
    names = np.array([str(utterance) for utterance in rows.index])

    def of(lines: Sequence[_Line]) -> np.ndarray:
        there = {place[ids[line.wav]] for line in lines if line.wav in ids and ids[line.wav] in place}
        return np.array(sorted(there), dtype=np.int64)

    built = []
    for name, parts in lists.items():
        train, dev, test = (of(parts[part]) for part in PARTS)
        if not parts["valid"]:
            dev = folds.stratified_fifth(train, names, asked, name)
            train = np.setdiff1d(train, dev)
        if len(train) and len(test):  # else this copy has no utterance of the fold
            built.append(Fold(name, train, dev, test))
    speaker = np.array([str(value) for value in rows["speaker"]]) if "speaker" in rows else names
    dialogue, turn = (rows[column].to_numpy() if column in rows else None for column in ("dialogue", "turn"))
    return Problem(
        ids=names,
        kind=wanted.kind,
        classes=tuple(wanted.labels),
        targets=asked,
        folds=tuple(built),
        groups=speaker,
        speaker=speaker,
        dialogue=dialogue,
        turn=turn,
        select_on=wanted.select_on,
    )
