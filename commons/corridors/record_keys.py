"""Every key of a record with its explanation, for `python -m leaderboard schema`."""

from __future__ import annotations

from typing import get_args, get_origin

from pydantic import BaseModel

from commons.corridors.record import Record


def keys(model: type[BaseModel] = Record, prefix: str = "") -> list[tuple[str, str]]:
    """Every key of the record, with dots (`scores.metrics.*.low`), and its explanation."""
    explained: list[tuple[str, str]] = []
    for name, field in model.model_fields.items():
        key = prefix + name
        explained.append((key, field.description or ""))
        inner, star = _section(field.annotation)
        if inner:
            explained += keys(inner, key + (".*." if star else "."))
    return explained


def _section(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The section in a type, None where there is none; and whether it is in a list or dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    holds_many = get_origin(annotation) in (list, dict)
    for part in get_args(annotation):
        inner, star = _section(part)
        if inner:
            return inner, star or holds_many
    return None, False
