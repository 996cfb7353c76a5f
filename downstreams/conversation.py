"""Heads of conversations: every turn is read in its dialogue, or, by the very same network, alone.

A turn enters as the softmax-weighted sum of its layers' time-means (as in SUPERB), each standardised on the fold's
training turns, and a Linear. A network of recurrent.py goes over the ordered turns of the dialogue, both ways unless
what is asked lies ahead (`Problem.causal`), and a Linear tells the classes. All turns are heard; those of the part that
have a target are scored. Of several learning rates and all epochs, the best on dev is taken, fold by fold. Without
`context`, each turn is a dialogue of its own: same network, same batches, same budget, no recurrence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from downstreams import chance, choosing
from downstreams.inputs import check_dev, check_finite, fitting
from downstreams.parallel import one_core_each, reported
from downstreams.predictions import Predictions, Reading, collected
from downstreams.recurrent import Dropout, Network, same

BALANCED = ("UA", "macro_F1")  # metrics to which every class counts the same: the loss weighs them so, too


def evaluate(
    features: Any, problem: Any, settings: dict[str, Any], seeds: list[int], device: str, progress: Any = None
) -> Predictions:
    """The head's predictions; `settings` has `network` (of recurrent.NETWORKS), `context`, `projector`, sizes of the
    network, `dropout`, `batch` (dialogues), `rates` (ascending), `decay` and `epochs`.

    Raises:
        DownstreamError: the features are not those of the problem or not finite, a fold has no dev part, or training
            overflows at every rate.
    """
    started = time.perf_counter()
    check_dev(problem, "a head of conversations")
    turns = Turns(fitting(features.pooled, problem, "pooled features"), problem, device)
    jobs = [(seed, fold, rate) for seed in seeds for fold in problem.folds for rate in settings["rates"]]
    advance = reported(progress, len(jobs))
    with one_core_each(device) as pool:
        train = partial(_train, turns, problem=problem, settings=settings, advance=advance)
        trained = list(pool.map(lambda job: train(*job), jobs))
    # The lowest rate of equals.
    tries = len(settings["rates"])
    readings = [max(trained[i : i + tries], key=lambda r: r.figure) for i in range(0, len(trained), tries)]
    return collected(problem, readings, time.perf_counter() - started)


class Turns:
    """Time-means of all turns, by dialogues.

    Attributes:
        means: (N, L, D).
        targets: (N,) class indices, -1 = none.
        speaker: (N,) counts the speakers of each dialogue from 0.
        dialogues: rows of each dialogue, in the order of its turns.
    """

    def __init__(self, pooled: Any, problem: Any, device: str) -> None:
        self.device = torch.device(device)
        means = np.ascontiguousarray(pooled[:, 0])
        for layer in range(means.shape[1]):
            check_finite(means[:, layer], problem.ids, f"layer {layer}")
        self.means = torch.as_tensor(means, device=self.device)
        self.targets = torch.tensor(problem.targets, device=self.device)
        _, dialogue = np.unique(problem.dialogue, return_inverse=True)
        order = np.lexsort((problem.turn, dialogue))
        self.dialogues = np.split(order, np.flatnonzero(np.diff(dialogue[order])) + 1)
        speaker = np.zeros(len(dialogue), dtype=np.int64)
        for rows in self.dialogues:
            speaker[rows] = np.unique(problem.speaker[rows], return_inverse=True)[1]
        self.speaker = torch.as_tensor(speaker, device=self.device)

    def around(self, part: np.ndarray, without: np.ndarray) -> list[np.ndarray]:
        """The dialogues of the turns `part`, longest first; turns `without` are not heard."""
        scored, silent = (np.isin(np.arange(len(self.means)), rows) for rows in (part, without))
        there = [rows[~silent[rows]] for rows in self.dialogues if scored[rows].any()]
        return sorted(there, key=len, reverse=True)

    def standards(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and inverse deviation (L, D) of the turns `rows`; 0 for the deviation of a constant value."""
        found = []
        for layer in range(self.means.shape[1]):
            own = self.means[torch.as_tensor(rows, device=self.device), layer].double()
            scale = torch.where((own != own[0]).any(0), (own - own.mean(0)).square().mean(0).sqrt(), torch.inf)
            found.append((own.mean(0), 1 / scale))
        centre, inverse = (torch.stack(part).float() for part in zip(*found, strict=True))
        return centre, inverse


