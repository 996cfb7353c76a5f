"""Spellings of classes, parts of a split, genders, languages and missing values, and the one word used for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path

from commons import yamlfile

# How programs write a missing label; in other columns `NA` may be a person's initials.
NO_LABEL = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none"})
NO_VALUE = NO_LABEL - {"na", "none"}
PARTITIONS = {
    "train": ("train", "training", "trn"),
    "dev": ("dev", "development", "devel", "valid", "validation", "val"),
    "test": ("test", "testing", "tst"),
}
GENDERS = {"female": ("female", "f", "woman", "w", "girl"), "male": ("male", "m", "man", "boy")}
LANGUAGES = {
    "bn": ("bengali", "bangla"),
    "de": ("german", "deutsch"),
    "el": ("greek",),
    "en": ("english",),
    "es": ("spanish",),
    "fa": ("persian", "farsi"),
    "fr": ("french",),
    "hi": ("hindi",),
    "it": ("italian",),
    "ja": ("japanese",),
    "ko": ("korean",),
    "pl": ("polish",),
    "ru": ("russian",),
    "ur": ("urdu",),
    "zh": ("chinese", "mandarin"),
}


@lru_cache(4096)
def plain(word: str) -> str:
    """A word in small letters, its parts separated by one blank in place of blanks, `_` and `-`."""
    return re.sub(r"[\s_-]+", " ", word).strip().casefold()


@cache
def _nouns() -> dict[str, str]:
    """Plain spelling -> noun, of `spellings.yaml`."""
    known = yamlfile.mapping(Path(__file__).with_suffix(".yaml"), "spellings, a list for each noun")
    several = {noun: [noun, *map(str, others)] for noun, others in known.items() if isinstance(others, list)}
    return {plain(word): noun for noun, words in several.items() for word in words}


def noun(label: str) -> str:
    """The noun of an emotion label: anger for `Angry`. An unknown label is returned in its plain form."""
    return _nouns().get(plain(label), plain(label))


def classes(labels: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Class -> the labels that are spellings of it, both sorted.

    A class with one spelling keeps it as its name. Several spellings of a known noun are called by the noun; of other
    words, the spelling that sorts last is the name, which prefers small letters.
    """
    alike: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        alike.setdefault(noun(label), []).append(label)
    named = {}
    for word, spelled in alike.items():
        name = spelled[0] if len(spelled) == 1 else word if plain(word) in _nouns() else spelled[-1]
        named[name] = tuple(spelled)
    return dict(sorted(named.items()))


def meaning(word: str, known: Mapping[str, tuple[str, ...]]) -> str | None:
    """The key of `known` that lists the word, such as `dev` for `Validation`; None where none does."""
    return next((name for name, words in known.items() if plain(word) in words), None)


def number(word: str) -> float | None:
    """The number that a word writes, with a decimal point or comma; None where it is no number."""
    text = word.strip().replace(",", ".").lower()
    return float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.ASCII) else None


def language(written: str) -> str:
    """The code of a language: en for `English` and `en-US`; an unknown word is returned in small letters."""
    return meaning(written, LANGUAGES) or re.sub(r"[-_].*", "", written.strip().lower()) or "und"


def differing(words: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of words that differ in case, blanks, `-` or `_` only."""
    alike: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        alike.setdefault(plain(word), []).append(word)
    return [tuple(group) for group in alike.values() if len(group) > 1]
