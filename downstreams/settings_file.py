"""Settings of the user's own: NAME@FILE.yaml."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from commons.errors import NotThere, Refused, UnknownName, cut
from commons.hashing import of_json
from downstreams.settings import FIXED, PlainSettings, Settings

LARGEST = 65_536  # bytes


@dataclass(frozen=True)
class FromFile:
    """What a settings file makes of a head: `label` is STEM~hash, `settings` are all of the head's."""

    label: str
    settings: PlainSettings


def read(file: str, head: str, own: Settings) -> FromFile:
    """The head's own settings with those of a YAML file in their place.

    The hash is of the settings that the file holds, not of its bytes: a comment or another order changes nothing.

    Raises:
        NotThere: there is no such file.
        UnknownName: it names a setting that the head lacks.
        Refused: it is too large or no mapping of settings, or a value is not allowed. All messages are one line.
    """
    path = Path(file).expanduser()
    names = list(own.plain())
    content = _content(path)
    for key in content:
        if key in FIXED and key in names:
            raise Refused(f"{path}: {key} is a fact of {head} and cannot be set; leave it out")
        if key not in names:
            raise UnknownName(f"setting of {head} in {path}", key, [name for name in names if name not in FIXED])
    try:
        settings = type(own).model_validate(own.plain() | content).plain()
    except ValidationError as error:
        raise Refused(f"{path}: {_reason(error)}") from None
    digest = of_json({key: settings[key] for key in content})[:8]
    stem = re.sub(r"[^\w.+-]+", "-", path.stem)  # what would break a table or a line
    return FromFile(f"{stem}~{digest}", settings)


def _content(path: Path) -> PlainSettings:
    """The mapping that the file holds; its values are not checked."""
    if not path.exists():
        raise NotThere("settings file", path)
    if not path.is_file():
        raise Refused(f"{path} is no file; name one with settings, as in superb@FILE.yaml")
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > LARGEST:
        raise Refused(f"{path}: larger than {LARGEST // 1024} KiB, which no file of settings is")
    try:
        content: object = yaml.load(data, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise Refused(f"{path}: not YAML that can be read as settings ({cut(' '.join(str(error).split()))})") from None
    except RecursionError:
        raise Refused(f"{path}: nested too deeply for a file of settings") from None
    if not isinstance(content, dict):
        raise Refused(f"{path}: must hold settings, one `name: value` a line")
    return {str(key): value for key, value in content.items()}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without aliases (a few of them expand beyond any memory) and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"{cut(name, 50)} is set more than once")
        return super().construct_mapping(node, deep)


# To YAML 1.1, which PyYAML reads, 1e-3 without a point is a text; people mean the number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _reason(error: ValidationError) -> str:
    """The first thing that is wrong: which setting, what is expected and what the file holds."""
    first = error.errors(include_url=False)[0]
    expected = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, first['loc']))}: {expected}; the file holds {cut(repr(first['input']), 60)}"
