"""`finetune`: an upstream's encoder and a head on its frames, trained together on every fold.

One training gives three read-outs: the weights after the last step, those of the best scoring on dev, and the average
of the five best (Morais et al., 2022), for which the statistics of batch norms are made anew on train. All three are
kept, so that the cells of the other read-outs train nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import cast

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features, Live
from commons.corridors.predictions import Choice, Predictions
from commons.corridors.problem import Fold, Problem
from commons.device import forget_peak, peak_memory
from commons.progress import Progress
from downstreams import (
    branch_answers,
    choosing,
    fitted_network,
    own_classes,
    readouts,
    second_stage,
    shared_probes,
)
from downstreams.assembly import FoldResult, assemble, highest, joined
from downstreams.beginning import BEGUN, as_begun, to_be_kept
from downstreams.checks import check_dev, fitting
from downstreams.course import Course, Setup, chosen_rate, grid
from downstreams.multi_task import MultiTaskHead
from downstreams.parallel import one_core_each, reported, shared
from downstreams.settings import FineTune, FineTuneSpeechEq, of_finetuning
from downstreams.shelf import Shelf, State, within
from downstreams.tuned_network import TunedNetwork, average, draws_of

RESULT, RATE = "result", "rate"
STAGES = "second stages"  # the folder of what rates of second stages gave, whatever their settings
CLAIMS = "claims"  # beside the folders of trainings: processes that share them take different folds and seeds
_TRIALS = 0.3  # of the progress shown: about what trials of two rates take


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
    work: Path | None = None,
    keep: Collection[str] = (),
) -> Predictions:
    """The head's predictions; `settings` are those of settings.FineTune.

    Args:
        work: folder for the states of the trainings, with which a killed one goes on, and for their results; None: they
            are kept in memory.
        keep: read-outs whose weights stay in the folder until `forget`; that of `settings` is then among the fitted.

    Raises:
        DownstreamError: there is no network of the problem's utterances; a fold has no dev part; an utterance has
            features that are not finite; training overflows, in the short trainings at every rate.
    """
    started = time.perf_counter()
    own = of_finetuning(settings)
    check_dev(problem, "finetune")
    live = live_of(fitting(features.live, problem, "the network itself, with waveforms or texts"), own)
    jobs = [(seed, fold) for seed in seeds for fold in problem.folds]
    stop = Event()
    advance = reported(progress, len(jobs), stop)
    with one_core_each(device) as pool:
        train = partial(
            _of_fold, live, problem=problem, settings=own, device=device, work=work, keep=keep, advance=advance
        )
        file = None if work is None else work.parent / CLAIMS
        trained = shared(pool, jobs, lambda job: train(*job), file, lambda job: _name(work, job[1], job[0]), stop)
    states = [state for state, _ in trained]
    setups = [Setup(live, problem, fold, seed, own, device) for seed, fold in jobs]
    parts = [cast(State, state[readouts.read_out(own)]) for state in states]
    rates = [cast(float, cast(Choice, part["choice"])["rate"]) for part in parts]
    of_seeds = [[rate for rate, (other, _) in zip(rates, jobs, strict=True) if other == seed] for seed in seeds]
    edges = [edge for several in of_seeds for edge in choosing.edges(grid(live, own)[1], several)]
    results = [
        _read_out(part, edge, shelf, setup, keep)
        for part, edge, (_, shelf), setup in zip(parts, edges, trained, setups, strict=True)
    ]
    made = assemble(problem, results, time.perf_counter() - started)
    if isinstance(own, FineTuneSpeechEq):
        made = _with_branches(made, own, setups, parts)
    curves = [
        {"fold": fold.name, "seed": seed, "metric": problem.select_on, **entry}
        for state, (seed, fold) in zip(states, jobs, strict=True)
        for entry in cast(list[Choice], state["curve"])
    ]
    return _with_facts(made, curves, states, readouts.second_stage(own))


def _with_branches(
    made: Predictions, settings: FineTuneSpeechEq, setups: Sequence[Setup], parts: Sequence[State]
) -> Predictions:
    """The predictions with those of the branches, and of the probes on the vectors that they share."""
    further, labels = [], [setup.labels() for setup in setups]
    for setup, own, part in zip(setups, labels, parts, strict=True):
        problem, fold, seed = setup.problem, setup.fold, setup.seed
        several = branch_answers.of_each(own, problem, fold, seed, cast(State, part["branches"]))
        if settings.probes:
            known, test = (cast(torch.Tensor, part[name]).numpy() for name in ("known", "vectors"))
            several += shared_probes.probed(problem, fold, seed, known, test[: len(fold.test)])
        further.append(several)
    marks = branch_answers.marks(setups[0].problem, settings.weights(), labels)
    return replace(made, further=joined(further), marks=(*made.marks, *marks))


def _with_facts(made: Predictions, curves: list[Choice], states: Sequence[State], stage: str) -> Predictions:
    """The predictions with the curves, the number of trained values, and time and memory that all trainings took."""
    seconds = sum(cast(float, state["seconds"]) for state in states)
    seconds += sum(cast(float, cast(State, state[stage])["seconds"]) for state in states if stage)
    first = states[0] | (cast(State, states[0][stage]) if stage else {})  # stages of earlier versions have no number
    memory = highest(cast(dict[str, float], state.get("memory", {})) for state in states)  # earlier versions had none
    return replace(
        made,
        curves=curves,
        trainable=cast(int, first["trainable"]),
        training_seconds=seconds,
        training_memory=memory,
    )


def live_of(live: Live, settings: FineTune) -> Live:
    """What is trained: the whole encoder, or its top blocks."""
    return live if settings.top is None else live.top(settings.top)


def is_done(work: Path | None, setup: Setup, keep: Collection[str] = ()) -> bool:
    """Whether all results of a fold and seed are in the folder, and the weights of the read-outs `keep`.

    A second stage needs the encoder of the first.
    """
    needed = {RESULT, *fitted_network.states_of(keep, setup.settings)}
    needed |= {readouts.second_stage(setup.settings)} - {""}
    return needed <= set(Shelf(_folder(work, setup.fold, setup.seed)).names())


def forget(work: Path) -> None:
    """Remove the weights that trainings in a folder kept, not their results."""
    for folder in work.iterdir() if work.is_dir() else ():
        shelf = Shelf(folder)
        for name in shelf.names():
            if name.startswith(fitted_network.PREFIXES):
                shelf.drop(name)


def _folder(work: Path | None, fold: Fold, seed: int) -> Path | None:
    return within(work, f"{fold.name} seed {seed}")


def _name(work: Path | None, fold: Fold, seed: int) -> str:
    """A training, as every process that shares it names it."""
    return f"{work and work.name} {fold.name} seed {seed}"


def _of_fold(
    live: Live,
    seed: int,
    fold: Fold,
    *,
    problem: Problem,
    settings: FineTune,
    device: str,
    work: Path | None,
    keep: Collection[str],
    advance: Callable[[float], None],
) -> tuple[State, Shelf]:
    """What the training of one fold and seed gave: all read-outs; from the folder, if it is there. And its shelf, with
    the weights of the read-outs `keep`."""
    setup = Setup(live, problem, fold, seed, settings, device)
    folder, then = _folder(work, fold, seed), readouts.second_stage(settings)
    shelf, training, trials = Shelf(folder), Shelf(within(folder, "training")), _trials(setup, folder)

    def forget() -> None:
        shelf.drop(RATE)
        for own in (training, *trials, *_stages(folder)):
            own.clear()

    states = fitted_network.states_of(keep, settings)
    if is_done(work, setup, keep):
        advance(1)
        if not to_be_kept(shelf) <= set(shelf.names()):
            return _done(shelf, then), shelf  # another command's training for weights goes on where it was killed
    else:
        forget_peak(device)
        setup = as_begun(setup, shelf, forget, states)
        facts, before = _rate(setup, shelf, trials, lambda part: advance(part * _TRIALS))
        course = Course(setup, cast(float, facts["rate"]), setup.steps(), training, settings.averaged)
        course.run(lambda part: advance(part * (1 - _TRIALS)))
        shelf.drop(RESULT)  # of an earlier training, which may not have these weights
        state, network = _results(course, facts, shelf, states)
        state["seconds"] = course.seconds + before
        del course  # its optimiser
        network.encoder.zero_grad()
        if then:
            stage = Shelf(within(folder, STAGES, then))
            shelf.put(then, _second(network, setup, state, shelf, stage, lambda part: advance(0)))
        state["memory"] = {torch.device(own).type: peak_memory(own) for own in {"cpu", device}}
        shelf.put(RESULT, state)  # last: with it the fold is done
    forget()
    shelf.drop(BEGUN)
    return _done(shelf, then), shelf


def _done(shelf: Shelf, then: str) -> State:
    """The results of a fold that is done, with those of its second stage `then`, if it has one."""
    state = cast(State, shelf.get(RESULT))
    return state | {then: shelf.get(then)} if then else state


def _second(
    network: TunedNetwork, setup: Setup, state: State, shelf: Shelf, rates: Shelf, advance: Callable[[float], None]
) -> State:
    """The second stage as a read-out; its time is added to that of the training. Its network stays on the shelf.

    What each of its rates gave is on the shelf `rates`, with which a killed stage goes on. It is no part of the
    progress that is shown: `advance` only ends it, once another fold failed.
    """
    started = time.perf_counter()
    facts = dict(cast(Choice, cast(State, state["average"])["choice"]))
    first = facts.pop("dev")
    made = second_stage.second(network, setup, facts | {"first_stage": first}, rates, advance)
    fitted_network.put_head(shelf, readouts.second_stage(setup.settings), made.fitted)
    return {
        "choice": {**made.choice, "dev": made.figure},
        "logits": torch.as_tensor(made.probabilities).log(),
        "vectors": torch.as_tensor(made.outputs),
        "layers": None,
        "dev": None if made.dev is None else torch.as_tensor(made.dev).log(),
        "seconds": time.perf_counter() - started,
        "trainable": second_stage.size(network, setup),
    }


def _stages(folder: Path | None) -> list[Shelf]:
    """The shelves of all second stages that have begun, and that of their folder, last; none in memory."""
    stages = within(folder, STAGES)
    if stages is None or not stages.is_dir():
        return []
    return [Shelf(own) for own in (*stages.iterdir(), stages)]


def _trials(setup: Setup, folder: Path | None) -> list[Shelf]:
    """A shelf for the trial of each rate; none where there is one rate alone."""
    _, rates = grid(setup.live, setup.settings)
    return [Shelf(within(folder, f"rate {rate:g}")) for rate in rates] if len(rates) > 1 else []


def _rate(
    setup: Setup, shelf: Shelf, trials: Sequence[Shelf], advance: Callable[[float], None]
) -> tuple[Choice, float]:
    """The rates of encoder and head with the figures of all that were tried; and the time of the trials, s."""
    _, rates = grid(setup.live, setup.settings)
    if not trials:
        advance(1)
        return _facts(setup, rates[0]), 0.0
    steps = max(1, round(setup.steps() * setup.settings.trial))
    state = shelf.get(RATE)
    if state is None:
        courses = (Course(setup, rate, steps, own, 1) for rate, own in zip(rates, trials, strict=True))
        rate, words, seconds = chosen_rate(courses, lambda part: advance(part / len(rates)))
        state = {"choice": _facts(setup, rate) | {"tried": words}, "seconds": seconds}
        shelf.put(RATE, state)
    else:
        advance(1)
    for own in trials:
        own.clear()
    return cast(Choice, state["choice"]), cast(float, state.get("seconds", 0.0))  # earlier versions kept no time


def _facts(setup: Setup, rate: float) -> Choice:
    return {"rate": rate, "head_rate": setup.head_rate(rate)}


def _results(course: Course, facts: Choice, shelf: Shelf, kept: Collection[str]) -> tuple[State, TunedNetwork]:
    """Every read-out: what was chosen, its figure on dev, and logits, vectors and layer weights on test.

    And the network with the average of the best weights. The states `kept` of its weights stay on the shelf.
    """
    setup, network = course.setup, course.network
    before = setup.network()
    best = course.checkpoints()
    weights = {"last": network.weights(), "best": best[0], "average": average(best)}
    steps = {"last": [course.curve[-1]], "best": course.best[:1], "average": course.best}
    state: State = {"curve": course.curve, "trainable": network.size()}
    for name, own in weights.items():
        network.load(own)
        if name == "average":
            network.norms_anew(setup.fold.train, draws_of(setup.fold.name, setup.seed, "norms"))
        fitted_network.put(shelf, name, network, kept)
        logits = network.predict(setup.fold.dev)[0]
        dev = choosing.figures(setup.problem, setup.fold, logits[None])[0]
        choice = facts | _steps(steps[name]) | {"precision": network.precision}
        choice |= {"moved": network.moved(before), "dev": float(dev)}
        state[name] = _outputs(network, setup, choice) | {"dev": torch.as_tensor(logits)}
    return state, network


def _steps(entries: Sequence[Choice]) -> Choice:
    """Epoch and step of a read-out; of an average those of the best, and the steps of all."""
    own: Choice = {"epoch": entries[0]["epoch"], "step": entries[0]["step"]}
    return own | ({"averaged": " ".join(str(entry["step"]) for entry in entries)} if len(entries) > 1 else {})


def _outputs(network: TunedNetwork, setup: Setup, choice: Choice) -> State:
    logits, vectors = map(np.concatenate, zip(*(network.predict(own) for own in setup.fold.tests), strict=True))
    if not np.isfinite(logits).all() and (fault := setup.fault(setup.fold.tested)):
        raise fault
    layers = network.head.layer_weights()
    state = {"choice": choice, "logits": torch.as_tensor(logits), "vectors": torch.as_tensor(vectors), "layers": layers}
    return state | (
        _branches(network, setup, vectors[: len(setup.fold.test)]) if isinstance(network.head, MultiTaskHead) else {}
    )


def _branches(network: TunedNetwork, setup: Setup, vectors: np.ndarray) -> State:
    """What the branches give for test, and the vectors of train, which probes are trained on."""
    head = network.head
    assert isinstance(head, MultiTaskHead) and isinstance(setup.settings, FineTuneSpeechEq)
    made = branch_answers.kept(
        head, setup.labels(), vectors, network.device, lambda branch: network.decoded(branch, setup.fold.test)
    )
    if not setup.settings.probes:
        return {"branches": made}
    return {"branches": made, "known": torch.as_tensor(network.predict(setup.fold.train)[1])}


def _read_out(own: State, edge: bool, shelf: Shelf, setup: Setup, keep: Collection[str]) -> FoldResult:
    """One of the read-outs, that of the settings, as heads give their folds; `edge`: its rate is an end of the grid."""
    problem, fold, seed = setup.problem, setup.fold, setup.seed
    choice = cast(Choice, own["choice"]) | {"edge": edge}
    figure = cast(float, choice.pop("dev"))
    probabilities = own_classes.probabilities(cast(torch.Tensor, own["logits"]).numpy(), problem, fold.tested)
    vectors = cast(torch.Tensor, own["vectors"]).numpy().astype(np.float32)
    layers = cast(list[float] | None, own["layers"])
    logits = cast(torch.Tensor | None, own.get("dev"))  # states of earlier versions lack it
    dev = None if logits is None else own_classes.probabilities(logits.numpy(), problem, fold.dev)
    fitted = None
    if readouts.read_out(setup.settings) in keep:
        fitted = fitted_network.fitted(shelf, setup, str(choice["precision"]))
    return FoldResult(fold, seed, choice, figure, probabilities, vectors, layers, dev, fitted)
