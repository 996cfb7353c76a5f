"""Pre-training, whole: what happens from a recipe and decoded speech to checkpoints, whatever the method.

The same on one process and on those that torchrun starts. `train` is the loop; everything that it calls is below it or
belongs to the method (method.Learner).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from upstreams.errors import UpstreamError
from upstreams.pretraining import method as methods
from upstreams.pretraining.batches import MicroBatch, Position, Stream, generator, upcoming
from upstreams.pretraining.checkpoints import Facts
from upstreams.pretraining.meter import Line, Meter, Sums
from upstreams.pretraining.method import Learner, Speech, Stateful
from upstreams.pretraining.pack import Pack
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.runfolder import RunFolder

NAMED = 5  # files that a message lists

Watch = Callable[[int, Line | None], bool]


def train(
    recipe: Recipe,
    speech: Speech,
    run: Path,
    device: torch.device,
    processes: Processes,
    watch: Watch,
    seen: dict[str, str] | None = None,
) -> Position:
    """Train to the recipe's last step, from the run's last state if there is one; returns where it ended.

    `watch` is called after every step, with the log's line where one is due, and ends the run by returning True.
    `seen` names the benchmark's corpora among the audio, if that is known.

    Raises:
        UpstreamError: NaN, collapse, a full disk, a folder that holds another run. The last whole state is kept.
    """
    folder = RunFolder(run, writes=processes.rank == 0)
    changes = folder.claim(recipe, speech.pack)
    trainer = Trainer.begin(recipe, speech, device, processes)
    start = folder.resume(trainer.state)
    processes.agree(beginning(recipe, speech.pack, start, trainer.learner))
    if changes and start.step:
        folder.log({"step": start.step, "changed": changes})
    meter = Meter(recipe, trainer.learner, device, processes.count)

    for at, step, after in upcoming(recipe, speech.pack.lengths, start):
        sums = trainer.backward(at, step)
        norm = trainer.norm()
        if not math.isfinite(norm):
            raise UpstreamError(not_finite(at, step, sums.losses, speech.pack, folder))
        moved = trainer.move(at, step, sums, norm)

        line = meter.line(at, after, step, sums, moved)
        if line:
            folder.log(line)
            check_collapse(line, at, recipe, trainer.learner, folder)
        stop = processes.any(watch(after.step, line))
        if stop or after.step in published(recipe):
            folder.publish(after.step, recipe.method, trainer.learner, origin(recipe, speech.pack, seen))
        if stop or after.step % recipe.save_every == 0 or after.step == recipe.optimiser.steps:
            folder.save(after, trainer.state)
        if stop:
            return after
    return Position(recipe.optimiser.steps)


@dataclass(frozen=True)
class Trainer:
    """A learner, and what moves it."""

    recipe: Recipe
    device: torch.device
    processes: Processes
    learner: Learner
    optimiser: torch.optim.AdamW
    gradients: Tensor  # of all parameters, flat

    @classmethod
    def begin(cls, recipe: Recipe, speech: Speech, device: torch.device, processes: Processes) -> Trainer:
        """Before the first step. Raises UpstreamError where `init` names a file that does not fit."""
        learner = methods.learner(recipe, speech, device)
        return cls(recipe, device, processes, learner, adamw(learner, recipe), flat_gradients(learner))

    @property
    def state(self) -> dict[str, Stateful]:
        """All that changes with a step, by name: what a run goes on from."""
        return {**self.learner.state, "optimiser": self.optimiser}

    def backward(self, at: Position, step: Sequence[MicroBatch]) -> Sums:
        """The losses of a step, over all its micro-batches in all processes; its gradient is then in `gradients`."""
        learner = self.learner
        weights = torch.tensor(list(learner.weights.values()), device=self.device)
        sums = Sums(len(step), len(weights), learner.statistics, self.device)
        self.gradients.zero_()
        for number in range(self.processes.rank, len(step), self.processes.count):
            torch.manual_seed(seed_of(self.recipe, at, number))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
                terms, statistics = learner.losses(step[number], step)
            (terms @ weights).backward()
            sums.add(number, terms, statistics)
        self.processes.sum(self.gradients)
        self.processes.sum(sums.flat)
        return sums

    def norm(self) -> float:
        """L2 norm of all gradients."""
        return float(self.gradients.norm())

    def move(self, at: Position, step: Sequence[MicroBatch], sums: Sums, norm: float) -> dict[str, float]:
        """Clip the gradient and take the optimiser's step; returns figures for the log."""
        optimiser = self.recipe.optimiser
        rate = optimiser.rate_at(at.step)
        if optimiser.clip is not None and norm > optimiser.clip:
            self.gradients.mul_(optimiser.clip / norm)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        return {"rate": rate, **self.learner.moved(at.step, step, sums.statistics), "gradient_norm": norm}


