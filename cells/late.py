"""Late fusion: `late:a,b` averages the predictions of cells of several upstreams with the same head, folds and seeds.

Here are its names, facts and key; averaging.py computes it. The record is one of its own; the cells of the parts are
measured first where they are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import upstreams
from commons import hashing
from commons.errors import EmorepError, Refused
from commons.splitting import split, unknown
from upstreams import LATE, Named

if TYPE_CHECKING:
    from commons.places import Places
    from upstreams import Identity

RULE = 1  # of averaging; part of every key


@dataclass(frozen=True)
class LateFusion:
    """Several upstreams whose predictions are averaged; `named.parts` are sorted, so that their order says nothing."""

    named: Named


def resolve(name: str, places: Places) -> Named | LateFusion:
    """What the name of an upstream stands for, or that of a late fusion.

    Raises:
        UnknownName: a part is unknown.
        Refused: it has fewer than two parts, or a part has a wrong form.
    """
    if not _is_late(name):
        return upstreams.resolve(name, places)
    names = _parts(name, places)
    parts = tuple(sorted((upstreams.resolve(part, places) for part in names), key=lambda part: part.record_name))
    draws = {part.draw for part in parts if part.draw is not None}
    named = Named(
        name=LATE + ",".join(part.name for part in parts),
        record_name=LATE + ",".join(part.record_name for part in parts),
        target="",
        draw=draws.pop() if len(draws) == 1 else None,
        cite=tuple(dict.fromkeys(key for part in parts for key in part.cite)),
        parts=parts,
    )
    return LateFusion(named)


def expand(name: str, places: Places) -> list[str]:
    """The names that a name stands for, see `upstreams.expand`. Errors as in `resolve`."""
    if not _is_late(name):
        return upstreams.expand(name, places)
    return [LATE + ",".join(parts) for parts in upstreams.together(_parts(name, places), places)]


def _is_late(name: str) -> bool:
    return name[: len(LATE)].casefold() == LATE


def _parts(name: str, places: Places) -> list[str]:
    """The parts of a late fusion, split at commas where every part is a name."""
    rest = name[len(LATE) :]

    def known(part: str) -> bool:
        try:
            return all(upstreams.resolve(one, places) for one in upstreams.expand(part, places))
        except EmorepError:
            return False

    parts = split(rest, ",", known)
    if len(parts) > 1:
        return parts
    culprit = unknown(rest, ",", known)
    if culprit and not known(culprit):
        try:
            upstreams.resolve(culprit, places)
        except EmorepError as error:
            raise Refused(f"upstream {name!r}: {error}") from error
    raise Refused(f"upstream {name!r}: late fusion needs two upstreams or more, as in late:fbank,prosody")


def identity(fusion: LateFusion, parts: Sequence[Identity]) -> Identity:
    """The facts of a late fusion, from those of its parts."""
    merged = upstreams.fused(fusion.named, parts)
    return replace(merged, fingerprint=hashing.of_json({"late": RULE, "parts": merged.fingerprint}))


def refuse_unlike(name: str, task: str, counts: Mapping[str, int]) -> None:
    """Raise EmorepError where the parts answer for different numbers of utterances, `counts`: some lack text."""
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{part} for {count:,}" for part, count in counts.items())
        raise EmorepError(
            f"{name}: its parts answer for different utterances of {task} ({each}), since those without text are left "
            "out; give the texts that are missing (--text), or use early fusion (a+b)"
        )


def key(parts: Sequence[str]) -> str:
    """The key of a cell of late fusion, from those of its parts."""
    return hashing.of_json({"late": RULE, "parts": list(parts)})
