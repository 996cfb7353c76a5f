"""What differs between two records of a cell, or between two sections of records."""

from __future__ import annotations

from commons.corridors.record import Record, Section


def same(before: Record, after: Record) -> list[str]:
    """A line for every difference of two records of a cell in scores, choices and predictions."""
    lines: list[str] = []
    _add("scores", before.scores.model_dump(), after.scores.model_dump(), 0.0, lines)
    _add("chosen", before.chosen.model_dump(), after.chosen.model_dump(), 0.0, lines)
    old, new = before.files.predictions, after.files.predictions
    if old.sha256 != new.sha256:
        lines.append(f"predictions: sha256 {old.sha256[:12]} before, {new.sha256[:12]} now")
    first, second = ({name: own.model_dump() for name, own in one.further.items()} for one in (before, after))
    _add("further", first, second, 0.0, lines)
    return lines


def differences(name: str, before: Section, after: Section) -> list[str]:
    """What differs between two sections of a record, beyond the last digits, which libraries round differently."""
    lines: list[str] = []
    _add(name, before.model_dump(), after.model_dump(), 1e-7, lines)
    return lines


def _add(name: str, before: object, after: object, tolerance: float, lines: list[str]) -> None:
    """Append to `lines` a line for every leaf that differs by more than `tolerance` (relative, and near 0 absolute)."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            _add(f"{name}.{key}", before.get(key), after.get(key), tolerance, lines)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            _add(f"{name}.{index}", *pair, tolerance, lines)
    elif isinstance(before, float) and isinstance(after, float):
        if abs(before - after) > tolerance * max(1.0, abs(before)):
            lines.append(f"{name}: {before:.6g} before, {after:.6g} now")
    elif before != after:
        lines.append(f"{name}: {before} before, {after} now")
