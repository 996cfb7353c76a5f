"""The tables that a run ends with: one for every task and head, and all tasks of a head side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from commons.corridors.record import REFERENCE, Record
from commons.marks import explain
from commons.metrics import METRICS
from leaderboard import published
from leaderboard.records.comparable import groups, is_floor, question, unit
from leaderboard.records.display_names import given, inputs, shown
from leaderboard.records.random_weights import averaged, draws_of
from leaderboard.tables.model import Cell, Table, figure, lettered
from leaderboard.tables.views import (
    by_kind,
    by_task,
    chance,
    common_marks,
    further_cells,
    marks_of,
    of_record,
    row_of,
)
from leaderboard.text import NONE, plural


def tables(records: Sequence[Record]) -> list[Table]:
    """A table for every task and head, and for every head of several tasks one that puts them side by side."""
    records = averaged(records)
    lettering = _lettering(records)
    parts = list(groups(records))
    cells = [(measured[0].cell.task, measured[0].cell.downstream) for measured, _ in parts]
    asked = Counter(cell for cell, _ in {(cell, question(own[0])) for cell, (own, _) in zip(cells, parts, strict=True)})
    made = [
        _of_task(measured, references, lettering, several=asked[cell] > 1)
        for (measured, references), cell in zip(parts, cells, strict=True)
    ]
    for kind, own in by_kind(records).items():
        if len({measured[0].cell.task for measured, _ in own}) > 1:
            made.append(_side_by_side(by_task(*kind, own), kind[1], lettering))
    return made


def _of_task(measured: list[Record], references: list[Record], lettering: dict[str, str], *, several: bool) -> Table:
    """Upstreams by the metrics of a task; `several`: other versions of the task have tables, too.

    What an upstream read is a column where some read text.
    """
    task, head = measured[0].task, measured[0].cell.downstream
    metrics = [task.headline, *(m for m in task.metrics if m != task.headline)]
    everyone = sorted([*measured, *references], key=is_floor)
    common = common_marks(measured)
    several_seeds = any(r.scores.counts.seeds > 1 and not draws_of(r) for r in measured)
    last = f"last layer {task.headline}" + (", first seed" if several_seeds else "")  # as records have it
    beside = f"published {task.headline}"
    cells: dict[tuple[str, str], Cell] = {}
    of_text = bool(inputs(measured))
    for record in everyone:
        own = {"input": Cell(text=given(record) if of_text else "")}
        own |= {"layer": Cell(text=_layer(record)), beside: Cell(text=_beside(record))}
        own["trained"] = Cell(text=_trained(record))
        own |= {metric: of_record(record, metric) for metric in metrics}
        own |= further_cells(record)
        own[last] = Cell((record.scores.last_layer or {}).get(task.headline), metric=task.headline)
        letters = [lettering[m] for m in marks_of(record) if m not in common and m in lettering]
        own["marks"] = Cell(text=" ".join(letters))
        cells |= {(row_of(record), column): cell for column, cell in own.items()}
    # What references alone have (a last layer, where the head chooses none) is no column.
    heads = [row_of(r) for r in everyone if r.cell.downstream != REFERENCE] or [row_of(r) for r in everyone]
    filled = {column for (row, column), cell in cells.items() if row in heads and cell.shown not in ("", NONE)}
    loose = {mark for record in everyone for mark in marks_of(record)} - common
    filled |= {"marks"} if loose else set()  # a letter of a reference needs its column, too
    further = list(dict.fromkeys(column for record in measured for column in further_cells(record)))
    columns = ("input", "layer", "trained", *metrics, *further, last, beside, "marks")
    return Table(
        title=f"{task.name} · {head}",
        interpretation=measured[0].downstream.interpretation,
        facts=_facts(measured[0], several=several),
        rows=[row_of(record) for record in everyone],
        columns=[c for c in columns if c in metrics or c in filled],
        cells=cells,
        references=frozenset(row_of(r) for r in everyone if is_floor(r)),
        notes=[
            *(f"{mark}: {explain(mark)}" for mark in sorted(common)),
            *(f"{lettering[mark]} = {mark}: {explain(mark)}" for mark in sorted(loose)),
            *task.notes,
        ],
        names={row_of(record): shown(record) for record in everyone},
        published=_published(measured) if head != REFERENCE else [],
        narrower=_narrower(metrics, further, beside),
    )


def _narrower(metrics: list[str], further: list[str], beside: str) -> list[tuple[str, str]]:
    """What is left out, in this order, where a terminal is too narrow."""
    return [
        *((column, "interval") for column in reversed(further)),
        *((metric, "interval") for metric in reversed(metrics[1:])),
        (beside, "column"),  # published figures are listed by --published as well, so nothing is lost with them
        *((metric, "column") for metric in reversed(metrics[1:])),
        *((column, "column") for column in reversed(further)),
        ("layer", "column"),
        ("trained", "column"),
    ]


def _side_by_side(table: Table, metric: str, lettering: dict[str, str]) -> Table:
    """The tasks of a head without intervals, with the letters of the tables above."""
    cells = {place: replace(cell, low=None, high=None) for place, cell in table.cells.items()}
    facts = [f"{metric}, pooled over folds; intervals stand in the tables above"]
    return replace(table, facts=facts, cells=cells, lettering=lettering)


def _facts(record: Record, *, several: bool) -> list[str]:
    """What was tested, by how many, and how the figures are to be read."""
    task, counts = record.task, record.scores.counts
    sizes = [plural(counts.n, "utterance")]
    sizes.append(plural(counts.speakers, "speaker") if counts.speakers else "speakers unknown")
    sizes += [plural(counts.folds, "fold")] + ([plural(counts.seeds, "seed")] if counts.seeds > 1 else [])
    lines = [f"{task.title} ({task.language}): {', '.join(sizes)}"]
    if task.classes:
        lines.append(f"{len(task.classes)} classes: {', '.join(task.classes)}; {chance(task)}")
    lines.append(f"[95 % interval] over {plural(counts.groups, unit(record))}; {METRICS[task.headline].reads}")
    if several:
        version = f"version {task.version}, audit {task.audit[:8]}"
        lines.append(f"{version}; results on other folds or utterances have their own tables")
    if record.cell.limit is not None:
        lines.append(f"SMOKE RUN: {record.cell.limit} utterances only, no result")
    if "synthetic" in record.marks:
        lines.append("SYNTHETIC speech: this shows that the program works, and nothing about emotion")
    return lines


def _trained(record: Record) -> str:
    """What of the upstream was trained, how many values with the head, and how long; a dash where it stayed frozen."""
    own = record.downstream
    if own.trained is None:
        return NONE
    amounts = [f"{own.trainable / 1e6:.1f} M"] if own.trainable is not None else []
    amounts += [f"{own.hours:.1f} h"] if own.hours is not None else []
    return ", ".join([own.trained, *amounts])


def _layer(record: Record) -> str:
    """The layer that most folds chose, of the last one's number; a dash where there was no choice."""
    depth = record.upstream.depth or 1
    return NONE if record.chosen.layer is None or depth == 1 else f"{record.chosen.layer}/{depth - 1}"