def adamw(learner: Learner, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices and kernels alone."""
    decayed: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in (named for module in learner.trained for named in module.named_parameters()):
        decayed[parameter.ndim > 1 and not name.endswith(learner.undecayed)].append(parameter)
    groups = [{"params": decayed[True], "weight_decay": recipe.optimiser.weight_decay},
              {"params": decayed[False], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, betas=recipe.optimiser.betas, eps=recipe.optimiser.eps, fused=True)


def flat_gradients(learner: Learner) -> Tensor:
    """One tensor whose parts are the gradients of all parameters, so that they are summed and clipped as one."""
    parameters = [parameter for module in learner.trained for parameter in module.parameters()]
    flat = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
    return flat


def seed_of(recipe: Recipe, at: Position, number: int) -> int:
    """The seed of dropout and noise: it follows from the micro-batch's place, whichever process computes it."""
    return int(generator(Stream.TORCH, recipe.seed, at.epoch, at.index, number).integers(2**63))


def beginning(recipe: Recipe, pack: Pack, start: Position, learner: Learner) -> dict[str, object]:
    """Facts that are equal in all processes when they begin; the file of `init` counts by its weights alone."""
    settings = recipe.model_copy(update={"init": None}).model_dump_json()
    weights = hashlib.sha256()
    for network in learner.networks.values():
        for tensor in network.state_dict().values():
            weights.update(tensor.cpu().contiguous().numpy())
    return {
        "step": start.step,
        "epoch": f"{start.epoch}, batch {start.index}",
        "speech": pack.key[:8],
        "recipe": hashlib.sha256(settings.encode()).hexdigest()[:8],
        "weights": weights.hexdigest()[:8],
    }


def published(recipe: Recipe) -> set[int]:
    """The steps after which checkpoints are written: evenly spaced, the last among them."""
    steps, number = recipe.optimiser.steps, recipe.checkpoints
    return {round(steps * i / number) for i in range(1, number + 1)} - {0}


def origin(recipe: Recipe, pack: Pack, seen: dict[str, str] | None) -> Facts:
    """What a checkpoint says of where it comes from. It is passed on, so it names no folder of this machine."""
    facts: Facts = {"recipe": recipe.origin(), "hours": round(pack.hours, 2), "audio": pack.key}
    if seen is not None:
        facts["seen"] = seen
    return facts


def check_collapse(line: Line, at: Position, recipe: Recipe, learner: Learner, folder: RunFolder) -> None:
    """Raises UpstreamError where targets or predictions hardly differ any more."""
    if line["step"] <= recipe.collapse.after:
        return
    for what, least in learner.watched.items():
        if line[f"{what}_var"] < least:
            raise UpstreamError(
                f"collapsed at step {line['step']} (epoch {at.epoch}, batch {at.index}): {what}s differ by only "
                f"{line[f'{what}_var']:.2g} ({what}_var), less than the recipe's limit {least:g}; the state at step "
                f"{folder.saved()} is kept in {folder.path}; go on with a lower optimiser.rate, or begin anew with "
                f"{recipe.against_collapse}: {way_on(folder)}"
            )


def not_finite(at: Position, step: Sequence[MicroBatch], losses: Tensor, pack: Pack, folder: RunFolder) -> str:
    """A message: where NaN or infinity came up, and what to do."""
    broken = [number for number, loss in enumerate(losses.sum(1).tolist()) if not math.isfinite(loss)]
    files = [pack.names[u] for number in broken for u in step[number].utterances]
    where = f"in micro-batch {', '.join(map(str, broken))} ({', '.join(files[:NAMED])} ...)" if broken else (
        "in the gradient alone, while all losses are finite"
    )  # fmt: skip
    return (
        f"NaN or infinity at step {at.step + 1} (epoch {at.epoch}, batch {at.index}) {where}; the state at step "
        f"{folder.saved()} is kept in {folder.path}; go on with a lower optimiser.rate, a lower optimiser.clip or "
        f"precision fp32: {way_on(folder)}"
    )


def way_on(folder: RunFolder) -> str:
    """How a run that failed can go on from its state, or another one from its last checkpoint."""
    go_on = "the same command with --set optimiser.rate=..."
    last = folder.last_checkpoint()
    return f"{go_on}, or a run of its own, --run OTHER --set init={last}" if last else go_on
