"""One training of an encoder with its head: steps, scores on dev, best checkpoints; after a kill it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from commons.corridors.features import Live
from commons.corridors.predictions import Choice
from commons.corridors.problem import Fold, Problem
from downstreams import branches, choosing, own_classes, schedule
from downstreams.branches import Label
from downstreams.class_loss import ClassLoss
from downstreams.errors import Diverged, DownstreamError
from downstreams.multi_task import Losses
from downstreams.settings import FineTune, FineTuneSpeechEq
from downstreams.shelf import Shelf, State
from downstreams.tuned_network import Batch, TunedNetwork, draws_of

NOW = "now"  # the state with which a training goes on


@dataclass(frozen=True)
class Setup:
    """What is trained, on what: one fold with one seed."""

    live: Live
    problem: Problem
    fold: Fold
    seed: int
    settings: FineTune
    device: str

    def network(self) -> TunedNetwork:
        """The network as training begins with it."""
        draws = draws_of(self.fold.name, self.seed, "head")
        forms = [label.form for label in self.labels()]
        return TunedNetwork(self.live, len(self.problem.classes), self.settings, draws, self.device, forms)

    def labels(self) -> list[Label]:
        """The branches of a head of several targets; none of others. Sequences are of utterances that are not cut."""
        settings, live = self.settings, self.live
        if not isinstance(settings, FineTuneSpeechEq):
            return []
        cut = live.lengths > settings.longest if live.modality == "audio" else np.zeros(len(live), dtype=bool)
        return branches.labels(self.problem, self.fold, settings.weights(), settings.neutral, ~cut)

    def loss(self) -> ClassLoss | Losses:
        """The loss in the classes that the task asks for, and with it that of the branches of a head that has them."""
        settings = self.settings
        own = ClassLoss.of_fold(self.problem, self.fold, settings, self.device)
        return Losses(self.labels(), own, settings.state) if isinstance(settings, FineTuneSpeechEq) else own

    def head_rate(self, rate: float) -> float:
        """The head's rate beside the encoder's."""
        low, high = self.settings.head_rates
        return min(max(rate * self.settings.head_factor, low), high)

    def fault(self, rows: np.ndarray) -> DownstreamError | None:
        """The error for the first of some utterances whose features are not finite before any training; None: none."""
        network = self.network()
        for row in np.unique(rows):
            with torch.no_grad():
                finite = all(bool(one.isfinite().all()) for one in network.frames([row]))
            if not finite:
                return DownstreamError(
                    f"utterance '{self.problem.ids[row]}' has features that are not finite, and cannot be trained on; "
                    "replace its file, or leave it out of the task"
                )
        return None

    def steps(self) -> int:
        """Steps of a whole training."""
        return self.settings.steps_of(len(self.fold.train))


def grid(live: Live, settings: FineTune) -> tuple[str, list[float]]:
    """The setting that holds the encoder's rates to choose from, and these rates."""
    return ("random_rates", settings.random_rates) if live.untrained else ("rates", settings.rates)


def scored_after(steps: int, utterances: int, settings: FineTune) -> list[int]:
    """The steps after which dev is scored: after every pass over train, or `scorings` times where there are more.

    >>> len(scored_after(1500, 430, FineTune())), scored_after(40, 320, FineTune())
    (30, [10, 20, 30, 40])
    """
    passes = max(1, round(steps * settings.batch / utterances))
    return schedule.rounds(steps, min(passes, settings.scorings))


