"""Which columns a user's table has, by its headings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from commons.corridors.utterances import CHANGED, COLUMNS, PEOPLE, VOTES
from commons.errors import cut, some
from tasks import spellings
from tasks.definition import VALUES
from tasks.errors import TaskError
from tasks.sheets import Sheet

KNOWN = {"id", *COLUMNS}
# Column -> other headings, in plain form (`spellings.plain`), which are taken where the column itself is absent.
OTHERS = {
    "path": (
        "file", "wav", "audio", "filename", "file name", "filepath", "file path", "wav path", "wavpath", "wav file",
        "wavfile", "audio path", "audio file", "audiofile", "audio filepath", "audio name",
    ),
    "emotion": (
        "label", "class", "emotion label", "label emotion", "emotion class", "emo", "emotions", "labels", "category",
    ),
    "speaker": ("spk", "speaker id", "speakerid", "spk id", "actor", "actor id", "subject id",
                "speaker name"),
    "partition": ("split", "subset", "set", "part", "split set"),
    "id": ("utt id", "utterance id", "uttid", "segment id"),
    "gender": ("sex",),
    "language": ("lang",),
    "text": ("transcript", "transcription"),
    "sentence": ("sentence id",),
    "start": ("start time",),
    "end": ("end time",),
    "dialogue": ("dialog", "dialogue id", "dialog id"),
    "session": ("session id",),
}  # fmt: skip
# Columns that are added when a table is read, or that say how its audio is changed.
MEASURED = ("sha256", "samples_sha256", "duration", "text_sha256", *CHANGED)
# A table without these columns is refused, so that any spelling of their letters is taken where one column has it.
NEEDED = {
    "path": re.compile(
        "(audio|wav|sound|speech|recording)s?(file|path|name|location)+|file(path|name|location)+|(relative|full|abs)path"
    ),
    "emotion": re.compile(
        "((gold|true|final|consensus|majority)?(emo|emotions?|emotional)(labels?|class|classes|category|name|tag|type)?)"
        "|((label|class|category)(emo|emotions?))"
    ),
}
# Parts of headings that may mean a column; a message asks for it then.
LIKELY = {
    "path": ("file", "path", "wav", "audio"),
    "emotion": ("emo", "label", "class", "mood", "affect"),
    "speaker": ("speaker", "spk", "actor", "subject", "person"),
}
LONGEST, MOST = 40, 30  # letters of a heading, and headings, that a message repeats
SPLITS = ("speaker", "partition", "fold")
ASKED_FOR = ("path", "emotion", "speaker")  # two headings that may be one of these are an error
_UNNAMED = re.compile(r"(unnamed: ?\d+(_level_\d+)?)?", re.IGNORECASE)  # the heading that pandas writes for an index


@dataclass(frozen=True)
class Heading:
    """The columns of a table.

    Attributes:
        place: the position of each column that is used, by its name among `KNOWN`, or as the user asks for it.
        written: the heading of each, as in the file.
        unused: headings that are not used.
        mapped: written label -> class, from a heading such as `label:Angry=anger`.
        notes: lines on headings that were taken for a column.
    """

    place: Mapping[str, int]
    written: Mapping[str, str]
    unused: tuple[str, ...] = ()
    mapped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def listed(self) -> str:
        """The headings for a message, those in use first; long headings and long lists are cut."""
        names = [cut(" ".join(name.split()), LONGEST) for name in (*self.written.values(), *self.unused)]
        return some(names, MOST)


def known(cells: Sequence[str]) -> int:
    """The number of known columns in a heading."""
    others = {word for words in OTHERS.values() for word in words}
    names = [_named(cell)[0] for cell in cells]
    return sum(name in KNOWN or spellings.plain(name) in others for name in names)


def understood(sheet: Sheet, asked: str) -> Heading:
    """The columns of a table; `asked`: the column that the user names, empty where none is named.

    Raises:
        TaskError: two columns have one name, or two columns may have one meaning.
    """
    names: dict[str, int] = {}
    mapped: dict[str, str] = {}
    for position, cell in enumerate(sheet.heading):
        name, mapping = _named(cell)
        if _UNNAMED.fullmatch(name):
            continue
        if name in names:
            other = sheet.heading[names[name]]
            raise TaskError(f"{sheet.file}: columns {other!r} and {cell!r} have one name; rename or drop one of them")
        names[name] = position
        if mapping:
            mapped |= mapping_of(f"{sheet.file}, heading {name}", re.split(r"[;|,]", mapping))
    place = {name: where for name, where in names.items() if name in KNOWN or name in PEOPLE or _of_votes(name)}
    left = {name: where for name, where in names.items() if name not in place}
    notes = _renamed(sheet, place, left, asked)
    if asked and asked not in place and (named := _plain(left).get(spellings.plain(asked))):
        if asked in MEASURED:
            raise TaskError(f"{sheet.file}: column {asked} has a name that has a meaning of its own here; rename it")
        place[asked] = left.pop(named)
    heading = sheet.heading
    unused = tuple(sorted(heading[where] for where in left.values()))
    made = Heading(place, {n: heading[where] for n, where in place.items()}, unused, mapped, tuple(notes))
    return replace(made, notes=(*made.notes, *_alike(made)))


def check(file: Path, heading: Heading, asked: str) -> None:
    """Raise TaskError where a table lacks a column that a task needs.

    Args:
        asked: the column that the user asks for; empty where none is named.
    """
    columns = heading.listed
    if "path" not in heading.place and "text" not in heading.place:
        others = ", ".join(OTHERS["path"][:4])
        hint = _did_you_mean(heading, "path", "rename it to path")
        raise TaskError(
            f"{file}: has no column path, the audio files (or {others}), and no text{hint}; its columns are {columns}"
        )
    if asked and asked not in heading.place:
        raise TaskError(f"{file}: has no column {asked}, so nothing is asked; its columns are {columns}")
    if not asked and not {"emotion", *VALUES} & set(heading.place):
        needed = ", ".join(["emotion", *VALUES])
        hint = _did_you_mean(heading, "emotion", "rename it to emotion, or ask for it: csv:FILE#COLUMN")
        raise TaskError(f"{file}: has no column {needed}, so nothing is asked{hint}; its columns are {columns}")
    if not set(SPLITS) & set(heading.place):
        needed = ", ".join(SPLITS)
        likely = [name for name in heading.unused if spellings.plain(name) in OTHERS["partition"]]
        hint = f" (did you mean partition by {likely[0]}? its values are not train, dev and test)" if likely else ""
        hint = f"there is nothing to split by{hint or _did_you_mean(heading, 'speaker', 'rename it to speaker')}"
        raise TaskError(f"{file}: has no column {needed}, so {hint}; its columns are {columns}")


def _did_you_mean(heading: Heading, column: str, remedy: str) -> str:
    """A question that names the headings, not used otherwise, that may mean a column; empty where there are none."""
    likely = [name for name in heading.unused if any(part in _letters(name) for part in LIKELY[column])]
    return f" (did you mean {' or '.join(likely[:3])}? {remedy})" if likely else ""


def _alike(heading: Heading) -> list[str]:
    """Notes on headings that are not used and differ from a known one in dots or blanks only."""
    notes = []
    for column, words in OTHERS.items():
        letters = {_letters(word) for word in (column, *words)}
        alike = [name for name in heading.unused if _letters(name) in letters]
        if column not in heading.place and alike:
            notes.append(f"column {alike[0]} is not used; if it is the {column}, rename it to {column}")
    return notes


def asked_for(heading: Heading, asked: str) -> str:
    """The name that the user's column has here: `emotion` for `label` where that was taken for it."""
    taken = {spellings.plain(_named(written)[0]): column for column, written in heading.written.items()}
    return asked if asked in heading.place else taken.get(spellings.plain(asked), asked)


