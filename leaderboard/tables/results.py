"""What a table says: a block for every task and head, for any way to print it."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field

from commons.corridors.record import REFERENCE, Record, Score
from commons.marks import explain
from commons.metrics import METRICS
from leaderboard import published
from leaderboard.records.comparable import aspect, groups, order
from leaderboard.records.labels import shown as called

NONE = "–"


@dataclass(frozen=True)
class Row:
    """One upstream in a table; a reference is a floor to compare with, not a competitor."""

    cells: dict[str, str]
    reference: bool = False


@dataclass(frozen=True)
class Block:
    """A table with what is said above and below it.

    `narrower`: what to do, in this order, where a terminal is too narrow: (column, what takes its place or None).
    """

    title: str
    facts: list[str]
    columns: list[str]
    rows: list[Row]
    narrower: list[tuple[str, str | None]] = field(default_factory=list)
    published: list[tuple[str, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def blocks(records: Sequence[Record]) -> list[Block]:
    """A block for every task and head, and for every head of several tasks one that puts them side by side."""
    letters = _letters(records)
    found: list[Block] = []
    parts = list(groups(records))
    names = [(measured[0].cell.task, measured[0].cell.downstream) for measured, _ in parts]
    for (measured, references), name in zip(parts, names, strict=True):
        found.append(_block(measured, references, letters, several=names.count(name) > 1))
    kinds: dict[tuple[str, str, str], list[tuple[list[Record], list[Record]]]] = {}
    for measured, references in parts:
        kind = (measured[0].cell.downstream, measured[0].task.headline, aspect(measured[0].task))
        kinds.setdefault(kind, []).append((measured, references))
    for (head, metric, about), mine in kinds.items():
        if head != REFERENCE and len({measured[0].cell.task for measured, _ in mine}) > 1:
            found.append(_side_by_side(head, metric, about, mine, letters))
    return found


def _block(measured: list[Record], references: list[Record], letters: dict[str, str], *, several: bool) -> Block:
    task = measured[0].task
    shown = [task.headline, *(m for m in task.metrics if m != task.headline)]
    everyone = [*measured, *references]
    common = set.intersection(*(set(_marks(r)) for r in measured))
    last, beside = f"last layer {task.headline}", f"published {task.headline}"
    widths = {m: max(len(figure(r.scores.metrics[m].value, m)) for r in everyone) for m in shown}

    rows = []
    for record in everyone:
        cells = {"upstream": plain(called(record)), "layer": _layer(record)}
        for metric in shown:
            score = record.scores.metrics[metric]
            value = figure(score.value, metric).rjust(widths[metric])
            cells[metric] = value + interval(score, metric)
            cells[f"{metric} "] = value
        cells[last] = figure((record.scores.last_layer or {}).get(task.headline), task.headline)
        cells[beside] = _beside(record)
        cells["marks"] = " ".join(letters[m] for m in _marks(record) if m not in common and m in letters)
        rows.append(Row(cells, record.cell.downstream == REFERENCE))

    wanted = ["upstream", "layer", *shown, last, beside, "marks"]
    # What references alone have (a last layer, where the head chooses none) is no column.
    heads = [row for row in rows if not row.reference] or rows
    columns = [c for c in wanted if c in ("upstream", *shown) or any(row.cells[c] not in ("", NONE) for row in heads)]
    return Block(
        title=plain(f"{task.name} · {measured[0].cell.downstream}"),
        facts=_facts(measured[0], several=several),
        columns=columns,
        rows=rows,
        # Published figures are listed by --published as well, so nothing is lost with them.
        narrower=[
            *((m, f"{m} ") for m in reversed(shown[1:])),
            (beside, None),
            *((f"{m} ", None) for m in reversed(shown[1:])),
            ("layer", None),
        ],
        published=_published(measured) if measured[0].cell.downstream != REFERENCE else [],
        notes=[*_mark_lines(everyone, common, letters), *map(plain, task.notes)],
    )


def _facts(record: Record, *, several: bool) -> list[str]:
    task, counts = record.task, record.scores.counts
    sizes = [plural(counts.n, "utterance")]
    sizes.append(plural(counts.speakers, "speaker") if counts.speakers else "speakers unknown")
    sizes += [plural(counts.folds, "fold")] + ([plural(counts.seeds, "seed")] if counts.seeds > 1 else [])
    lines = [plain(f"{task.title} ({task.language}): {', '.join(sizes)}")]
    if task.classes:
        chance = figure(100 / len(task.classes), "UA")
        lines.append(plain(f"{len(task.classes)} classes: {', '.join(task.classes)}; chance UA {chance}"))
    lines.append(f"[95 % interval] over {plural(counts.groups, task.group_by)}; {METRICS[task.headline].reads}")
    if several:
        lines.append(plain(f"version {task.version}, audit {task.audit[:8]}; other folds or utterances stand apart"))
    if record.cell.limit is not None:
        lines.append(f"SMOKE RUN: {record.cell.limit} utterances only, no result")
    if "synthetic" in record.marks:
        lines.append("SYNTHETIC speech: this shows that the program works, and nothing about emotion")
    return lines


def plural(n: int, noun: str) -> str:
    """`1 fold`, `2 folds`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _side_by_side(
    head: str, metric: str, about: str, parts: list[tuple[list[Record], list[Record]]], letters: dict[str, str]
) -> Block:
    """Upstreams down, tasks across; those measured on most tasks first, and of these the best on average."""
    cells: dict[tuple[str, bool], dict[str, str]] = {}
    values: dict[tuple[str, bool], list[float]] = {}
    columns, notes = ["upstream"], []
    for measured, references in parts:
        task = measured[0].task
        column = plain(task.name)
        if column in columns:
            column = f"{column} {plain(task.audit[:6])}"
        columns.append(column)
        common = set.intersection(*(set(_marks(r)) for r in measured))
        if common:
            notes.append(plain(f"{column}: {', '.join(sorted(common))}"))
        for record in (*measured, *references):
            row = (record.cell.upstream, record.cell.downstream == REFERENCE)
            own = [letters[m] for m in _marks(record) if m not in common and m in letters]
            text = " ".join([figure(record.scores.metrics[metric].value, metric), *own])
            cells.setdefault(row, {"upstream": plain(called(record))})[column] = text
            values.setdefault(row, []).append(order(record)[1])

    def place(row: tuple[str, bool]) -> tuple[bool, int, float]:
        return row[1], -len(values[row]), sum(values[row]) / len(values[row])

    used = {m for measured, refs in parts for r in (*measured, *refs) for m in _marks(r) if m in letters}
    return Block(
        title=plain(" · ".join(filter(None, ("all tasks", about, head)))),
        facts=[f"{metric}, pooled over folds; intervals stand in the tables above"],
        columns=columns,
        rows=[Row({c: cells[row].get(c, NONE) for c in columns}, row[1]) for row in sorted(cells, key=place)],
        notes=[*notes, *(plain(f"{letters[m]} = {m}: {explain(m)}") for m in sorted(used))],
    )


