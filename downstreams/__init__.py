"""HOW it is read: heads, and how they are trained. Knows no corpora; writes trainings and tuned encoders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from downstreams.errors import DownstreamError, within_memory

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from commons.corridors.features import Features
    from commons.corridors.fitted import Answers, Fitted
    from commons.corridors.predictions import Predictions
    from commons.corridors.problem import Problem
    from commons.corridors.utterances import Modality
    from commons.progress import Progress
    from downstreams.forecast import Forecast
    from downstreams.reader import Reader
    from downstreams.settings import PlainSettings


def names() -> list[str]:
    """The heads' names."""
    from downstreams.registry import HEADS

    return list(HEADS)


def describe() -> list[tuple[str, str]]:
    """(name, one line) of every head, without importing what trains it."""
    from downstreams.registry import HEADS

    return [(name, HEADS.find(name).about) for name in HEADS]


def expand(name: str) -> list[str]:
    """The names of all read-outs of the head NAME, its own first; NAME alone where a training gives one."""
    from downstreams.reader import expand

    return expand(name)


def resolve(name: str) -> Reader:
    """The head NAME, or NAME@FILE.yaml with the settings of that file, as plain values that can travel.

    Raises:
        UnknownName: no head has this name, or the file names a setting that the head lacks.
        NotThere: there is no such file.
        Refused: the file does not hold settings, or a setting has a wrong value.
    """
    from downstreams.reader import resolve

    return resolve(name)


def seeds(reader: Reader, wanted: int, draws: int = 0) -> list[int]:
    """The seeds to run when `wanted` are asked for: a deterministic head has one, unless the problem has draws.

    Raises:
        DownstreamError: the problem has draws, and fewer of them.
    """
    if 0 < draws < wanted:
        raise DownstreamError(f"{wanted} seeds are asked for, and the task has {draws} draws; ask for fewer")
    return [0] if reader.deterministic and not draws else list(range(wanted))


def class_weights(reader: Reader, problem: Problem) -> str | None:
    """`balanced` where the reader's loss on this problem weighs classes alike, `effective` where by their effective
    numbers, else `none`; None without classes."""
    from downstreams import balance
    from downstreams.registry import CLASSES, HEADS

    if problem.kind not in CLASSES:
        return None
    settings = type(HEADS.find(reader.head).settings).model_validate(reader.settings)
    return balance.applied(settings.class_weights, problem)


@within_memory()
def evaluate(
    reader: Reader,
    features: Features,
    problem: Problem,
    seeds: Sequence[int],
    device: str = "cpu",
    progress: Progress | None = None,
    work: Path | None = None,
    keep: Collection[str] = (),
) -> Predictions:
    """The predictions of the head for the test utterances of every fold, trained on that fold.

    Args:
        features: hold what the reader `needs`; row i belongs to `problem.ids[i]`.
        seeds: what one gives does not depend on the others. Of a problem with draws, each is a draw as well.
        device: torch device of the computation.
        progress: called with (done, total) parts of the work.
        work: folder in which a head that `resumes` or `keeps_folds` keeps its states, so that it goes on after a kill;
            it is one cell's own.
        keep: read-outs of a long training, see `readout`, whose weights stay in that folder until `forget`; that of the
            reader is then among the fitted heads. Other heads always give theirs, where they can be kept.

    Raises:
        DownstreamError: features and problem do not fit, the head cannot treat this kind of problem, training
            overflows, or a GPU's memory runs out.
    """
    from downstreams.few_labels import drawn
    from downstreams.registry import HEADS

    features = replace(features, pooled=features.pooled_for(reader.needs))
    head = HEADS.find(reader.head)
    if problem.kind not in head.kinds:
        raise DownstreamError(f"{reader.name} treats {' and '.join(head.kinds)}, not {problem.kind}; use probe.")
    if problem.test_standardised and not head.standardises:
        raise DownstreamError(
            f"{reader.name} takes features as they are, and the task asks to standardise them; use probe."
        )
    if problem.allowed is not None and not head.own_classes:
        raise DownstreamError(
            f"{reader.name} chooses among all classes, and the task joins corpora with classes of their own; use probe."
        )
    if problem.draws:
        return drawn(reader, features, problem, seeds, device, progress, work, keep)
    return head.within(work, keep)(features, problem, reader.settings, seeds, device, progress)


