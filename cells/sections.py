"""The sections of a record, made from the objects of the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

import downstreams
import tasks
import upstreams
from cells.provenance import git_commit, peak_gpu_memory, peak_memory, processor, versions
from commons.corridors import record
from commons.corridors.record import REFERENCE
from commons.marks import concerning

if TYPE_CHECKING:
    from cells.jobs import Extracted, Late, Measure
    from commons.corridors.features import Features, Pooled
    from commons.corridors.predictions import Predictions
    from tasks import Task


def cell(job: Measure, seeds: tuple[int, ...]) -> record.Cell:
    """The section on the cell."""
    upstream, task, downstream = job.cell
    return record.Cell(
        upstream=upstream,
        task=task,
        downstream=downstream,
        key=job.key,
        precision=job.upstream.precision if job.upstream else "fp32",
        seeds=list(seeds),
        limit=job.setting.reading.limit,
        training=job.training or None,
    )


def task(job: Measure | Late, asked: Task) -> record.Task:
    """The section on the task, with the marks and notes that concern what the upstream reads."""
    modality = job.modality or "audio"
    definition, corpus, made = asked.definition, asked.corpus, asked.derivation
    return record.Task(
        name=asked.name,
        title=definition.title,
        version=definition.version,
        corpus=corpus.name,
        family=asked.family,
        corpora_of_family=sorted({name for corpus in asked.known_corpora for name in tasks.family(corpus)}),
        language=corpus.language,
        licence=corpus.licence,
        kind=asked.problem.kind,
        classes=list(asked.problem.classes),
        levels=list(definition.levels),
        pairs=list(definition.pairs),
        metrics=list(definition.metrics),
        headline=definition.headline,
        pooled_only=definition.pooled_only,
        group_by=definition.group_by,
        audit=asked.audit.hash,
        folds=[fold.name for fold in asked.problem.folds],
        published=[record.Published(**figure.model_dump()) for figure in definition.published],
        counts=asked.counts,
        notes=[*asked.notes, *(asked.text_notes if "text" in modality else ())],
        marks=concerning(asked.marks, modality),
        derived=made.kind if made else None,
        aspect=made.aspect if made else definition.aspect,
        base=made.base if made else None,
        sources=list(made.sources) if made else [],
        source_corpora=list(made.source_corpora) if made else [],
        shots=made.shots if made else None,
        corpora={corpus: list(classes) for corpus, classes in asked.reading.joined.items()},
        perturbation=perturbation(asked),
        also=[target.name for target in asked.full_problem.also] if job.reader.further else [],
        cite={name: list(keys) for name, keys in asked.reading.cite.items()},
    )


def perturbation(asked: Task) -> record.Perturbation | None:
    """The section on how the test audio is changed; None where it is not."""
    change = asked.derivation.perturbation if asked.derivation else None
    if change is None:
        return None
    rate = upstreams.bit_rate(asked.utterances) if change.kind in upstreams.CODECS else None
    unit = change.facts.unit or None
    return record.Perturbation(kind=change.kind, level=change.level, unit=unit, bit_rate=rate)


def given(job: Measure | Late, asked: Task) -> str | None:
    """What the upstream or reference row is given: speech, text (gold), text (ASR), speech + text (gold) ..."""
    text = f"text ({'ASR' if asked.text_kind == 'asr' else 'gold'})"
    return {None: None, "audio": "speech", "text": text, "audio+text": f"speech + {text}"}[job.modality]


def upstream(
    job: Measure,
    asked: Task,
    features: Features | None,
    opened: Task,
    extracted: Extracted | None,
    before: int | None,
) -> record.Upstream:
    """The section on the upstream.

    Args:
        opened: the task whose rows the features are; it may have more of them than `asked`.
        before: its number of parameters in the record to which seeds are added.
    """
    identity = job.upstream
    if identity is None:
        title = downstreams.references("conversation")[job.reference]
        return record.Upstream(
            name=job.cell[0], title=title, cite=[], modality=job.modality or "audio", input=given(job, asked)
        )
    assert features is not None and extracted is not None
    named, pooled = identity.named, features.pooled_for(job.reader.needs)
    return record.Upstream(
        name=job.cell[0],
        title=identity.title,
        label=identity.display_name or None,
        fingerprint=identity.fingerprint,
        weights=identity.weights or None,
        licence=identity.licence or None,
        depth=identity.depth,
        width=identity.width,
        parameters=extracted.parameters or before,
        seen=identity.seen,
        seen_by_parts=identity.known_seen if identity.seen == "unknown" else {},
        counts=extracted.counts,
        audio_seconds=extracted.audio_seconds,
        layer_norms=layer_norms(pooled, rows_in(opened, asked)) if pooled is not None and identity.depth > 1 else None,
        modality=identity.modality,
        input=given(job, asked),
        base=f"{named.base}@{job.texts}" if named.base and job.texts else named.base,
        draw=named.draw,
        ablation=named.ablation,
        variant=named.variant,
        run=named.run,
        step=named.step,
        group_of_runs=named.group_of_runs,
        cite=list(named.cite),
        fusion="early" if len(named.parts) > 1 else None,
        parts=[part.record_name for part in named.parts],
    )


def downstream(job: Measure, asked: Task, predictions: Predictions, extends: record.Record | None) -> record.Downstream:
    """The section on the head; `extends`: the record to which these seeds are added."""
    reference = job.upstream is None
    seconds, before = predictions.training_seconds, (extends.downstream.hours if extends else None) or 0.0
    return record.Downstream(
        name=REFERENCE if reference else job.reader.name,
        settings=job.reader.settings,
        deterministic=reference or (job.reader.deterministic and not asked.problem.draws),
        class_weights=None if reference else downstreams.class_weights(job.reader, asked.problem),
        cite=[] if reference else list(job.reader.cite),
        interpretation=None if reference else job.reader.interpretation or None,
        trained=None if reference else job.reader.trained,
        trainable=predictions.trainable,
        hours=None if seconds is None else before + seconds / 3600,
    )


def run(seconds: dict[str, float], extracted: Extracted | None, trained: Mapping[str, float]) -> record.Run:
    """The section on the run.

    Args:
        seconds: wall time of load and evaluate.
        trained: memory of trainings, which may have been in other processes, see Predictions.
    """
    gpu = [own for own in (peak_gpu_memory(), trained.get("cuda")) if own is not None]
    phases = extracted.seconds if extracted else {}
    device = extracted.device if extracted else "cpu"
    return record.Run(
        seconds=seconds | {"extract" if phase == "total" else phase: spent for phase, spent in phases.items()},
        peak_memory_mb=max(peak_memory(), trained.get("cpu", 0.0)),
        peak_gpu_memory_mb=max(gpu, default=None),
        device=device,
        processor=processor(device),
        versions=versions(),
        git_commit=git_commit(),
        emorep=metadata.version("emorep"),
    )


def chosen_layer(job: Measure, features: Features | None, predictions: Predictions, asked: Task) -> np.ndarray | None:
    """(rows of the first seed, D) standardised time-means at the layer that most folds chose; None without a choice."""
    pooled = features.pooled_for(job.reader.needs) if features else None
    if pooled is None or predictions.layer is None:
        return None
    table = predictions.table
    ids = table.loc[table["seed"] == table["seed"].min(), "id"]
    rows = asked.utterances.index.get_indexer(ids)
    return standardised(pooled[rows, 0, predictions.layer])


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and deviation 1, as float16.

    Functionals have units of 1e-3 to 1e7, which float16 cannot hold and pictures cannot compare.
    """
    spread = vectors.std(0)
    return ((vectors - vectors.mean(0)) / (spread + (spread == 0))).astype("float16")


def with_names(job: Measure, predictions: Predictions) -> Predictions:
    """The predictions with the names of the features that the head selected in place of their numbers, where known."""
    if not predictions.features or job.upstream is None:
        return predictions
    names = upstreams.value_names(job.upstream)
    if names is None:
        return predictions
    named = [{names[int(number)]: size for number, size in own.items()} for own in predictions.features]
    return replace(predictions, features=named)


def rows_in(opened: Task, asked: Task) -> np.ndarray | slice:
    """Where the utterances of `asked` are among those of `opened`."""
    return slice(None) if opened is asked else opened.utterances.index.get_indexer(asked.utterances.index)


def layer_norms(pooled: Pooled, rows: np.ndarray | slice) -> list[float]:
    """L2 norm of each layer's time-mean, averaged over some utterances, from pooled features (N, 2, L, D)."""
    layers = (pooled[rows, 0, layer].astype("float64") for layer in range(pooled.shape[2]))
    return [float(((layer**2).sum(1) ** 0.5).mean()) for layer in layers]
