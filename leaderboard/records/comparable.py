"""Which records may be compared: those that answer the same question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from commons.corridors.record import FLOORS, REFERENCE, Record, Task
from commons.metrics import METRICS

Question = tuple[object, ...]
UTTERANCE = "utterance"  # the unit of resampling of tasks without a larger one


def question(record: Record) -> Question:
    """What was asked: the task, its version, the audit of its ids, targets, folds and audio, and a smoke run's size."""
    return record.task.name, record.task.version, record.task.audit, record.cell.limit


def aspect(task: Task) -> str:
    """What a task asks, as `gender`, `shots 4`, `labels anger+sadness`, `intensity`; empty where it asks for emotion.

    Only figures of one aspect are averaged.
    """
    return task.aspect or ""


def unit(record: Record) -> str:
    """What the intervals of a record leave out one at a time: `speaker`, or `utterance block` where it has many."""
    task, counts = record.task, record.scores.counts
    return "utterance block" if task.group_by == UTTERANCE and counts.groups < counts.n else task.group_by


def called_class(task: Task) -> str:
    """What people call the classes of a task: `emotion`, or `class` where a derived task asks for something else."""
    return "class" if aspect(task) else "emotion"


def groups(records: Sequence[Record]) -> Iterator[tuple[list[Record], list[Record]]]:
    """(measured, references) of every question and head, by task, then head, each best first.

    Systems whose upstream stayed frozen and systems that trained it are never in one group.

    References of a question that no upstream answered come alone, in the place of the measured records.
    """
    references: dict[Question, list[Record]] = {}
    measured: dict[Question, list[Record]] = {}
    for record in records:
        if record.cell.downstream == REFERENCE:
            references.setdefault(question(record), []).append(record)
        else:
            system = record.cell.downstream, record.downstream.trained
            measured.setdefault((*question(record), system), []).append(record)
    answered = {key[:-1] for key in measured}
    parts = [(group, references.get(key[:-1], [])) for key, group in measured.items()]
    parts += [(group, []) for asked, group in references.items() if asked not in answered]
    for group, floors in sorted(parts, key=lambda part: (part[0][0].cell.task, part[0][0].cell.downstream)):
        yield sorted(group, key=order), sorted(floors, key=order)


def is_floor(record: Record) -> bool:
    """Whether tables show a record among the reference rows."""
    return record.cell.downstream == REFERENCE or record.cell.upstream in FLOORS


def guesses(task: Task) -> tuple[float, float]:
    """The least and greatest UA that guessing gives: of joined corpora, by the number of classes of each."""
    counts = {len(own) for own in task.corpora.values()} or {len(task.classes)}
    return 100 / max(counts), 100 / min(counts)


def order(record: Record) -> tuple[bool, float, str]:
    """A key that sorts records of one question, best first by the task's headline; undefined figures come last."""
    value = record.scores.metrics[record.task.headline].value
    sign = -1 if METRICS[record.task.headline].higher_is_better else 1
    return value is None, sign * (value or 0.0), record.cell.upstream
