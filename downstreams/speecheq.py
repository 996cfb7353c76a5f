"""`speecheq`: emotion state, intensity, phonemes and gender, learnt together on frozen frames.

An interpretation: of SpeechEQ (Kang et al., Interspeech 2022) only the abstract is known. It says that state and
intensity are learnt together with phonemes and gender; layers, losses and their weights are ours. The training is that
of `attentive`: rate and epoch are chosen on dev, fold by fold, by the state alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features
from commons.corridors.fitted import Answers, Fitted
from commons.corridors.predictions import Further, Predictions
from commons.corridors.problem import Fold, Problem, Target
from commons.progress import Progress
from downstreams import branch_answers, branches, chance, own_classes, schedule, shared_probes
from downstreams.assembly import FoldResult, assemble, joined
from downstreams.branches import Label, OfSymbols
from downstreams.checks import fitting
from downstreams.class_loss import ClassLoss
from downstreams.frame_training import LONGEST, PART, Plan, Scaled, arrays_of, each_fold, predicted, state_of, trained
from downstreams.held_frames import HeldFrames
from downstreams.multi_task import Losses, MultiTaskHead
from downstreams.settings import SpeechEq
from downstreams.shelf import Shelf, State


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
    work: Path | None = None,
) -> Predictions:
    """The head's predictions; `settings` are those of settings.SpeechEq.

    A branch whose label no utterance of train has is left out in that fold. Where a branch is left out in all folds,
    a mark says so.

    Args:
        work: as in frame_training.evaluate.

    Raises:
        DownstreamError: the features are not those of the problem, not finite or none of an utterance; a fold has no
            dev part; a target is not of its branch's kind; training overflows at every rate.
    """
    started = time.perf_counter()
    own = SpeechEq.model_validate(settings)
    results = each_fold(_of_fold, features, problem, own, seeds, device, progress, work)
    lengths = np.diff(fitting(features.frames, problem, "frames").offsets)
    labels = [_labels(problem, one.fold, own, lengths) for one in results]
    further = [_further(problem, one, learnt) for one, learnt in zip(results, labels, strict=True)]
    marks = branch_answers.marks(problem, own.weights(), labels)
    predictions = assemble(problem, results, time.perf_counter() - started)
    return replace(predictions, further=joined(further), marks=marks)


def _labels(problem: Problem, fold: Fold, settings: SpeechEq, lengths: np.ndarray) -> list[Label]:
    """What the branches learn in a fold, of utterances of so many frames (N,)."""
    whole = branches.readable(problem, lengths, LONGEST)
    return branches.labels(problem, fold, settings.weights(), settings.neutral, whole)


def _further(problem: Problem, own: FoldResult, labels: list[Label]) -> list[Further]:
    """The predictions of the branches, and of the probes where there are any, which are tested on the first test set
    alone."""
    fold, seed, more = own.fold, own.seed, own.more
    several = branch_answers.of_each(labels, problem, fold, seed, cast(State, more["branches"]))
    if "known" in more:
        known = cast(torch.Tensor, more["known"]).numpy()
        several += shared_probes.probed(problem, fold, seed, known, own.outputs[: len(fold.test)])
    return several


def _of_fold(
    frames: HeldFrames,
    seed: int,
    fold: Fold,
    *,
    problem: Problem,
    settings: SpeechEq,
    advance: Callable[[float], None],
    shelf: Shelf,
) -> FoldResult:
    scaled, labels = Scaled.by(frames, fold.train), _labels(problem, fold, settings, frames.lengths)
    forms = [label.form for label in labels]

    def network(draws: torch.Generator) -> MultiTaskHead:
        sizes = frames.depth, frames.width, len(problem.classes)
        return MultiTaskHead(
            *sizes, settings, forms, draws, lambda name: chance.generator(f"{fold.name}\n{name}", seed)
        )

    loss = Losses(labels, ClassLoss.of_fold(problem, fold, settings, frames.device), settings.state)
    best = trained(scaled, seed, fold, problem, settings, Plan(network, loss, shelf), advance)
    answers = [predicted(best.network, scaled, rows) for rows in fold.tests]
    more: State = {
        "branches": branch_answers.kept(
            best.network,
            labels,
            answers[0][1],
            frames.device,
            lambda branch: decoded(best.network, branch, scaled, fold.test),
        )
    }
    if settings.probes:
        more["known"] = torch.as_tensor(predicted(best.network, scaled, fold.train)[1])
    whole = branches.readable(problem, frames.lengths, LONGEST)
    asked = (target for target in problem.also if settings.weights().get(target.name, 0) > 0)
    unread = {f"{target.name}_unread": n for target in asked if (n := _unread(target, fold, whole))}
    return FoldResult(
        fold,
        seed,
        {**best.choice, **unread},
        best.figure,
        own_classes.probabilities(np.concatenate([logits for logits, _ in answers]), problem, fold.tested),
        np.concatenate([own for _, own in answers]),
        best.network.layer_weights(),
        own_classes.probabilities(predicted(best.network, scaled, fold.dev)[0], problem, fold.dev),
        Fitted(fold.name, seed, branch_answers.facts_of(forms), arrays_of(best.network) | scaled.arrays()),
        more,
    )


def _unread(target: Target, fold: Fold, whole: np.ndarray) -> int:
    """How many training utterances have a sequence that their frames are too few for, or too many to be taken whole."""
    return int((target.mask & ~whole)[fold.train].sum()) if target.kind == "sequence" else 0


def apply(own: Fitted, settings: Mapping[str, JsonValue], features: Features, device: str) -> Answers:
    """The answers of a fitted head, those of its branches among them.

    Raises:
        DownstreamError: an utterance has no frames, or one that is not finite.
    """
    assert features.frames is not None
    sizes = SpeechEq.model_validate(settings)
    forms, state = branch_answers.forms_of(own), state_of(own)
    frames = HeldFrames(features.frames, features.ids, device, sizes.layers == "last")
    widths = frames.depth, frames.width, len(state["classifier.bias"])
    network = MultiTaskHead(*widths, sizes, forms, torch.Generator(), lambda name: torch.Generator())
    network.load_state_dict(state)
    network.to(frames.device)
    scaled, rows = Scaled.of(own, frames), np.arange(len(frames.lengths))
    logits, vectors = predicted(network, scaled, rows)
    further = branch_answers.of_fitted(
        network, forms, vectors, frames.device, lambda branch: decoded(network, branch, scaled, rows)
    )
    return Answers(torch.as_tensor(logits).softmax(1).numpy(), further)


@torch.no_grad()
def decoded(network: MultiTaskHead, own: OfSymbols, frames: Scaled, rows: np.ndarray) -> list[np.ndarray]:
    """The symbols that the network gives for some utterances, in their order."""
    network.eval()
    made: dict[int, np.ndarray] = {}
    for part in schedule.parts(rows, frames.frames.lengths, PART):
        x, valid = frames.batch(part)
        made |= dict(zip(part.tolist(), own.decoded(network.each_projected(x, valid)), strict=True))
    return [made[row] for row in rows.tolist()]
