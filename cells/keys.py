"""The key of a cell: a hash of all that decides its figures and their marks. A cell is done when its record has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from commons import hashing

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
    answers = {"name": reference} if upstream is None else _answers(upstream)
    return _hash(task, upstream, answers, reader, skip_bad)


def former_keys(task: Task, upstream: Identity | None, reference: str, reader: Reader, skip_bad: bool) -> tuple[str]:
    """Keys of the same cell under earlier formulas: records that have one of them are done.

    Before there was cells/, an upstream's title was in the key.
    """
    if upstream is None:
        answers: Facts = {"name": reference, "title": REFERENCE_TITLES.get(reference, "")}
    else:
        answers = _answers(upstream) | {"title": upstream.title}
    return (_hash(task, upstream, answers, reader, skip_bad),)


REFERENCE_TITLES = {
    "majority": "the most frequent class",
    "duration": "the length of the utterance alone",
    "persistence": "the speaker's last emotion, by its true label",
}


def _answers(upstream: Identity) -> Facts:
    facts = ("fingerprint", "depth", "width", "seen")
    return {"name": upstream.named.label} | {fact: getattr(upstream, fact) for fact in facts}


def _hash(task: Task, upstream: Identity | None, answers: Mapping[str, object], reader: Reader, skip_bad: bool) -> str:
    return hashing.of_json(
        {
            "upstream": answers,
            # Published figures and titles only stand beside what was measured.
            "task": task.definition.model_dump(mode="json", exclude={"published", "title", "counts"}),
            "audit": task.audit.reads("audio" if upstream is None else upstream.named.modality),
            "marks": task.marks,
            "downstream": reader.settings,
            "precision": "fp32" if upstream is None else upstream.precision,
            "skip_bad": skip_bad,
        }
    )
