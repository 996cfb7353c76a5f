"""Jobs and outcomes as JSON, in which they travel to other processes and machines.

Every value is plain, so nothing is pickled: dataclasses and models are written with their name and fields, and only
those listed here can be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from cells.jobs import Extract, Extracted, Late, Measure, Outcome, Pretrain, Setting, Train
from commons.errors import EmorepError
from downstreams.reader import Reader
from tasks import Options
from upstreams import Extraction, Identity, Named
from upstreams.inputs.audio import AudioFormat
from upstreams.inputs.text import TextFormat
from upstreams.pretraining.ablation import Ablation

TYPES: dict[str, Callable[..., object]] = {
    one.__name__: one
    for one in (
        Extract, Measure, Late, Train, Pretrain, Ablation, Setting, Outcome, Extracted, Options, Extraction, Identity,
        Named, Reader, AudioFormat, TextFormat,
    )
}  # fmt: skip
CONTAINERS = {"tuple": tuple, "frozenset": frozenset, "list": list}


def write(value: object) -> str:
    """A job, an outcome or several of them as one line of JSON. Raises TypeError for other values."""
    return json.dumps(_plain(value))


def read(text: str) -> object:
    """The value that `write` made a line of. Raises EmorepError: the text is no such line."""
    try:
        return _value(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EmorepError(f"not a job as this version writes it ({error or type(error).__name__})") from error


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return {"Path": str(value)}
    if isinstance(value, Mapping):  # in a dict of its own, so that no key is taken for a name of a type
        return {"dict": {str(key): _plain(one) for key, one in value.items()}}
    for name, kind in CONTAINERS.items():
        if isinstance(value, kind):
            items = sorted(value) if kind is frozenset else value
            return {name: [_plain(one) for one in items]}  # type: ignore[attr-defined]
    name = type(value).__name__
    if TYPES.get(name) is not type(value):
        raise TypeError(f"{name} does not travel")
    names = [field.name for field in fields(value)] if is_dataclass(value) else list(type(value).model_fields)
    return {name: {field: _plain(getattr(value, field)) for field in names}}


def _value(plain: object) -> object:
    if not isinstance(plain, dict):
        return plain
    ((name, content),) = plain.items()
    if name == "Path":
        return Path(content)
    if name == "dict":
        return {key: _value(one) for key, one in content.items()}
    if name in CONTAINERS:
        return CONTAINERS[name](_value(one) for one in content)
    return TYPES[name](**{key: _value(one) for key, one in content.items()})
