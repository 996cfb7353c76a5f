"""Files and folders as messages write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ITSELF = "the folder itself"  # the words for the corpus's folder


def pairs_of_folders(pairs: Sequence[tuple[Path, Path]], root: Path) -> list[str]:
    """Pairs of files as `f1 and copy/f1 (14 files, such as dis-f1-b1.wav)`, a line for each pair of folders."""
    folders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one, other in pairs:
        a, b = (_below(path.parent, root) for path in (one, other))
        if one.name == other.name:  # the same tree twice: name the folders where the two trees differ
            a, b = _differing(a, b)
        folders[a, b].append(one.name)
    ranked = sorted(folders.items(), key=lambda item: (-len(item[1]), item[0]))
    return [f"{a} and {b} ({len(n)} file{'s' * (len(n) > 1)}, such as {plain(min(n))})" for (a, b), n in ranked]


def by_folder(paths: Sequence[Path], root: Path, most: int = 6) -> list[str]:
    """Files as `98 of f1`; in more than `most` folders as `588 of a/b: f1 to m3 (6 folders)`."""
    parents = [path.relative_to(root).parts[:-1] for path in paths]
    depth = max(map(len, parents), default=0)
    while depth and len({parent[:depth] for parent in parents}) > most:
        depth -= 1
    lines = []
    for key in sorted({parent[:depth] for parent in parents}):
        inside = [parent[len(key) :] for parent in parents if parent[: len(key)] == key]
        folders = sorted({"/".join(parent) for parent in inside})
        here, first = "/".join(key), folders[0] or ITSELF
        if len(folders) == 1:
            where = "/".join(filter(None, (here, folders[0]))) or ITSELF
        else:
            where = (f"{here}: " if here else "") + f"{first} to {folders[-1]} ({len(folders)} folders)"
        lines.append(f"{len(inside)} of {plain(where)}")
    return lines


def plain(text: str) -> str:
    """The name with bytes that are not UTF-8 escaped, so that it can be printed."""
    return text.encode(errors="backslashreplace").decode()


def _below(path: Path, root: Path) -> str:
    return plain(path.relative_to(root).as_posix())


def _differing(one: str, other: str) -> tuple[str, str]:
    """Two folders without the parts that they have in common at their ends."""
    a, b = ([] if folder == "." else folder.split("/") for folder in (one, other))
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    return "/".join(a) or ITSELF, "/".join(b) or ITSELF


def shortened(listed: Sequence[str], most: int = 10) -> list[str]:
    """The first lines, and a line on how many more there are."""
    return [*listed[:most], *([f"and {len(listed) - most} more"] if len(listed) > most else [])]
