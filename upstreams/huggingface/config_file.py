"""The JSON settings of a model, each checked: an impossible value is named with its file and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from upstreams.errors import UpstreamError


@dataclass(frozen=True)
class ConfigFile:
    """The values of a file, by key. All methods raise UpstreamError for a wrong value."""

    path: str
    values: Mapping[str, object]

    def count(self, key: str, default: int) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key, default)
        if not _is_count(value):
            raise self._wrong(key, value, "a whole number of at least 1")
        return value

    def number(self, key: str, default: int) -> int:
        """A whole number of at least 0; null stands for the default."""
        value = self.values.get(key, default)
        value = default if value is None else value
        if not _is_count(value) and value != 0:
            raise self._wrong(key, value, "a whole number of at least 0")
        return int(value)

    def pairs(self, keys: tuple[str, str], default: tuple[tuple[int, ...], tuple[int, ...]]) -> list[tuple[int, int]]:
        """Two lists of equal length, as pairs: one for each layer."""
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
        """True or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def agree(self, **fixed: object) -> None:
        """Refuse any value that is given and differs from the `fixed` one."""
        for key, value in fixed.items():
            if self.values.get(key, value) != value:
                raise self._wrong(key, self.values[key], f"{value!r}, the only one that is supported here")

    def _wrong(self, key: str, value: object, expected: str) -> UpstreamError:
        return UpstreamError(f"{self.path} says {key} {value!r}; expected {expected}")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
