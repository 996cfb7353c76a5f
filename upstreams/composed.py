"""Names that consist of others: `a+b` is a fusion, `a#9` a layer, `features:FOLDER` features from elsewhere.

A name is split at + only where every part is a name, for files may have a + in their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import product

from commons.errors import EmorepError, Refused
from commons.places import Places
from commons.splitting import split, unknown
from upstreams import fusion, precomputed, registry
from upstreams.named import GIVEN, LATE, Named

DIGITS = 4  # of a layer's number at most


def resolve(name: str, places: Places) -> Named:
    """What a name stands for.

    Raises:
        UnknownName: there is no such name, or no such file.
        Refused: the name has a wrong form.
    """

    def known(part: str) -> bool:
        return _resolves(part, places)

    parts = split(name, "+", known)
    if len(parts) > 1:
        return fusion.named([_alone(part, places) for part in parts])
    culprit = unknown(name, "+", known)
    if culprit == name or known(name):
        return _alone(name, places)
    if not culprit:
        raise Refused(f"upstream {name!r}: an upstream is missing beside a +; name a fusion as fbank+prosody")
    try:
        return _alone(culprit, places)
    except EmorepError as error:
        raise Refused(f"upstream {name!r}: {error}") from error


def expand(name: str, places: Places) -> list[str]:
    """The names that a name stands for; those of a fusion are made of what its parts stand for."""

    def known(part: str) -> bool:
        try:
            return all(_resolves(one, places) for one in _members(part, places))
        except EmorepError:
            return False

    parts = split(name, "+", known)
    return _members(name, places) if len(parts) == 1 else ["+".join(names) for names in together(parts, places)]


def together(parts: Sequence[str], places: Places) -> list[tuple[str, ...]]:
    """The names that several names stand for together. Draws of random weights go in step: a fusion of two random
    upstreams has five draws, not twenty-five."""
    each = [expand(part, places) for part in parts]
    drawn = [
        index for index, names in enumerate(each) if len(names) == registry.DRAWS and _has_random_part(parts[index])
    ]
    several: list[tuple[str, ...]] = []
    for draw in range(registry.DRAWS if drawn else 1):
        several += product(*([names[draw]] if index in drawn else names for index, names in enumerate(each)))
    return several


def _has_random_part(name: str) -> bool:
    return any(piece.casefold().startswith("random:") for piece in name.split("+"))


def _members(name: str, places: Places) -> list[str]:
    """The names that a name without + stands for."""
    whole, number = _layer(name, places)
    return registry.expand(whole) if number is None else [f"{one}#{number}" for one in registry.expand(whole)]


def _resolves(name: str, places: Places) -> bool:
    try:
        _alone(name, places)
    except EmorepError:
        return False
    return True


def _alone(name: str, places: Places) -> Named:
    """What a name without + stands for."""
    whole, number = _layer(name, places)
    if number is not None:
        return fusion.layer(_alone(whole, places), number)
    if name[: len(LATE)].casefold() == LATE:
        raise Refused(
            f"{name}: a late fusion has predictions and no features; run it alone, as -u late:fbank,prosody, and use "
            "a+b as a part of another fusion"
        )
    if name[: len(GIVEN)].casefold() == GIVEN:
        return precomputed.resolve(name[len(GIVEN) :])
    return registry.resolve(name, places)


def _layer(name: str, places: Places) -> tuple[str, int | None]:
    """The upstream and the number of its layer; the name itself and None where it names no layer."""
    whole, mark, number = name.rpartition("#")
    if mark and number.isascii() and number.isdecimal() and len(number) <= DIGITS:
        with suppress(EmorepError):
            if all(_resolves(one, places) for one in registry.expand(whole)):
                return whole, int(number)
    return name, None
