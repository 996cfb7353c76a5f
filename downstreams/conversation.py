"""Heads of conversations: a network classifies every turn with its dialogue as context, or without any context.

1. Each layer's time-mean of a turn is standardised on the fold's training turns. Their softmax-weighted sum (as in
   SUPERB) goes through a Linear.
2. A network of recurrent.py runs over the turns of the dialogue in their order: in both directions, or only forwards
   where the task asks for a later turn (`Problem.causal`) or the head reads the last turns alone (`recent_gru`). A
   Linear gives the logits of the classes.
3. The network reads all turns of a dialogue. Loss and figures count only turns that belong to the part (train, dev or
   test) and have a target.
4. In each fold, the learning rate and epoch that are best on dev are taken.

Without `context`, each turn is a dialogue of one turn: same network, same batches, same number of steps, no recurrence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from pydantic import JsonValue

from commons.corridors.features import Features, Pooled
from commons.corridors.predictions import Predictions
from commons.corridors.problem import Fold, Problem
from commons.progress import Progress
from downstreams import chance, choosing, part_weights
from downstreams.assembly import FoldResult, assemble
from downstreams.checks import check_dev, check_finite, dialogues, fitting
from downstreams.class_loss import ClassLoss
from downstreams.parallel import one_core_each, reported
from downstreams.recurrent import Dropout, Network, same
from downstreams.turn_settings import OfTurns, of_conversation


def evaluate(
    features: Features,
    problem: Problem,
    settings: Mapping[str, JsonValue],
    seeds: Sequence[int],
    device: str,
    progress: Progress | None = None,
) -> Predictions:
    """The head's predictions; `settings` are of one of turn_settings.OfTurns.

    Raises:
        DownstreamError: the features are not those of the problem or not finite, a fold has no dev part, or training
            overflows at every rate.
    """
    started = time.perf_counter()
    own = of_conversation(settings)
    check_dev(problem, "a head of conversations")
    turns = Turns(fitting(features.pooled, problem, "pooled features"), problem, device, features.parts)
    jobs = [(seed, fold, rate) for seed in seeds for fold in problem.folds for rate in own.rates]
    advance = reported(progress, len(jobs))
    with one_core_each(device) as pool:
        train = partial(_train, turns, problem=problem, settings=own, advance=advance)
        trained = list(pool.map(lambda job: train(*job), jobs))
    tries = len(own.rates)
    # max takes the first of equals: the lowest rate.
    results = [max(trained[i : i + tries], key=lambda r: r.figure) for i in range(0, len(trained), tries)]
    return assemble(problem, results, time.perf_counter() - started)


class Turns:
    """Time-means of all turns, by dialogues.

    Attributes:
        means: (N, L, D).
        speaker: (N,) counts the speakers of each dialogue from 0.
        dialogues: rows of each dialogue, in the order of its turns.
    """

    def __init__(self, pooled: Pooled, problem: Problem, device: str, widths: tuple[int, ...] = ()) -> None:
        """`widths`: of the parts of D, see part_weights.py; empty: there is one.

        Raises DownstreamError where the problem has no dialogues, or a feature is not finite.
        """
        self.device = torch.device(device)
        means = np.ascontiguousarray(pooled[:, 0])
        for layer in range(means.shape[1]):
            check_finite(means[:, layer], problem.ids, f"layer {layer}")
        self.means = torch.as_tensor(means, device=self.device)
        self.dialogues = dialogues(problem)
        speaker = np.zeros(len(means), dtype=np.int64)
        for rows in self.dialogues:
            speaker[rows] = np.unique(problem.speaker[rows], return_inverse=True)[1]
        self.speaker = torch.as_tensor(speaker, device=self.device)
        self._owner = part_weights.owners(widths or means.shape[2:])

    def around(self, part: np.ndarray, without: np.ndarray) -> list[np.ndarray]:
        """The dialogues of the turns `part`, longest first; the turns `without` are left out."""
        scored, left_out = (np.isin(np.arange(len(self.means)), rows) for rows in (part, without))
        there = [rows[~left_out[rows]] for rows in self.dialogues if scored[rows].any()]
        return sorted(there, key=len, reverse=True)

    def standards(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (L, D) of the turns `rows`, and what a value less its mean is multiplied by: its part's factor through
        its deviation; 0 for a constant value."""
        factors = part_weights.factors(self._owner)
        layers = []
        for layer in range(self.means.shape[1]):
            own = self.means[torch.as_tensor(rows, device=self.device), layer].double()
            scale = torch.where((own != own[0]).any(0), (own - own.mean(0)).square().mean(0).sqrt(), torch.inf)
            layers.append((own.mean(0), 1 / scale))
        centre, inverse = (torch.stack(part).float() for part in zip(*layers, strict=True))
        return centre, inverse if factors is None else inverse * factors.to(self.device)


@dataclass(frozen=True)
class Batch:
    """Some dialogues, one after another: rows (n,), their standardised features (n, L, D), speakers (n,), lengths."""

    rows: torch.Tensor
    x: torch.Tensor
    speaker: torch.Tensor
    lengths: list[int]


