"""The report of `python -m tasks check csv:FILE`: what a user's table holds, and whether it can be run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from commons.errors import some
from commons.progress import Progress
from tasks import reading
from tasks.brought import csv_table
from tasks.brought.csv_table import Table
from tasks.copies import audio_check
from tasks.errors import TaskError
from tasks.load_options import Options

NAMED = 20  # at most this many values of a column are named


def report(name: str, options: Options, progress: Progress | None) -> tuple[list[str], bool]:
    """Lines on a table, and whether its task can be run.

    Raises:
        Refused, TaskError: the table is wrong.
    """
    options = options.absolute()
    table = csv_table.understood(name, options)
    contents, bad = None, dict[str, str]()
    if "path" in table.rows:
        contents, bad = audio_check.examine(table.rows, options.cache, options.jobs, progress, options.below)
    lines = list(_counts(table, contents))
    if bad:
        named = reading.bad_audio(bad, table.rows).split("\n")
        return [*lines, f"{len(bad)} audio files cannot be used:", *named], False
    try:
        task = csv_table.load(name, options, progress)
    except TaskError as error:
        hint = ["to leave a class out, use --labels FILE with a line such as other="]
        hint *= bool(table.definition.labels) and "class" in str(error)
        return [*lines, f"cannot be run: {error}", *hint], False
    lines += [f"note     {note}" for note in task.notes if note not in table.notes]
    lines += [f"tests on {_listed((fold.name, fold.test) for fold in task.audit.folds)}"]
    return [*lines, f"marks    {' '.join(task.marks) or 'none'}"], True


def _counts(table: Table, contents: pd.DataFrame | None) -> Iterator[str]:
    rows, wanted = table.rows, table.definition
    yield f"table    {table.asked.file}"
    yield f"task     {wanted.name}: {wanted.target}, {_split(table)}"
    length = "text only" if contents is None else f"{contents['duration'].sum() / 3600:.2f} h"
    voices = rows["speaker"].nunique() if "speaker" in rows else 0
    who = f"{voices} speaker{'s' * (voices != 1)}" if voices else "speakers unknown"
    yield f"found    {len(rows)} utterances, {who}, {length}"
    if wanted.labels:
        sizes = rows[wanted.target].value_counts().to_dict()
        classes = {name: sum(sizes.get(label, 0) for label in labels) for name, labels in wanted.labels.items()}
        yield f"classes  {_listed(classes.items())}"
    else:
        values = rows[wanted.target]
        yield f"values   {values.count()} from {values.min():g} to {values.max():g}, mean {values.mean():.2f}"
    for column in ("speaker", "partition", "fold", "gender", "language"):
        if column in rows:
            yield f"{column:<8} {_listed(rows[column].value_counts().sort_index().items())}"
    yield f"columns  {' '.join(rows.columns)}"
    if contents is not None:
        yield f"rates    {', '.join(f'{rate} Hz {count}' for rate, count in contents['rate'].value_counts().items())}"
    for note in table.notes:
        yield f"note     {note}"


def _split(table: Table) -> str:
    rule = table.definition.folds
    return {"partition": "its own parts", "fold": "its own folds"}.get(
        rule.by, f"{rule.k} groups of speakers" if rule.k else "one speaker left out"
    )


def _listed(sizes: Iterable[tuple[object, int]]) -> str:
    named = [f"{name} {count}" for name, count in sizes]
    return some(named, NAMED)
