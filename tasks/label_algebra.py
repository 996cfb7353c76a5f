"""The label algebra (`labels.yaml`): which classes several corpora share, and which of their own classes those hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from commons import yamlfile
from tasks import spellings
from tasks.errors import TaskError

FEWEST = 2  # classes that a task needs


@cache
def merges() -> dict[str, str]:
    """Class -> the broader class that it may be merged into."""
    return {
        one: str(broader)
        for one, broader in yamlfile.mapping(Path(__file__).with_name("labels.yaml"), "merges of classes").items()
    }


def shared(several: Sequence[Collection[str]]) -> tuple[str, ...]:
    """Sorted classes that each of several label sets has, itself or after merging; spellings of one noun are one class.

    A class is not merged where every set has both it and the broader class.
    """
    nouns = [{spellings.noun(c) for c in classes} for classes in several]
    reach = [{*classes, *(merges()[c] for c in classes if c in merges())} for classes in nouns]
    common = set.intersection(*reach)
    for narrow, broad in merges().items():
        if broad in common and not all(narrow in classes and broad in classes for classes in nouns):
            common.discard(narrow)
    return tuple(sorted(common))


def union(several: Sequence[Collection[str]]) -> tuple[str, ...]:
    """Sorted classes that any of several label sets has; spellings of one noun are one class, and none is merged."""
    return tuple(sorted({spellings.noun(c) for classes in several for c in classes}))


def onto(classes: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Class -> the wanted class that holds it; classes that no wanted class holds are left out.

    Raises:
        TaskError: no class belongs to a wanted class, or fewer than two classes are wanted.
    """
    held = {c: name for c in classes if (name := _wanted(c, wanted))}
    lacking = sorted(set(wanted) - set(held.values()))
    if lacking:
        raise TaskError(f"no class {', '.join(lacking)}; it has {', '.join(classes)} (merges: tasks/labels.yaml)")
    if len(set(wanted)) < FEWEST:
        raise TaskError(f"one class given, {'+'.join(set(wanted))}; at least {FEWEST} are needed")
    return held


def _wanted(label: str, wanted: Sequence[str]) -> str | None:
    """The wanted class that a class belongs to: as written, by its noun, or after merging; None where there is none."""
    noun = spellings.noun(label)
    return next((name for name in (label, noun, merges().get(noun)) if name in wanted), None)
