"""Names that consist of other names, such as `a+b`, where a name may hold the mark that joins them (a file's path)."""

from __future__ import annotations

from collections.abc import Callable


def split(name: str, mark: str, known: Callable[[str], bool]) -> list[str]:
    """The names that `name` joins at `mark`, each of them known; `[name]` where there is no such split.

    Of several splits, the one whose first names are the shortest: my+enc.py:Mine is split only where `my` is known.
    """
    pieces = name.split(mark)
    for count in range(1, len(pieces)):
        first = mark.join(pieces[:count])
        if not (first and known(first)):
            continue
        rest = mark.join(pieces[count:])
        others = split(rest, mark, known)
        if len(others) > 1 or known(rest):
            return [first, *others]
    return [name]


def unknown(name: str, mark: str, known: Callable[[str], bool]) -> str:
    """The part to blame where `name` is not known as a whole, and cannot be split at `mark`.

    The first piece that is not known, where another one is; else the whole name.
    """
    pieces = name.split(mark)
    lacking = [piece for piece in pieces if not (piece and known(piece))]
    return lacking[0] if lacking and len(lacking) < len(pieces) else name