@within_memory()
def expected(
    reader: Reader,
    features: Features,
    problem: Problem,
    seeds: Sequence[int],
    device: str = "cpu",
    work: Path | None = None,
    keep: Collection[str] = (),
) -> Forecast:
    """What the trainings of a head that `resumes` will take; one step is done for it.

    Raises:
        DownstreamError: as in `evaluate`.
    """
    from downstreams.forecast import forecast

    own = problem if not problem.draws else replace(problem, folds=problem.draws[seeds[0]], draws=())
    return forecast(features, own, reader.settings, seeds, device, work, keep)


def uses(reader: Reader, utterances: int, blocks: int, untrained: bool) -> float:
    """How many utterances the steps of one long training on `utterances` read, with the trials of rates.

    Where top blocks alone are trained, an utterance counts as their share of all `blocks`. Of random weights, which are
    `untrained`, other rates are tried.
    """
    from downstreams.settings import of_finetuning

    own = of_finetuning(reader.settings)
    rates = own.random_rates if untrained else own.rates
    trials = len(rates) * own.trial if len(rates) > 1 else 0.0
    share = 1.0 if own.top is None else min(1.0, own.top / max(1, blocks))
    return own.steps_of(utterances) * own.batch * (1 + trials) * share


def second_head(reader: Reader) -> str:
    """The head that a second stage of a long training trains; "" where there is none."""
    from downstreams.settings import of_finetuning

    then = of_finetuning(reader.settings).then
    return "" if then == "nothing" else then


def readout(reader: Reader) -> str:
    """Which of what a long training gives is the reader's; "" for heads that have one result."""
    from downstreams.readouts import read_out
    from downstreams.settings import of_finetuning

    return read_out(of_finetuning(reader.settings)) if reader.resumes else ""


def of_training(reader: Reader) -> PlainSettings:
    """The settings on which a long training depends; cells that differ in others alone share it."""
    from downstreams.readouts import of_training

    return of_training(reader.settings)


def forget(work: Path) -> None:
    """Remove the weights that the trainings in a folder kept for fitted heads, not their results."""
    from downstreams import finetuning

    finetuning.forget(work)


@within_memory()
def apply(reader: Reader, fitted: Fitted, encoder: Path | None, features: Features, device: str = "cpu") -> Answers:
    """What a fitted head gives for utterances.

    Args:
        encoder: the folder of its encoder, where it was fine-tuned.
        features: hold what the reader `needs`; live ones are of that encoder, where an upstream reads its folder.

    Raises:
        DownstreamError: an utterance has features that are not finite, or of other sizes, or a GPU's memory runs out.
    """
    from downstreams.registry import HEADS

    if encoder is not None:
        from downstreams import fitted_network

        fitted = fitted_network.with_values(fitted, encoder)
    features = replace(features, pooled=features.pooled_for(reader.needs))
    return HEADS.find(reader.head).apply()(fitted, reader.settings, features, device)


def references(kind: str) -> dict[str, str]:
    """Reference rows that a kind of problem has, in the order of tables, with a line on each."""
    from downstreams.registry import REFERENCES

    return {name: reference.about for name in REFERENCES if kind in (reference := REFERENCES.find(name)).kinds}


def reference_reads(name: str) -> Modality | None:
    """`audio` or `text`, whose length a reference row needs; None: it needs neither. Raises UnknownName."""
    from downstreams.registry import REFERENCES

    return REFERENCES.find(name).reads


def reference(name: str, problem: Problem, lengths: np.ndarray) -> Predictions:
    """The predictions of a reference row, which reads no features.

    `majority` is the most frequent class, `duration` and `text_length` are the probe on the utterances' lengths alone,
    and `persistence`, of conversations, is the speaker's last emotion by its true label.

    Args:
        lengths: (N,) s for `duration`, (N, 2) words and characters for `text_length`; others do not use them.

    Raises:
        UnknownName: no reference has this name.
        DownstreamError: the problem has no dialogues, and `persistence` is asked for.
    """
    from downstreams import reference_rows

    return reference_rows.predict(name, problem, lengths)
