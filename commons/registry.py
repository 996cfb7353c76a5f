"""Registries of names. Targets are strings "module:attribute", so that a list of names imports no large library."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from commons.errors import UnknownName

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Entries by name, in the order given.

    Args:
        what: the word for an entry in messages.
        see: the command that shows all names.
        others: further names that messages may offer.
    """

    def __init__(self, what: str, entries: Mapping[str, Entry], see: str = "", others: Iterable[str] = ()) -> None:
        self.what, self.see, self._entries, self._others = what, see, dict(entries), tuple(others)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[Entry]:
        """The entries."""
        return list(self._entries.values())

    def find(self, name: str) -> Entry:
        """The entry of that name. Raises UnknownName, which offers similar names."""
        if name not in self._entries:
            raise UnknownName(self.what, name, [*self._entries, *self._others], self.see)
        return self._entries[name]

    @contextmanager
    def holding(self, name: str, entry: Entry) -> Iterator[None]:
        """For tests: within this context `name` is this entry; afterwards the registry is as it was before."""
        before = self._entries
        self._entries = before | {name: entry}
        try:
            yield
        finally:
            self._entries = before


def load(target: str) -> object:
    """The object that a target "module:attribute" names, imported now."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
