"""The key of a cell: a hash of everything that decides its figures and marks. A cell with that key is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import downstreams
import upstreams
from commons import hashing
from commons.marks import concerning

if TYPE_CHECKING:
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity

Facts = dict[str, object]


def key(task: Task, upstream: Identity | None, reference: str, reader: Reader, skip_bad: bool) -> str:
    """The key of an upstream's cell, or of a reference row where `upstream` is None.

    The fingerprint identifies the upstream's weights, so their origin and the upstream's label are not in the key. The
    hash of the utterances covers what the upstream's modality reads.
    """
    # References that read neither have the key of the audio, or of the copy's texts where it has no audio.
    modality = upstream.modality if upstream else downstreams.reference_reads(reference) or "audio"
    text = modality == "text"  # such an upstream reads no audio, so what concerns the audio stays out of its key
    # Titles and published figures change no result. Further targets are hashed below, for heads that train on them.
    definition = task.definition.model_dump(mode="json", exclude={"published", "title", "counts", "also"})
    decides: Facts = {
        "upstream": {"name": reference} if upstream is None else _answers(upstream),
        "task": definition,
        "audit": task.audit.reads(modality),
        "marks": concerning(task.marks, modality),
        "downstream": reader.settings,
        "precision": "fp32" if upstream is None else upstream.precision,
        "skip_bad": skip_bad and not text,
    }
    if upstream and (rules := upstreams.pooling_rules(reader.needs)):
        decides["pooling"] = rules
    if reader.further:
        decides["also"] = task.also_hash
    return hashing.of_json(decides)


def training(task: Task, upstream: Identity, reader: Reader, skip_bad: bool) -> str:
    """The key of a long training: its cells differ only in what is made of it."""
    return key(task, upstream, "", replace(reader, settings=downstreams.of_training(reader)), skip_bad)


def _answers(upstream: Identity) -> Facts:
    facts = ("fingerprint", "depth", "width", "seen")
    return {"name": upstream.named.record_name} | {fact: getattr(upstream, fact) for fact in facts}
