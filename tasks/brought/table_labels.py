"""The classes of a user's table: spellings of one word are one class, and a user may map labels to classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from commons.corridors.utterances import COLUMNS
from tasks import sheets, spellings
from tasks.brought import headings
from tasks.definition import VALUES
from tasks.errors import TaskError
from tasks.load_options import absolute

FEW = 5  # labels that a note names


@dataclass(frozen=True)
class Labels:
    """The classes of a task.

    Attributes:
        classes: class -> its labels, as `Definition.labels`; empty where values are asked for.
        drop: labels that the user leaves out.
        notes: lines on labels that were mapped.
    """

    classes: dict[str, tuple[str, ...]]
    drop: tuple[str, ...]
    notes: list[str]


def of_file(file: Path | None) -> dict[str, str]:
    """Written label -> class, from a file with lines such as `Angry=anger`; empty without a file.

    Raises:
        TaskError: the file cannot be read, or a line maps no label.
    """
    if file is None:
        return {}
    return headings.mapping_of(str(file), sheets.text(absolute(file)).split("\n"))


def understood(file: Path, column: str, rows: pd.DataFrame, mapped: Mapping[str, str]) -> Labels:
    """The classes of a column.

    In `emotion` and in unknown columns, spellings of one word are one class. In other known columns, such as speakers,
    every value is a class.

    Args:
        mapped: written label -> class, empty for a label to leave out; labels are compared by `spellings.plain`.

    Raises:
        TaskError: the column has fewer than two classes.
    """
    if column in VALUES:
        return Labels({}, (), [])
    written = sorted(rows[column].dropna().unique())
    if column != "emotion" and column in COLUMNS:
        return _several(file, column, Labels({label: (label,) for label in written}, (), []))
    exact = {spellings.plain(label): name for label, name in mapped.items()} | dict(mapped)
    to = {label: exact.get(label, exact.get(spellings.plain(label))) for label in written}
    classes: dict[str, list[str]] = {}
    for label, name in to.items():
        if name:
            classes.setdefault(name, []).append(label)
    named = {spellings.noun(name): name for name in classes}
    for name, labels in spellings.classes(label for label, name in to.items() if name is None).items():
        classes.setdefault(named.get(spellings.noun(name), name), []).extend(labels)
    drop = tuple(label for label, name in to.items() if name == "")
    notes = [f"label {label} is {name}" for label, name in to.items() if name and name != label]
    notes += [f"labels left out, as the user asks: {', '.join(drop)}"] * bool(drop)
    plain = {spellings.plain(label) for label in written}
    strange = [label for label in mapped if spellings.plain(label) not in plain]
    notes += [f"labels are mapped that no row has: {', '.join(strange)}"] * bool(strange)
    if written and all(spellings.number(label) is not None for label in written):
        some = ", ".join([*written[:FEW], *["..."] * (len(written) > FEW)])
        notes.append(
            f"column {column} holds numbers ({some}), and each is a class; to ask for values, rename the column to "
            f"{', '.join(VALUES[:-1])} or {VALUES[-1]}"
        )
    made = {name: tuple(sorted(classes[name])) for name in sorted(classes)}
    return _several(file, column, Labels(made, drop, notes))


def _several(file: Path, column: str, labels: Labels) -> Labels:
    if len(labels.classes) < 2:
        one = f"one class only ({', '.join(labels.classes)})" if labels.classes else "no class"
        raise TaskError(f"{file}: column {column} has {one}; a task needs two or more")
    return labels
