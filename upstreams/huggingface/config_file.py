"""A model's JSON settings, read with care: what cannot be is named with its file and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from upstreams.errors import UpstreamError


@dataclass(frozen=True)
class Settings:
    """Values by key; `place`: the file they stand in. Its methods raise UpstreamError."""

    place: str
    values: Mapping[str, object]

    def count(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not _is_count(value):
            raise self._wrong(key, value, "a whole number of at least 1")
        return value

    def pairs(self, keys: tuple[str, str], default: tuple[tuple[int, ...], tuple[int, ...]]) -> list[tuple[int, int]]:
        """Two lists of one length, layer by layer."""
        first, second = (self._counts(key, value) for key, value in zip(keys, default, strict=True))
        if len(first) != len(second):
            raise self._wrong(keys[1], second, f"one value for each of {keys[0]}, {first!r}")
        return list(zip(first, second, strict=True))

    def _counts(self, key: str, default: tuple[int, ...]) -> list[int] | tuple[int, ...]:
        value = self.values.get(key, default)
        if not isinstance(value, list | tuple) or not all(_is_count(number) for number in value):
            raise self._wrong(key, value, "a list of whole numbers of at least 1")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def agree(self, **fixed: object) -> None:
        """Refuses values, where they are given, other than those that are `fixed` here."""
        for key, value in fixed.items():
            if self.values.get(key, value) != value:
                raise self._wrong(key, self.values[key], f"{value!r}, the only one that is supported here")

    def _wrong(self, key: str, value: object, expected: str) -> UpstreamError:
        return UpstreamError(f"{self.place} says {key} {value!r}; expected {expected}")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