def figure(value: float | None, metric: str) -> str:
    """A value of a metric as tables show it."""
    return METRICS[metric].shown(value)


def interval(score: Score, metric: str) -> str:
    """` [low, high]`, or nothing where there is no interval."""
    if score.low is None and score.high is None:
        return ""
    return f" [{figure(score.low, metric)}, {figure(score.high, metric)}]"


def _layer(record: Record) -> str:
    """The layer most folds chose, of those there are; none where there was no choice."""
    depth = record.upstream.depth or 1
    return NONE if record.chosen.layer is None or depth == 1 else f"{record.chosen.layer}/{depth - 1}"


def _marks(record: Record) -> list[str]:
    return [mark for mark in record.marks if mark != REFERENCE]


def _letters(records: Sequence[Record]) -> dict[str, str]:
    """A letter for every mark that some rows of a table have and others lack."""
    loose: set[str] = set()
    for measured, references in groups(records):
        common = set.intersection(*(set(_marks(r)) for r in measured))
        loose |= {m for r in (*measured, *references) for m in _marks(r)} - common
    alphabet = string.ascii_lowercase
    return {mark: alphabet[i % 26] * (i // 26 + 1) for i, mark in enumerate(sorted(loose))}


def _mark_lines(everyone: list[Record], common: set[str], letters: dict[str, str]) -> list[str]:
    loose = {m for record in everyone for m in _marks(record)} - common
    lines = [f"{m}: {explain(m)}" for m in sorted(common)]
    return [plain(line) for line in (*lines, *(f"{letters[m]} = {m}: {explain(m)}" for m in sorted(loose)))]


def _beside(record: Record) -> str:
    """Published figures of this upstream with this protocol; the head is named where it is another one, and what the
    published model had seen of the corpus."""
    texts = []
    for p in published.own(record):
        if p.matches and p.metric == record.task.headline:
            head = plain(p.head) if p.head and p.head != record.cell.downstream else ""
            said = ", ".join(filter(None, (head, published.contaminated(p, record.task))))
            texts.append(figure(p.value, p.metric) + (f" ({said})" if said else ""))
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
        said = [source, "other protocol" if differs else "same protocol"]
        said += [f"head {head}"] * bool(head) + [difference or ""] * bool(difference)
        lines.append((plain(f"published {metric}: {', '.join(figures[metric])} ({'; '.join(said)})"), not differs))
    return lines


def plain(text: str) -> str:
    """One line without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in re.sub(r"\s+", " ", text).strip())
