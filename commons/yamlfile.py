"""Reads YAML files that people write: definitions, recipes, ablations, suites, settings. Size and depth are limited.

Values are mappings, lists, text, numbers, true, false and null. Aliases are refused, for a few of them can expand
beyond any memory; dates are text; a key may occur once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from commons.errors import EmorepError, cut

LARGEST = 65_536  # bytes
DEEPEST = 50  # levels of mappings and lists
LARGEST_NUMBER = 10**30  # the largest absolute value of whole numbers


class NotYaml(EmorepError):
    """A file or text cannot be read as YAML; the message is one line, and names the file if there is one."""


def mapping(path: Path, holds: str, *, may_be_empty: bool = False) -> dict[str, object]:
    """The mapping that a YAML file holds.

    Args:
        holds: what the file should hold, for messages: "settings, one `name: value` a line".
        may_be_empty: a file without content is an empty mapping.

    Raises:
        NotYaml: the file cannot be read, is too large, or holds no mapping.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise NotYaml(f"{path}: cannot be read ({error.strerror})") from None
    try:
        content = parse(data)
    except NotYaml as error:
        raise NotYaml(f"{path}: {error}") from None
    if content is None and may_be_empty:
        return {}
    if not isinstance(content, dict):
        raise NotYaml(f"{path}: must hold {holds}")
    return {str(key): value for key, value in content.items()}


def parse(data: bytes | str) -> object:
    """The value of a YAML text. Raises NotYaml: it is no YAML, too large, nested too deeply, or has aliases."""
    if len(data) > LARGEST:
        raise NotYaml(f"larger than {LARGEST // 1024} KiB, the largest size allowed")
    try:
        _check_shape(data)
        content: object = yaml.load(data, _Loader)
    except _TooDeep:
        raise NotYaml(f"nested too deeply; at most {DEEPEST} levels are allowed") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise NotYaml(f"not YAML ({cut(' '.join(str(error).split()))})") from None
    return content


class _TooDeep(Exception):
    pass


# libyaml's loader is about ten times as fast, where PyYAML was built with it.
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _check_shape(data: bytes | str) -> None:
    """Raise _TooDeep or YAMLError for deep nesting and for aliases, before any value is built."""
    depth = 0
    for event in yaml.parse(data, _Base):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _TooDeep


class _Loader(_Base):  # type: ignore[misc, valid-type]
    """YAML's safe loader for plain values; repeated keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    raise yaml.YAMLError(f"{cut(key.value, 50)} is set more than once")
                names.add(key.value)
        made: dict[Hashable, object] = super().construct_mapping(node, deep)
        return made

    def number(self, node: yaml.ScalarNode) -> int | str:
        if ":" in node.value:  # a number to base 60 in YAML 1.1: here a time, as Slurm writes it
            return str(node.value)
        if len(node.value) > 100 or abs(value := self.construct_yaml_int(node)) > LARGEST_NUMBER:
            raise yaml.YAMLError(f"the number {cut(node.value, 30)} is too large")
        return value

    def fraction(self, node: yaml.ScalarNode) -> float | str:
        made: float | str = str(node.value) if ":" in node.value else self.construct_yaml_float(node)
        return made


_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_TAG = "tag:yaml.org,2002:"
_Loader.yaml_constructors = {f"{_TAG}{name}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{name}"] for name in _PLAIN} | {
    None: yaml.SafeLoader.construct_undefined
}
_Loader.add_constructor(f"{_TAG}int", _Loader.number)
_Loader.add_constructor(f"{_TAG}float", _Loader.fraction)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in several if tag != f"{_TAG}timestamp"]
    for first, several in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# In YAML 1.1, which PyYAML reads, 1e-3 without a point is a text; here it is a number.
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))