def _renamed(sheet: Sheet, place: dict[str, int], left: dict[str, int], asked: str) -> list[str]:
    """Move columns with other headings from `left` to `place`; returns notes on them."""
    notes: list[str] = []
    taken: dict[str, str] = {}
    for column, words in OTHERS.items():
        plain = _plain(left)
        alike = [plain[word] for word in words if word in plain]
        if column in place or not alike:
            continue
        if column == "emotion" and asked not in ("emotion", *alike) and (asked or set(VALUES) & set(place)):
            continue  # a value, or another column, is asked for
        if column == "partition" and "fold" in place:
            continue
        if column == "partition":
            strange = {name: word for name in alike if (word := _no_part(sheet, left[name])) is not None}
            notes += [_not_taken(sheet.heading[left[name]], word) for name, word in strange.items()]
            alike = [name for name in alike if name not in strange]
        if asked in alike:
            alike = [asked]
        if len(alike) > 1 and column in ASKED_FOR:
            raise TaskError(
                f"{sheet.file}: columns {' and '.join(sheet.heading[left[name]] for name in alike)} may each be the "
                f"{column}; rename the right one to {column}"
            )
        if len(alike) == 1:
            place[column] = left.pop(alike[0])
            taken[column] = sheet.heading[place[column]]
    taken |= _needed(sheet, place, left, asked)
    if taken:
        notes.insert(0, f"columns by other names: {', '.join(f'{name} is {column}' for column, name in taken.items())}")
    return notes


