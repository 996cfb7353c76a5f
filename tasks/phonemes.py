"""Phonemes of utterances in one inventory (`phonemes.yaml`): a corpus's own, else from its texts by espeak-ng.

Texts become sounds only when a head that learns phonemes asks for them, and each text once in a process. espeak-ng
comes with the extra `phonemes` (phonemizer and espeakng-loader, GPL-3.0); without it, texts give no phonemes.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from commons import yamlfile
from commons.errors import cut
from tasks.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd
    from phonemizer.backend import EspeakBackend
    from phonemizer.separator import Separator

FILE = Path(__file__).with_name("phonemes.yaml")
ABSENT = (
    "phonemes of texts need the extra `phonemes`, which is not installed (pip install -e '.[phonemes]': phonemizer and "
    "espeakng-loader, GPL-3.0)"
)
WORD, SOUND = "|", " "
_NOT_SPOKEN = re.compile(r"\[[^\]]*\]|<[^>]*>")  # such as [LAUGHTER] in IEMOCAP: sounds that are no words
_SOUNDS: dict[tuple[str, str], str] = {}  # (voice, text) -> what espeak-ng made of it


class Table(BaseModel):
    """The content of phonemes.yaml.

    Attributes:
        inventory: symbols by their kind; drop: characters that are dropped, by the name under which they are counted.
        fold: character -> symbols of the inventory, with spaces between them.
        voices: language -> voice of espeak-ng.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inventory: dict[str, list[str]]
    drop: dict[str, list[str]]
    fold: dict[str, str]
    voices: dict[str, str]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The inventory, sorted."""
        return tuple(sorted(symbol for symbols in self.inventory.values() for symbol in symbols))

    @model_validator(mode="after")
    def _fits(self) -> Table:
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("a symbol is twice in inventory")
        for letter, symbols in self.fold.items():
            if strange := set(symbols.split()) - set(self.symbols):
                raise ValueError(f"fold: {letter}: {', '.join(sorted(strange))} is not in inventory")
        return self


@dataclass(frozen=True)
class Phonemes:
    """Phonemes of N utterances.

    Attributes:
        symbols: (N) indices of the inventory in their order; empty for an utterance without phonemes.
        own, by_espeak: utterances with phonemes of the corpus, and from their text; without: those that have none.
        dropped: characters of all transcriptions by kind: stress, length, tone, marks.
        notes: lines on why utterances with a text have none.
    """

    symbols: tuple[tuple[int, ...], ...]
    own: int
    by_espeak: int
    without: int
    dropped: dict[str, int]
    notes: tuple[str, ...]


@cache
def table(file: Path = FILE) -> Table:
    """The table in a file. Raises TaskError, which names the file and what is wrong in it."""
    try:
        return Table.model_validate(yamlfile.mapping(file, "inventory, drop, fold and voices"))
    except yamlfile.NotYaml as error:
        raise TaskError(str(error)) from None
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise TaskError(f"{file}: {cut('; '.join(wrong), 2000)}") from error


def folded(sounds: str, dropped: Counter[str] | None = None, place: str = "phonemes") -> list[str]:
    """Symbols of the inventory for a transcription; spaces stand between sounds.

    Args:
        dropped: gets the numbers of dropped characters by kind.
        place: names the transcription in messages.

    Raises:
        TaskError: a letter is not in the table.

    >>> folded("h ˈɔø t ə"), folded("p r ˈɔ ss i m o")
    (['h', 'ɔ', 'ø', 't', 'ə'], ['p', 'r', 'ɔ', 's', 'i', 'm', 'o'])
    """
    kinds = {character: kind for kind, several in table().drop.items() for character in several}
    count: Counter[str] = Counter()
    made: list[str] = []
    for sound in sounds.replace(WORD, SOUND).split():
        own: list[str] = []
        for letter in _letters(sound):
            if letter in kinds:
                count[kinds[letter]] += 1
            elif (symbols := _symbols(letter)) is not None:
                own += symbols
                twice = len(symbols) == 1 and own[-2:] == symbols * 2
                count["length"] += twice
                own = own[:-1] if twice else own
            elif unicodedata.category(letter)[0] in "MPS" or unicodedata.category(letter) == "Lm":
                count["marks"] += 1
            else:
                raise TaskError(
                    f"{place}: {letter!r} in {cut(sounds, 80)!r} is not in {FILE.name}; add it there, to inventory, "
                    "fold or drop"
                )
        made += own
    if dropped is not None:
        dropped.update(count)
    return made


def _letters(sound: str) -> list[str]:
    """The characters of a sound: letters with a place of their own are whole (ç), other marks stand alone."""
    whole = unicodedata.normalize("NFC", sound)
    return [part for one in whole for part in (one if _symbols(one) else unicodedata.normalize("NFD", one))]


def _symbols(letter: str) -> list[str] | None:
    """The symbols of one letter; None where it has none."""
    if letter in _inventory():
        return [letter]
    return table().fold[letter].split() if letter in table().fold else None


@cache
def _inventory() -> frozenset[str]:
    return frozenset(table().symbols)


def of(rows: pd.DataFrame, place: str) -> Phonemes:
    """The phonemes of utterances: those of the column `phonemes`, else from `text` and `language`.

    Args:
        place: names the corpora in messages.

    Raises:
        TaskError: a transcription has a letter that phonemes.yaml does not have.
    """
    sounds, notes = [str(own) if own else "" for own in _column(rows, "phonemes")], []
    own = [bool(one.strip()) for one in sounds]
    texts = [" ".join(_NOT_SPOKEN.sub(" ", text).split()) for text in _column(rows, "text")]
    languages = _column(rows, "language")
    asked: dict[str, set[str]] = {}
    unspoken: Counter[str] = Counter()
    for text, language, has in zip(texts, languages, own, strict=True):
        if not has and any(letter.isalnum() for letter in text):
            voice = table().voices.get(language)
            unspoken[language or "no language"] += voice is None
            if voice:
                asked.setdefault(voice, set()).add(text)
    if unspoken := +unspoken:
        said = ", ".join(f"{count} in {language}" for language, count in sorted(unspoken.items()))
        notes.append(f"{place}: texts without phonemes, as {FILE.name} has no voice of their language: {said}")
    if asked and (problem := _speak(asked)):
        notes.append(f"{place}: {problem}")
    for i, (text, language) in enumerate(zip(texts, languages, strict=True)):
        if not own[i]:
            sounds[i] = _SOUNDS.get((table().voices.get(language, ""), text), "")
    dropped: Counter[str] = Counter()
    index = {symbol: i for i, symbol in enumerate(table().symbols)}
    symbols = tuple(tuple(index[symbol] for symbol in folded(one, dropped, place)) for one in sounds)
    has_any = [bool(one) for one in symbols]
    return Phonemes(
        symbols=symbols,
        own=sum(own),
        by_espeak=sum(has_any) - sum(a and b for a, b in zip(own, has_any, strict=True)),
        without=len(symbols) - sum(has_any),
        dropped={kind: dropped[kind] for kind in (*table().drop, "marks")},
        notes=tuple(notes),
    )


def counted(rows: pd.DataFrame, place: str) -> list[str]:
    """Lines on the phonemes of a corpus: how many utterances have some, from where, and what was dropped."""
    made = of(rows, place)
    kinds = len({symbol for one in made.symbols for symbol in one})
    total = sum(map(len, made.symbols))
    dropped = ", ".join(f"{count} {kind}" for kind, count in made.dropped.items())
    sentences = len({one for one in made.symbols if one})
    return [
        f"{place}: phonemes of {made.own + made.by_espeak} of {len(rows)} utterances ({made.own} the corpus's own, "
        f"{made.by_espeak} by espeak-ng): {total} of {kinds} kinds, {sentences} different sequences; dropped {dropped}",
        *made.notes,
    ]


def _column(rows: pd.DataFrame, name: str) -> list[str]:
    """The values of a column as text; empty where there is none."""
    if name not in rows:
        return [""] * len(rows)
    return [str(value) for value in rows[name].astype(object).where(rows[name].notna(), "")]


def _speak(asked: dict[str, set[str]]) -> str:
    """Let espeak-ng transcribe texts by voice, those that are not known yet; why it cannot, empty where it can."""
    left = {voice: sorted(text for text in texts if (voice, text) not in _SOUNDS) for voice, texts in asked.items()}
    if not any(left.values()):
        return ""
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
        from phonemizer.separator import Separator
    except ImportError:
        return ABSENT
    quiet = logging.getLogger("phonemes")
    quiet.setLevel(logging.CRITICAL)
    try:
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        for voice, texts in left.items():
            if not texts:
                continue
            backend = EspeakBackend(
                voice, with_stress=True, language_switch="remove-flags", words_mismatch="ignore", logger=quiet
            )
            separator = Separator(phone=SOUND, word=WORD, syllable="")
            for text, sounds in zip(texts, _transcribed(backend, texts, separator), strict=True):
                _SOUNDS[voice, text] = sounds
    except (RuntimeError, OSError) as error:
        return f"espeak-ng cannot be used ({error}); install the extra `phonemes` anew"
    return ""


def _transcribed(backend: EspeakBackend, texts: Sequence[str], separator: Separator) -> list[str]:
    """What espeak-ng makes of each text, which is one line."""
    return [str(sounds) for sounds in backend.phonemize(list(texts), separator=separator, strip=True)]