class Course:
    """A training of `steps` steps with one rate of the encoder.

    Attributes:
        curve: for every scoring of dev: epoch, step, train_loss, dev_loss, dev. That of train is what training
            minimises, with weights of classes, mixup and branches; that of dev is plain cross-entropy.
        best: the best scorings, best first; of each a checkpoint is on the shelf under its step.
        seconds: time that training took, also before it was killed.
    """

    def __init__(self, setup: Setup, rate: float, steps: int, shelf: Shelf, kept: int) -> None:
        """`kept`: how many checkpoints are kept."""
        self.setup, self.rate, self.steps, self.shelf, self.kept = setup, rate, steps, shelf, kept
        self.network = setup.network()
        self.curve: list[Choice] = []
        self.best: list[Choice] = []
        self.seconds = 0.0
        self._step = 0
        self._losses: list[float] = []
        self._optimiser = torch.optim.AdamW(self.network.groups(), rate, weight_decay=setup.settings.decay)
        fold, settings = setup.fold, setup.settings
        draws = draws_of(fold.name, setup.seed, "batches")
        self._batches = schedule.batches(fold.train, steps, settings.batch, draws)
        self._scored = scored_after(steps, len(fold.train), settings)
        self._loss = setup.loss()
        self._resume()

    def run(self, advance: Callable[[float], None]) -> None:
        """Do the steps that are not done; `advance` is called with the share of all steps that is done.

        Raises:
            Diverged: a loss or gradient is not finite.
            DownstreamError: an utterance has features that are not finite.
        """
        advance(self._step / self.steps)
        started = time.perf_counter()
        while self._step < self.steps:
            self._losses.append(self._train(self._step + 1))
            self._step += 1
            if self._step in self._scored:
                entry = self._score()
                self.seconds += time.perf_counter() - started
                started = time.perf_counter()
                self._keep(entry)
            advance(1 / self.steps)

    def _train(self, step: int) -> float:
        """One step; returns its loss."""
        setup, settings = self.setup, self.setup.settings
        rows = self._batches[step - 1].numpy()
        share = schedule.factor(step, self.steps, settings.warmup)
        schedule.set_rates(self._optimiser, [self.rate * share, setup.head_rate(self.rate) * share])
        batch = Batch(rows, self._loss)
        loss = self.network.backward(batch, draws_of(setup.fold.name, setup.seed, f"dropout {step}"))
        parameters = [own for group in self._optimiser.param_groups for own in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, settings.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._fault(rows, "loss" if not math.isfinite(loss) else "gradient", step)
        self._optimiser.step()
        return loss

    def _fault(self, rows: np.ndarray, what: str, step: int) -> DownstreamError:
        """The error for something that is not finite at a step: that of an utterance, or of training."""
        setup = self.setup
        return setup.fault(rows) or Diverged(
            f"fold '{setup.fold.name}': the {what} is not finite at step {step} of {self.steps}, at rate "
            f"{self.rate:g} of the encoder and {setup.head_rate(self.rate):g} of the head: training overflows; set "
            f"smaller `{grid(setup.live, setup.settings)[0]}`"
        )

    def _score(self) -> Choice:
        """The entry of the curve for the weights as they are now."""
        setup, dev = self.setup, self.setup.fold.dev
        logits = self.network.predict(dev)[0]
        if not np.isfinite(logits).all():
            raise self._fault(dev, "output on dev", self._step)
        allowed = own_classes.of_rows(setup.problem, dev, "cpu")
        bounded = own_classes.within(torch.as_tensor(logits), allowed)
        loss = cross_entropy(bounded, torch.as_tensor(setup.problem.targets[dev]))
        losses, self._losses = self._losses, []
        return {
            "epoch": len(self.curve) + 1,
            "step": self._step,
            "train_loss": float(np.mean(losses)),
            "dev_loss": float(loss),
            "dev": float(choosing.figures(setup.problem, setup.fold, logits[None])[0]),
        }

    def _keep(self, entry: Choice) -> None:
        """Add an entry to the curve, keep its weights if it is among the best, and the state to go on with.

        The state is written first. A checkpoint that it names and that is missing is made from its weights, so that a
        kill at any moment loses nothing, and no more checkpoints than `kept` are there.
        """
        self.curve.append(entry)
        self.best = sorted([*self.best, entry], key=_by_dev)[: self.kept]
        weights = self.network.weights()
        state: State = {
            "step": self._step,
            "seconds": self.seconds,
            "weights": weights,
            "optimiser": self._optimiser.state_dict(),
            "curve": self.curve,
            "best": self.best,
        }
        self.shelf.put(NOW, state)
        self._checkpoint(weights)

    def _checkpoint(self, weights: State) -> None:
        """Remove checkpoints that are no longer among the best, then keep the weights as they are now if they are."""
        names = {str(entry["step"]) for entry in self.best}
        for name in set(self.shelf.names()) - names - {NOW}:
            self.shelf.drop(name)
        missing = names - set(self.shelf.names())
        if missing - {str(self._step)}:
            fold = self.setup.fold.name
            raise DownstreamError(f"fold '{fold}': checkpoints were removed while it trained; run the command again")
        for name in missing:
            self.shelf.put(name, weights)

    def _resume(self) -> None:
        """Take up the state that was kept, if there is one."""
        state = self.shelf.get(NOW)
        if state is None:
            return
        best = {str(entry["step"]) for entry in cast(list[Choice], state["best"])}
        if best - {*self.shelf.names(), str(state["step"])}:  # a checkpoint was removed, so that it begins anew
            self.shelf.clear()
            return
        weights = cast(State, state["weights"])
        self.network.load(weights)
        self._optimiser.load_state_dict(cast(State, state["optimiser"]))
        self._step, self.seconds = cast(int, state["step"]), cast(float, state["seconds"])
        self.curve, self.best = cast(list[Choice], state["curve"]), cast(list[Choice], state["best"])
        self._checkpoint(weights)

    def checkpoints(self) -> list[State]:
        """The weights of the best scorings, best first."""
        held = [self.shelf.get(str(entry["step"])) for entry in self.best]
        return [weights for weights in held if weights is not None]


def _by_dev(entry: Choice) -> tuple[float, float, float]:
    """Higher figures first; of equals, the smaller loss on dev, then the earlier step."""
    dev, loss, step = (cast(float, entry[key]) for key in ("dev", "dev_loss", "step"))
    return -dev, loss, step


def chosen_rate(courses: Iterable[Course], advance: Callable[[float], None]) -> tuple[float, str, float]:
    """The encoder's rate whose short training is the best on dev, and every rate with its figure, in words.

    And the time that all of them took, s. A rate that diverged is not chosen.

    Raises:
        Diverged: all rates did.
    """
    figures: dict[float, float] = {}
    first: Diverged | None = None
    seconds = 0.0
    for course in courses:
        try:
            course.run(advance)
            figures[course.rate] = cast(float, course.best[0]["dev"])
        except Diverged as error:
            figures[course.rate], first = -math.inf, first or error.with_traceback(None)  # which holds the course
        seconds += course.seconds
        del course  # its network and optimiser are not kept beside those of the next
    rate = max(figures, key=lambda own: figures[own])  # the lowest rate of equals
    if first is not None and not math.isfinite(figures[rate]):
        raise Diverged(f"{first} (tried, and none is finite: {', '.join(f'{own:g}' for own in figures)})")
    words = [f"{own:g}: {f'{figure:.1f}' if math.isfinite(figure) else 'diverged'}" for own, figure in figures.items()]
    return rate, ", ".join(words), seconds
