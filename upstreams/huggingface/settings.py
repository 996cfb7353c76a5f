"""A model's JSON settings, read with care: what cannot be is named with its file and key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from upstreams.errors import UpstreamError


@dataclass(frozen=True)
class Settings:
    """Values by key; `place`: the file they stand in. Its methods raise UpstreamError."""

    place: str
    values: dict[str, Any]

    def count(self, key: str, default: int) -> int:
        value = self.values.get(key, default)
        if not _counts(value):
            raise self._wrong(key, value, "a whole number of at least 1")
        return value

    def pairs(self, keys: tuple[str, str], default: tuple[tuple[int, ...], tuple[int, ...]]) -> list[tuple[int, int]]:
        """Two lists of one length, layer by layer."""
        first, second = (self.values.get(key, value) for key, value in zip(keys, default, strict=True))
        for key, value in zip(keys, (first, second), strict=True):
            if not isinstance(value, list | tuple) or not all(_counts(number) for number in value):
                raise self._wrong(key, value, "a list of whole numbers of at least 1")
        if len(first) != len(second):
            raise self._wrong(keys[1], second, f"one value for each of {keys[0]}, {first!r}")
        return list(zip(first, second, strict=True))

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


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
