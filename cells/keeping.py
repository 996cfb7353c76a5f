"""Kept weights: the fitted heads of a cell as files beside its record, and these files as fitted heads again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

import downstreams
import leaderboard
from cells import keys
from commons import files
from commons.corridors.fitted import Fitted
from commons.errors import EmorepError

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import JsonValue

    from cells.jobs import Measure
    from commons.corridors.predictions import Predictions
    from commons.corridors.record import Record
    from downstreams import Reader
    from tasks import Task
    from upstreams import Identity, Named

HEAD, ENCODER = "head.safetensors", "encoder"
SAME = 1e-5  # of probabilities; of values times their deviation: more is another fit


def refusal(task: Task, upstream: Identity, reader: Reader) -> str:
    """Why the weights of a cell cannot be kept; "" where they can."""
    if not reader.keeps:
        return f"{reader.name} reads more than the utterance itself, so it cannot be applied to other files"
    if task.problem.test_standardised:
        return "its task standardises test features by their own statistics, which a file of its own does not have"
    if _given(upstream.named):
        return "its features were extracted elsewhere, so those of other files cannot be made"
    return ""


def _given(named: Named) -> bool:
    return bool(named.given) or any(_given(part) for part in named.parts)


def together(
    asked: Sequence[Reader], reader: Reader, task: Task, upstream: Identity, skip_bad: bool
) -> tuple[tuple[Reader, str], ...]:
    """The heads among `asked` that the training of `reader` gives, each with the key of its cell."""
    if reader.resumes:
        own = keys.training(task, upstream, reader, skip_bad)
        kept = [one for one in asked if one.resumes and keys.training(task, upstream, one, skip_bad) == own]
    else:
        kept = [one for one in asked if one.name == reader.name]
    return tuple((one, keys.key(task, upstream, "", one, skip_bad)) for one in kept)


def wanted(job: Measure) -> bool:
    """Whether the weights of the job's cell are kept."""
    return job.reader.name in {reader.name for reader, _ in job.keep}


def readouts(job: Measure) -> list[str]:
    """Of which read-outs the job's training keeps the weights: of its own, and of others that lack theirs or are
    measured again as well."""
    others = [r for r, key in job.keep if r.name == job.reader.name or job.again or _lacking(job, r, key)]
    return [name for reader in others if (name := downstreams.readout(reader))]


def lacking(job: Measure) -> list[int]:
    """The seeds of a job whose weights are wanted, and are not there."""
    return _lacking(job, job.reader, job.key) if wanted(job) else []


def _lacking(job: Measure, reader: Reader, key: str) -> list[int]:
    """The seeds of a job whose weights are not there, of a cell that shares its training."""
    results, (upstream, task, _) = job.setting.results, job.cell
    record = leaderboard.find(results, upstream, task, reader.name)
    ours = record if record and record.cell.key == key else None
    return sorted(set(job.seeds) - set(leaderboard.kept(results, ours) if ours else ()))


def write(job: Measure, task: Task, predictions: Predictions, work: Path | None) -> None:
    """Write the fitted heads, a folder for each seed.

    Args:
        work: the folder of the training, which keeps weights until `forget`.

    Raises:
        EmorepError: they cannot be written.
    """
    for seed in sorted({one.seed for one in predictions.fitted}):
        own = [one for one in predictions.fitted if one.seed == seed]

        def fill(folder: Path, own: Sequence[Fitted] = own) -> dict[str, JsonValue]:
            folds = {one.fold: _put(folder, one, task) for one in own}
            return {**_about(job, task), "folds": cast("JsonValue", folds)}

        folder = leaderboard.keep(job.setting.results, job.cell, job.key, seed, fill)
        print(f"weights: {folder}", file=sys.stderr)
    forget(job, work)


