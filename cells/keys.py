"""The key of a cell: a hash of all that decides its figures and their marks. A cell is done when its record has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons import hashing
from commons.marks import OF_AUDIO

if TYPE_CHECKING:
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity

Facts = dict[str, object]


def key(task: Task, upstream: Identity | None, reference: str, reader: Reader, skip_bad: bool) -> str:
    """The key of a cell: of an upstream, or of a reference row where `upstream` is None.

    The fingerprint says what an upstream's weights are, so where they came from and what tables call them is not in it.
    Of the utterances it holds what the upstream's modality reads.
    """
    answers: Facts = {"name": reference} if upstream is None else _answers(upstream)
    return _hash(task, upstream, answers, reader, skip_bad)


def former_key(
    task: Task, upstream: Identity | None, reference: str, reader: Reader, skip_bad: bool, title: str
) -> str:
    """The key of the same cell under the formula of before there was cells/: `title` of the upstream was in it.

    It takes the title that stands in the record, so that a reworded title changes nothing.
    """
    answers: Facts = {"name": reference} if upstream is None else _answers(upstream)
    return _hash(task, upstream, answers | {"title": title}, reader, skip_bad)


def _answers(upstream: Identity) -> Facts:
    facts = ("fingerprint", "depth", "width", "seen")
    return {"name": upstream.named.record_name} | {fact: getattr(upstream, fact) for fact in facts}


def _hash(task: Task, upstream: Identity | None, answers: Facts, reader: Reader, skip_bad: bool) -> str:
    modality = "audio" if upstream is None else upstream.modality
    text = modality == "text"  # what concerns the audio alone decides nothing then
    # Published figures and titles only stand beside what was measured; further targets count where they are trained on.
    definition = task.definition.model_dump(mode="json", exclude={"published", "title", "counts", "also"})
    decides: Facts = {
        "upstream": answers,
        "task": definition,
        "audit": task.audit.reads(modality),
        "marks": [mark for mark in task.marks if not (text and mark.partition(":")[0] in OF_AUDIO)],
        "downstream": reader.settings,
        "precision": "fp32" if upstream is None else upstream.precision,
        "skip_bad": skip_bad and not text,
    }
    if reader.further:
        decides["also"] = task.audit.also_hash
    return hashing.of_json(decides)