class FoldDialogues:
    """Dialogues as one fold has them: standardised on its training turns, without test turns but in test.

    Attributes:
        train, dev, test: the dialogues around the turns of each part, longest first.
    """

    def __init__(self, turns: Turns, fold: Fold, settings: OfTurns) -> None:
        self._turns, self._context, self._size = turns, settings.context, settings.batch
        self._centre, self._inverse = turns.standards(fold.train)
        self.train, self.dev = (turns.around(part, without=fold.test) for part in (fold.train, fold.dev))
        self.test = turns.around(fold.test, without=fold.test[:0])

    def batch(self, dialogues: list[np.ndarray]) -> Batch:
        """These dialogues; without context, each of their turns is one."""
        rows = torch.as_tensor(np.concatenate(dialogues), device=self._turns.device)
        x = self._turns.means.index_select(0, rows).sub_(self._centre).mul_(self._inverse)
        lengths = [len(dialogue) for dialogue in dialogues] if self._context else [1] * len(rows)
        return Batch(rows, x, self._turns.speaker[rows], lengths)

    def batches(self, dialogues: list[np.ndarray], order: torch.Tensor | None = None) -> Iterator[Batch]:
        """All the dialogues, in their order or that of the indices `order`."""
        indices = np.arange(len(dialogues)) if order is None else order
        for start in range(0, len(indices), self._size):
            yield self.batch([dialogues[i] for i in indices[start : start + self._size]])

    @torch.no_grad()
    def outputs(
        self, dialogues: list[np.ndarray], part: np.ndarray, function: Callable[[Batch], torch.Tensor]
    ) -> np.ndarray:
        """The rows (n, H) of the turns `part`, in their order, that `function` gives for the dialogues' batches."""
        computed = [(batch.rows, function(batch)) for batch in self.batches(dialogues)]
        there = computed[0][1].new_empty(len(self._turns.means), computed[0][1].shape[1])
        for rows, own in computed:
            there[rows] = own
        return there[torch.as_tensor(part, device=there.device)].cpu().numpy()


class Training:
    """Adam on a new network, over the dialogues of one fold."""

    def __init__(self, turns: Turns, problem: Problem, settings: OfTurns, seed: int, fold: Fold, rate: float) -> None:
        self._turns, self._problem, self._fold = turns, problem, fold
        self._draws = chance.generator(fold.name, seed)
        depth, width = turns.means.shape[1:]
        self.network = Network(depth, width, len(problem.classes), 1 if problem.causal else 2, settings)
        self.network.start(self._draws)
        self.network.to(turns.device)
        self._drop = Dropout(settings.dropout, self._draws)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=rate, weight_decay=settings.decay)
        self.dialogues = FoldDialogues(turns, fold, settings)
        self._scored = torch.zeros(len(turns.means), dtype=torch.bool, device=turns.device)
        self._scored[torch.as_tensor(fold.train, device=turns.device)] = True
        self._loss = ClassLoss.of_fold(problem, fold, settings, turns.device)

    def epoch(self) -> None:
        """One step a batch, over all training dialogues in random order."""
        known = self.dialogues.train
        for batch in self.dialogues.batches(known, torch.randperm(len(known), generator=self._draws)):
            own = self._scored[batch.rows]
            logits = self.network(batch.x, batch.speaker, batch.lengths, self._drop)[own]
            self._loss.mean(logits, batch.rows[own].cpu().numpy()).backward()
            self._optimiser.step()
            self._optimiser.zero_grad()

    def logits(self, batch: Batch) -> torch.Tensor:
        """(n, C), without dropout."""
        return self.network(batch.x, batch.speaker, batch.lengths, same)

    def figure(self) -> float:
        """`select_on` on the fold's dev part."""
        logits = self.dialogues.outputs(self.dialogues.dev, self._fold.dev, self.logits)
        return choosing.figures(self._problem, self._fold, logits[None])[0]

    def parameters(self) -> dict[str, torch.Tensor]:
        """A copy of the network's parameters as they are now."""
        return {name: part.clone() for name, part in self.network.state_dict().items()}


def _train(
    turns: Turns,
    seed: int,
    fold: Fold,
    rate: float,
    *,
    problem: Problem,
    settings: OfTurns,
    advance: Callable[[float], None],
) -> FoldResult:
    """The head of one fold, seed and rate, as it was in its best epoch on dev."""
    training = Training(turns, problem, settings, seed, fold, rate)
    best, best_epoch, kept = -np.inf, 0, training.parameters()
    for epoch in range(1, settings.epochs + 1):
        training.epoch()
        figure = training.figure()
        if figure > best:
            best, best_epoch, kept = figure, epoch, training.parameters()
        advance(1 / settings.epochs)
    network, test = training.network, training.dialogues.test
    network.load_state_dict(kept)
    outputs = partial(training.dialogues.outputs, test, fold.test)
    return FoldResult(
        fold=fold,
        seed=seed,
        choice={**choosing.of_grid(rate, settings.rates), "epoch": best_epoch},
        figure=float(best),
        probabilities=outputs(lambda batch: training.logits(batch).softmax(1)),
        outputs=outputs(lambda batch: network.projected(batch.x)),
        layer_weights=network.layers.softmax(0).tolist(),
        dev=training.dialogues.outputs(
            training.dialogues.dev, fold.dev, lambda batch: training.logits(batch).softmax(1)
        ),
    )