def _needed(sheet: Sheet, place: dict[str, int], left: dict[str, int], asked: str) -> dict[str, str]:
    """Move columns of `NEEDED` from `left` to `place` where one heading alone can be meant; the heading of each."""
    taken: dict[str, str] = {}
    for column, pattern in NEEDED.items():
        alike = [name for name in left if pattern.fullmatch(_letters(name))]
        elsewhere = column == "emotion" and (asked not in ("", "emotion") or bool(set(VALUES) & set(place)))
        if column not in place and len(alike) == 1 and not elsewhere:
            place[column] = left.pop(alike[0])
            taken[column] = sheet.heading[place[column]]
    return taken


def _not_taken(heading: str, word: str) -> str:
    return f"column {heading} is not taken for partition: {word!r} is none of {', '.join(spellings.PARTITIONS)}"


def _letters(name: str) -> str:
    """A heading's letters and digits, small: `Emo.Label` is emolabel."""
    return re.sub(r"[\W_]", "", name).casefold()


def _plain(left: Mapping[str, int]) -> dict[str, str]:
    """Names by their plain form."""
    return {spellings.plain(name): name for name in left}


def _no_part(sheet: Sheet, place: int) -> str | None:
    """The first value of a column that is no word for train, dev or test; None where there is none."""
    words = [values[place].strip() for _, values in sheet.rows]
    return next((word for word in words if word and not spellings.meaning(word, spellings.PARTITIONS)), None)


def _of_votes(name: str) -> bool:
    """Whether a column counts annotators who named a class: `votes:anger`."""
    return name.startswith(VOTES) and len(name) > len(VOTES)


def _named(cell: str) -> tuple[str, str]:
    """A column's name in small letters, and the mapping of its labels: `label:Angry=anger` has both."""
    name, colon, mapping = cell.strip().partition(":")
    if colon and "=" in mapping:
        return name.strip().lower(), mapping
    return cell.strip().lower(), ""


def mapping_of(where: str, lines: Sequence[str]) -> dict[str, str]:
    """Written label -> class, from lines such as `Angry=anger`; the class is empty for a label to leave out, `Other=`.

    Args:
        where: the words of a message for the place of the lines.

    Raises:
        TaskError: a line has no label or no `=`, or a label is mapped twice.
    """
    mapped: dict[str, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, *more = re.split(r"[=:,\t]", line.strip(), maxsplit=1)
        label, name = (word.strip().strip("\"'") for word in (label, "".join(more)))
        if not more or not label:
            raise TaskError(f"{where}: {line.strip()!r} maps no label; write a line a label, such as Angry=anger")
        if mapped.get(label, name) != name:
            raise TaskError(f"{where}: label {label!r} is mapped to {mapped[label]!r} and to {name!r}")
        mapped[label] = name
    return mapped