@dataclass(frozen=True)
class Batch:
    """Some dialogues, one after another: rows (n,), their standardised features (n, L, D), speakers (n,), lengths."""

    rows: torch.Tensor
    x: torch.Tensor
    speaker: torch.Tensor
    lengths: list[int]


class Listener:
    """Reads dialogues as one fold does."""

    def __init__(self, turns: Turns, fold: Any, settings: dict[str, Any]) -> None:
        self._turns, self._context, self._size = turns, settings["context"], settings["batch"]
        self._centre, self._inverse = turns.standards(fold.train)

    def batch(self, dialogues: list[np.ndarray]) -> Batch:
        """These dialogues; without context, each of their turns is one."""
        rows = torch.as_tensor(np.concatenate(dialogues), device=self._turns.device)
        x = self._turns.means.index_select(0, rows).sub_(self._centre).mul_(self._inverse)
        lengths = [len(dialogue) for dialogue in dialogues] if self._context else [1] * len(rows)
        return Batch(rows, x, self._turns.speaker[rows], lengths)

    def batches(self, dialogues: list[np.ndarray], order: Any = None) -> Iterator[Batch]:
        """All the dialogues, in their order or that of the indices `order`."""
        order = np.arange(len(dialogues)) if order is None else order
        for start in range(0, len(order), self._size):
            yield self.batch([dialogues[i] for i in order[start : start + self._size]])

    @torch.no_grad()
    def outputs(self, dialogues: list[np.ndarray], part: np.ndarray, give: Callable[[Batch], torch.Tensor]) -> Any:
        """What `give` gives (n, H) for the batches of the dialogues, of the turns `part` in their order."""
        given = [(batch.rows, give(batch)) for batch in self.batches(dialogues)]
        there = given[0][1].new_empty(len(self._turns.means), given[0][1].shape[1])
        for rows, own in given:
            there[rows] = own
        return there[torch.as_tensor(part, device=there.device)].cpu().numpy()


def _train(
    turns: Turns,
    seed: int,
    fold: Any,
    rate: float,
    *,
    problem: Any,
    settings: dict[str, Any],
    advance: Callable[[float], None],
) -> Reading:
    draws = chance.generator(fold.name, seed)
    depth, width = turns.means.shape[1:]
    network = Network(depth, width, len(problem.classes), 1 if problem.causal else 2, settings)
    network.start(draws)
    network.to(turns.device)
    drop = Dropout(settings["dropout"], draws)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, weight_decay=settings["decay"])
    listener = Listener(turns, fold, settings)
    known, dev = (turns.around(part, without=fold.test) for part in (fold.train, fold.dev))
    test = turns.around(fold.test, without=fold.test[:0])
    scored = torch.zeros(len(turns.targets), dtype=torch.bool, device=turns.device)
    scored[torch.as_tensor(fold.train, device=turns.device)] = True
    weight = _balance(problem, fold).to(turns.device) if problem.select_on in BALANCED else None

    def logits(batch: Batch) -> torch.Tensor:
        return network(batch.x, batch.speaker, batch.lengths, same)

    best, found = -np.inf, 0
    kept = {name: part.clone() for name, part in network.state_dict().items()}
    for epoch in range(1, settings["epochs"] + 1):
        for batch in listener.batches(known, torch.randperm(len(known), generator=draws)):
            mine = scored[batch.rows]
            given = network(batch.x, batch.speaker, batch.lengths, drop)[mine]
            cross_entropy(given, turns.targets[batch.rows[mine]], weight).backward()
            optimiser.step()
            optimiser.zero_grad()
        figure = choosing.figures(problem, fold, listener.outputs(dev, fold.dev, logits)[None])[0]
        if figure > best:
            best, found = figure, epoch
            kept = {name: part.clone() for name, part in network.state_dict().items()}
        advance(1 / settings["epochs"])
    network.load_state_dict(kept)
    return Reading(
        fold=fold,
        seed=seed,
        chosen={**choosing.of_grid(rate, settings["rates"]), "epoch": found},
        figure=float(best),
        weights=network.layers.softmax(0).tolist(),
        test=listener.outputs(test, fold.test, lambda batch: logits(batch).softmax(1)),
        outputs=listener.outputs(test, fold.test, lambda batch: network.projected(batch.x)),
    )


def _balance(problem: Any, fold: Any) -> torch.Tensor:
    """Weights (C,) under which every class that train has counts the same."""
    counts = np.bincount(problem.targets[fold.train], minlength=len(problem.classes))
    return torch.tensor(len(fold.train) / np.maximum(counts, 1) / np.count_nonzero(counts), dtype=torch.float32)
