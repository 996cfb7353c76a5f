"""Recipes: YAML files, checked by the recipe of their method. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from commons import yamlfile
from commons.errors import cut
from commons.faults import faults
from upstreams.errors import UpstreamError
from upstreams.pretraining import method as methods
from upstreams.pretraining.recipe_sections import DEFAULT, Recipe


def load(name: str, changes: Sequence[str] = (), by: str = "--set") -> Recipe:
    """The recipe of a YAML file, or of a name of those that ship.

    Args:
        changes: "section.key=value", values as in YAML; by: what made them, for messages.

    Raises:
        UpstreamError: a value is wrong; names the key, its value and what is expected.
        UnknownName, NotThere: there is no such recipe or file.
    """
    path = _file(name)
    set_by = {change.partition("=")[0]: by for change in changes}
    return check(apply(_settings(path), changes, by), f"{path} with {by}" if changes else str(path), set_by)


def method_of(name: str) -> str:
    """The method that a recipe names. Raises UpstreamError for a file that is no YAML, or where there is no file."""
    return str(_settings(_file(name)).get("method", DEFAULT))


def names() -> list[str]:
    """Recipes that ship with a method."""
    return sorted(methods.shipped("configs"))


def check(settings: dict[str, object], source: str, set_by: Mapping[str, str] = MappingProxyType({})) -> Recipe:
    """The recipe of these settings, which come from `source`. Raises UpstreamError with a line for each fault.

    `set_by`: of keys that an option or a variant set, that option or variant.
    """
    asked = settings.get("method", DEFAULT)
    if not isinstance(asked, str) or asked not in methods.METHODS:
        known = ", ".join(methods.METHODS)
        raise UpstreamError(
            f"{source} is no recipe:\n  method: unknown, expected one of {known}, found {cut(str(asked))!r}"
        )
    try:
        return methods.find(asked).recipe.model_validate(settings)
    except ValidationError as error:
        raise UpstreamError("\n  ".join([f"{source} is no recipe:", *faults(error, set_by=set_by)])) from error


def apply(settings: dict[str, object], changes: Sequence[str], by: str = "--set") -> dict[str, object]:
    """A recipe's settings with "section.key=value" set; `by`: as in `load`."""
    for change in changes:
        name, equals, text = change.partition("=")
        *sections, key = name.split(".")
        if not equals or not all((*sections, key)):
            raise UpstreamError(f"{by} {cut(change)!r}: expected KEY=VALUE, such as loss.alpha=0.1")
        try:
            value = yamlfile.parse(text)
        except yamlfile.NotYaml as error:
            raise UpstreamError(f"{by} {cut(change)!r}: the value is {error}") from None
        settings = _set(settings, sections, key, value, by)
    return settings


def _set(settings: dict[str, object], sections: list[str], key: str, value: object, by: str) -> dict[str, object]:
    if not sections:
        return {**settings, key: value}
    below = settings.get(sections[0]) or {}
    if not isinstance(below, dict):
        raise UpstreamError(f"{by}: {sections[0]} is {cut(repr(below))} and has no keys of its own")
    return {**settings, sections[0]: _set(below, sections[1:], key, value, by)}


def _file(name: str) -> Path:
    return methods.file_of("configs", "pre-training configuration", name)


def _settings(path: Path) -> dict[str, object]:
    try:
        return yamlfile.mapping(path, "sections such as `model:` and `batch:`", may_be_empty=True)
    except yamlfile.NotYaml as error:
        raise UpstreamError(str(error)) from None
