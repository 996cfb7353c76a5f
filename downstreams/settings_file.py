"""Settings of the user's own: NAME@FILE.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from commons import yamlfile
from commons.errors import NotThere, Refused, UnknownName
from commons.faults import faults
from commons.hashing import of_json
from downstreams.settings import FIXED, PlainSettings, Settings


@dataclass(frozen=True)
class FromFile:
    """What a settings file makes of a head: `label` is STEM~hash, `settings` are all of the head's."""

    label: str
    settings: PlainSettings


def read(file: str, head: str, own: Settings) -> FromFile:
    """The head's own settings with those of a YAML file in their place, and with the defaults that these imply.

    The hash is of the settings that the file holds, not of its bytes: a comment or another order changes nothing.

    Raises:
        NotThere: there is no such file.
        UnknownName: it names a setting that the head lacks.
        Refused: it is too large or no mapping of settings, or a value is not allowed. All messages are one line.
    """
    if not file:
        raise Refused(f"{head}@: name a file of settings after the @, such as {head}@mine.yaml")
    path = Path(file).expanduser()
    names = [*own.plain(), *(name for name in own.later if name not in own.plain())]
    content = _content(path)
    for key in content:
        if key in FIXED and key in names:
            raise Refused(f"{path}: {key} is a fact of {head} and cannot be set; leave it out")
        if key not in names:
            raise UnknownName(f"setting of {head} in {path}", key, [name for name in names if name not in FIXED])
    try:
        made = type(own).model_validate(own.plain() | own.implied(content) | content)
    except ValidationError as error:
        defaults = {name: "the default of" for name in names if name not in content}
        raise Refused(f"{path}: {faults(error, set_by=defaults)[0]}") from None
    every = made.model_dump(mode="json", by_alias=True)
    digest = of_json({key: every[key] for key in content})[:8]
    stem = re.sub(r"[^\w.+-]+", "-", path.stem)  # what would break a table or a line
    return FromFile(f"{stem}~{digest}", made.plain())


def _content(path: Path) -> dict[str, object]:
    """The mapping that the file holds; its values are not checked."""
    if not path.is_file():
        raise NotThere("settings file", path)
    try:
        return yamlfile.mapping(path, "settings, one `name: value` a line")
    except yamlfile.NotYaml as error:
        raise Refused(str(error)) from None