def _lettering(records: Sequence[Record]) -> dict[str, str]:
    """A letter for every mark that some rows of a table have and others lack."""
    loose: set[str] = set()
    for measured, references in groups(records):
        loose |= {m for r in (*measured, *references) for m in marks_of(r)} - common_marks(measured)
    return lettered(dict.fromkeys(sorted(loose)))


def _beside(record: Record) -> str:
    """Published figures of this upstream with this protocol; the head is named where it is another one, and what the
    published model had seen of the corpus."""
    texts = []
    for p in published.own(record):
        if p.matches and p.metric == record.task.headline:
            head = p.head if p.head and p.head != record.cell.downstream else ""
            details = ", ".join(filter(None, (head, published.contaminated(p, record.task))))
            texts.append(figure(p.value, p.metric) + (f" ({details})" if details else ""))
    return ", ".join(texts)


def _published(measured: list[Record]) -> list[tuple[str, bool]]:
    """A line for every source of published figures, and whether its protocol is the task's.

    Of a source's metrics the line shows the task's headline; where it lacks that one, its first.
    """
    task = measured[0].task
    sources: dict[tuple[bool, str, str | None, str | None], dict[str, list[str]]] = {}
    for p in sorted(task.published, key=lambda p: not p.matches):
        value = figure(p.value, p.metric) if p.metric in METRICS else f"{p.value:g}"
        figures = sources.setdefault((not p.matches, p.source, p.head, p.difference), {})
        warned = published.contaminated(p, task)
        figures.setdefault(p.metric, []).append(f"{published.called(p)} {value}" + (f" ({warned})" if warned else ""))
    lines = []
    for (differs, source, head, difference), figures in sources.items():
        metric = task.headline if task.headline in figures else next(iter(figures))
        details = [source, "other protocol" if differs else "same protocol"]
        details += [f"head {head}"] * bool(head) + [difference or ""] * bool(difference)
        lines.append((f"published {metric}: {', '.join(figures[metric])} ({'; '.join(details)})", not differs))
    return lines
