"""`perturbed:emodb,white@10`: the task with its test audio changed; training audio stays as it is.

Changed utterances are rows `id~KIND@LEVEL` beside the clean ones. A fold tests the changed utterances and, as a test
set of their own, the same ones unchanged: so both are answers of one training. With several changes (joined by +) a
fold has a test set for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from commons import perturbations
from commons.corridors.problem import Fold, Problem
from commons.perturbations import Perturbation
from tasks import definition
from tasks.derived import noise
from tasks.derived.kinds import Derived
from tasks.errors import TaskError
from tasks.modality import how_to_get_audio
from tasks.splits import audit
from tasks.splits.problems import text
from tasks.task import Task

CITE = ("scheibler2018",)  # keys of the paper of the room simulator
MARK = "~"  # between an utterance's id and the change


def changed(derived: Derived, loaded: Sequence[Task]) -> Task:
    """The base task with test sets of changed audio, and the clean ones beside them.

    Raises:
        TaskError: the copy has no audio, or there is no speech to make babble of.
    """
    (base,), changes = loaded, perturbations.expand(derived.option)
    if not base.has_audio:
        raise TaskError(
            f"{derived.name}: {base.corpus.name} has labels and texts only here, and there is no audio to change; "
            f"{how_to_get_audio(base)}"
        )
    tested = np.unique(np.concatenate([fold.test for fold in base.problem.folds]))
    pool = noise.pool(base, derived.options) if derived.options and any(c.facts.noise for c in changes) else None
    clean = base.utterances.assign(twin_of=base.utterances.index)
    utterances = pd.concat([clean, *(_twins(clean.iloc[tested], change, pool) for change in changes)])
    problem = _problem(base.problem, utterances.index, tested, len(changes))
    wanted = definition.varied(
        base.definition, name=derived.name, version=derived.version, title=_title(base, changes), published=()
    )
    papers = {"simulated rooms": CITE} if any(c.kind == "reverb" for c in changes) else {}
    rows = replace(base.reading, utterances=utterances, cite={**base.reading.cite, **papers})
    official = wanted.folds.by == "partition"
    proof = audit.prove(
        wanted.name, wanted.version, wanted.corpus, utterances, problem, wanted.speakers_shared, official
    )
    notes = [f"the audio of test is changed, that of training is not: {_said(change)}" for change in changes]
    notes += [f"babble: {noise.TALKERS} of {len(pool.recordings)} recordings of {pool.name}"] if pool else []
    codecs = {change.facts.codec for change in changes} - {""}
    twice = bool(codecs) and not codecs.isdisjoint(_encodings(base.utterances["path"]))
    return replace(
        base,
        name=wanted.name,
        definition=wanted,
        reading=rows,
        problem=problem,
        audit=proof,
        marks=(*base.marks, *["codec_twice"] * twice),
        notes=(*base.notes, *notes),
    )


def _encodings(paths: pd.Series) -> set[str]:
    """What libsndfile calls the encodings of a corpus's files, from one file of every ending."""
    import soundfile

    made = set()
    for path in paths.groupby(paths.str.lower().str.rpartition(".")[2]).first():
        try:
            made.add(str(soundfile.info(path).subtype))
        except (OSError, soundfile.LibsndfileError):
            continue  # extraction says what is wrong with it
    return made


def _title(base: Task, changes: Sequence[Perturbation]) -> str:
    return f"{base.name}, test audio with {perturbations.joined(changes)}"


def _said(change: Perturbation) -> str:
    level = "" if change.level is None else f", {change.level:g} {change.facts.unit}"
    return f"{change.facts.about}{level}"


def _twins(clean: pd.DataFrame, change: Perturbation, pool: noise.Pool | None) -> pd.DataFrame:
    """The rows of changed utterances, from those of the clean ones."""
    twins = clean.assign(perturbation=change.name, duration=[change.seconds(s) for s in clean["duration"]])
    twins.index = pd.Index([f"{one}{MARK}{change.name}" for one in clean.index], name=clean.index.name, dtype=str)
    if change.facts.noise and pool:
        facts = ("sha256", "start", "end", "channel")
        parts = [clean[fact].tolist() if fact in clean else [None] * len(clean) for fact in facts]
        draws = [pool.drawn(tuple(map(str, content))) for content in zip(*parts, strict=True)]
        twins["noise"] = pd.Series(draws, index=twins.index, dtype=object)
    return twins


def _problem(base: Problem, ids: pd.Index, tested: np.ndarray, changes: int) -> Problem:
    """The base's problem on all rows: those of the base, then for each change one for each utterance tested."""
    rows = np.concatenate([np.arange(len(base.ids)), *[tested] * changes])

    def fold(own: Fold) -> Fold:
        places = np.searchsorted(tested, own.test)
        sets = [len(base.ids) + k * len(tested) + places for k in range(changes)]
        return replace(own, test=sets[0], beside=(own.test, *sets[1:]))

    return base.taken(rows, text(ids), [fold(own) for own in base.folds])
