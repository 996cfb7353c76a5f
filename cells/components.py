"""Items that share something, directly or through others."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def components(items: Sequence[T], shared: Callable[[T], Iterable[Hashable]]) -> list[list[T]]:
    """The items in groups, groups and items in their order.

    Two are in one group where `shared` gives both one value, or where a third is in one group with each.

    >>> components(["ab", "c", "bd", "e"], set)
    [['ab', 'bd'], ['c'], ['e']]
    """
    parent = list(range(len(items)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    owner: dict[Hashable, int] = {}
    for index, item in enumerate(items):
        for value in shared(item):
            first, own = root(owner.setdefault(value, index)), root(index)
            parent[max(first, own)] = min(first, own)
    groups: dict[int, list[T]] = {}
    for index, item in enumerate(items):
        groups.setdefault(root(index), []).append(item)
    return list(groups.values())