def _put(folder: Path, one: Fitted, task: Task) -> dict[str, JsonValue]:
    """Write the head of a fold; returns what the index says of it."""
    from safetensors.numpy import save

    own = folder / files.encode(one.fold)
    own.mkdir()
    arrays = {name: np.ascontiguousarray(array) for name, array in one.arrays.items()}
    files.write(own / HEAD, save(arrays))
    form: JsonValue = None
    if one.encoder is not None:
        form = one.encoder.write(own / ENCODER, dict.fromkeys(corpora(task), "labels"))
    return {"folder": own.name, "facts": dict(one.facts), "encoder": form}


def corpora(task: Task) -> tuple[str, ...]:
    """The corpora whose labels a head of the task is trained on."""
    return (task.derivation.source_corpora if task.derivation else ()) or task.known_corpora


def _about(job: Measure, task: Task) -> dict[str, JsonValue]:
    """What the index says of all folds. The name of an upstream that lies outside the working folder is left out."""
    assert job.upstream is not None
    named, reader = job.upstream.named, job.reader
    return {
        "upstream": {
            "name": named.name if named.name == named.record_name else "",
            "record_name": named.record_name,
            "fingerprint": job.upstream.fingerprint,
            "precision": job.upstream.precision,
            "modality": job.upstream.modality,
        },
        "head": {"name": reader.name, "head": reader.head, "settings": reader.settings},
        "task": {"kind": task.problem.kind, "classes": list(task.problem.classes)},
    }


def forget(job: Measure, work: Path | None) -> None:
    """Remove what a training kept of its weights, where no cell that is to come wants some.

    The folder of cells that are measured again is removed in the end of their run.
    """
    names = [reader.name for reader, _ in job.keep]
    later = job.keep[names.index(job.reader.name) + 1 :]
    if work is not None and not job.again and not any(_lacking(job, reader, key) for reader, key in later):
        downstreams.forget(work)


def read(folder: Path, fold: str, seed: int, about: Mapping[str, JsonValue]) -> Fitted:
    """The head of a fold from the folder of its seed; `about` is what the index says of the fold."""
    from safetensors.numpy import load_file

    facts = about["facts"]
    assert isinstance(facts, dict)
    return Fitted(fold, seed, facts, load_file(folder / str(about["folder"]) / HEAD))


def differences(record: Record, stored: pd.DataFrame, predictions: Predictions) -> tuple[str, ...]:
    """What keeps fitted heads from being those of a record: a line for every seed that they predict otherwise."""
    lines: list[str] = []
    for seed, own in predictions.table.groupby("seed"):
        before = stored[stored["seed"] == seed].set_index(["fold", "id"])
        now = own.set_index(["fold", "id"])
        columns = [name for name in now if str(name).startswith("score:")] or ["prediction"]
        if len(before) != len(now) or not bool(now.index.isin(before.index).all()):
            lines.append(f"seed {seed}: other utterances are tested")
            continue
        old = before.loc[now.index, columns].to_numpy(np.float64)
        scale = 1.0 if columns != ["prediction"] else float(old.std()) or 1.0
        apart = float(np.abs(old - now[columns].to_numpy(np.float64)).max()) / scale
        if apart > SAME:
            what = "probabilities" if columns != ["prediction"] else "predictions"
            lines.append(f"seed {seed}: {what} differ from the recorded ones by up to {apart:.2g}")
    if lines:
        name = f"{record.cell.upstream} · {record.cell.task} · {record.cell.downstream}"
        lines.append(f"{name}: no weights are kept; measure it again with --force --keep-weights")
    return tuple(lines)


def refuse_other(identity: Identity, about: Mapping[str, JsonValue]) -> None:
    """Raise EmorepError where an upstream is not the one that a head was fitted on."""
    if identity.fingerprint != about["fingerprint"]:
        raise EmorepError(
            f"{identity.named.name} is not the upstream that the head was fitted on: its weights, its code or a "
            f"library changed (fingerprint {identity.fingerprint[:12]}, expected {str(about['fingerprint'])[:12]})"
        )
