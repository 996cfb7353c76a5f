"""Recipes: YAML files, checked by the recipe of their method. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from commons import yamlfile
from commons.errors import UnknownName, cut
from commons.faults import faults
from upstreams.errors import UpstreamError
from upstreams.pretraining import method as methods
from upstreams.pretraining.recipe_sections import DEFAULT, Recipe


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a YAML file, or of a name of those that ship; `changes`: "section.key=value", values as in YAML.

    Raises UpstreamError with the key, its value and what is expected.
    """
    path = _file(name)
    return check(apply(_settings(path), changes), str(path))


def method_of(name: str) -> str:
    """The method that a recipe names. Raises UpstreamError for a file that is no YAML, or where there is no file."""
    return str(_settings(_file(name)).get("method", DEFAULT))


def names() -> list[str]:
    """Recipes that ship with a method."""
    return sorted(methods.shipped("configs"))


def check(settings: dict[str, object], source: str) -> Recipe:
    """The recipe of these settings, which come from `source`. Raises UpstreamError with a line for each fault."""
    asked = settings.get("method", DEFAULT)
    if not isinstance(asked, str) or asked not in methods.METHODS:
        known = ", ".join(methods.METHODS)
        raise UpstreamError(
            f"{source} is no recipe:\n  method: unknown, expected one of {known}, found {cut(str(asked))!r}"
        )
    try:
        return methods.find(asked).recipe.model_validate(settings)
    except ValidationError as error:
        raise UpstreamError("\n  ".join([f"{source} is no recipe:", *faults(error)])) from error


def apply(settings: dict[str, object], changes: Sequence[str]) -> dict[str, object]:
    """A recipe's settings with "section.key=value" set."""
    for change in changes:
        name, equals, text = change.partition("=")
        *sections, key = name.split(".")
        if not equals or not all((*sections, key)):
            raise UpstreamError(f"--set {cut(change)!r}: expected KEY=VALUE, such as loss.alpha=0.1")
        try:
            value = yamlfile.parse(text)
        except yamlfile.NotYaml as error:
            raise UpstreamError(f"--set {cut(change)!r}: the value is {error}") from None
        settings = _set(settings, sections, key, value)
    return settings


def _set(settings: dict[str, object], sections: list[str], key: str, value: object) -> dict[str, object]:
    if not sections:
        return {**settings, key: value}
    below = settings.get(sections[0]) or {}
    if not isinstance(below, dict):
        raise UpstreamError(f"--set: {sections[0]} is {cut(repr(below))} and has no keys of its own")
    return {**settings, sections[0]: _set(below, sections[1:], key, value)}


def _file(name: str) -> Path:
    """The file of a recipe, by its path or its name."""
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = methods.shipped("configs").get(name, path)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise UnknownName("pre-training configuration", name, [*names(), "a YAML file"])
    return path


def _settings(path: Path) -> dict[str, object]:
    try:
        return yamlfile.mapping(path, "sections such as `model:` and `batch:`", may_be_empty=True)
    except yamlfile.NotYaml as error:
        raise UpstreamError(str(error)) from None
