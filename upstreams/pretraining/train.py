"""Pre-training, whole: what happens from a recipe and decoded speech to checkpoints, whatever the method.

The same on one process and on those that torchrun starts. `train` is the loop; everything that it calls is below it or
belongs to the method (method.Learner).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from commons.bf16 import autocast
from upstreams.errors import SeenUnknown, UpstreamError
from upstreams.pretraining import method as methods
from upstreams.pretraining import record, stops
from upstreams.pretraining.batches import MicroBatch, Position, Stream, batches, generator
from upstreams.pretraining.checkpoints import Facts, all_seen, facts_of, labels_of, taught_by, warn_of_seen
from upstreams.pretraining.meter import Line, Meter, Sums
from upstreams.pretraining.method import Learner, Speech, Stateful
from upstreams.pretraining.processes import Processes
from upstreams.pretraining.recipe_sections import Recipe
from upstreams.pretraining.runfolder import RunFolder

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
    before = beginnings(recipe)
    if seen is None and (labels := labelled(before, speech)):
        corpora = ", ".join(labels)
        raise SeenUnknown(f"the scores, the teacher or the weights it begins with were learnt from labels of {corpora}")
    trainer = Trainer.begin(recipe, speech, device, processes)
    folder = RunFolder(run, writes=processes.rank == 0)
    with folder.alone():
        return _trained(trainer, speech, folder, watch, before, seen)


def _trained(
    trainer: Trainer,
    speech: Speech,
    folder: RunFolder,
    watch: Watch,
    before: Facts,
    seen: dict[str, str] | None,
) -> Position:
    """What `train` does once no other process can write into the folder."""
    recipe, learner, processes = trainer.recipe, trainer.learner, trainer.processes
    changes = folder.claim(recipe, speech.pack)
    start = folder.resume(trainer.state)
    processes.agree(beginning(recipe, speech, start, learner))
    if folder.writes and start.step and (last := folder.last_checkpoint()):
        warn_of_seen(last, recipe.method, seen)
    if changes and start.step:
        folder.log({"step": start.step, "changed": changes})
    meter = Meter(recipe, learner, trainer.device, processes.count)

    for position, micro_batches, following in batches(recipe, speech.pack.lengths, start):
        sums = trainer.backward(position, micro_batches)
        norm = trainer.gradient_norm()
        if not math.isfinite(norm):
            raise UpstreamError(stops.not_finite(position, micro_batches, sums.losses, speech.pack, folder))
        trainer.clip_gradients(norm, recipe.optimiser.clip)
        rate = recipe.optimiser.rate_at(position.step)
        trainer.optimiser_step(rate)
        moved = learner.moved(position.step, micro_batches, sums.statistics)

        figures = {"rate": rate, **moved, "gradient_norm": norm}
        line = meter.line(position, following, micro_batches, sums, figures)
        if line:
            folder.log(line)
            stops.check_collapse(line, position, recipe, learner, folder)
        stop = processes.any(watch(following.step, line))
        if stop or following.step in checkpoint_steps(recipe):
            folder.publish(following.step, recipe.method, learner, origin(recipe, speech, before, seen))
        if stop or following.step % recipe.save_every == 0 or following.step == recipe.optimiser.steps:
            folder.save(following, trainer.state)
        if stop:
            return following
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

    def backward(self, position: Position, micro_batches: Sequence[MicroBatch]) -> Sums:
        """The losses of a step, over all its micro-batches in all processes; its gradient is then in `gradients`."""
        learner = self.learner
        weights = torch.tensor(list(learner.weights.values()), device=self.device)
        sums = Sums(len(micro_batches), len(weights), learner.statistics, self.device)
        self.gradients.zero_()
        for number in range(self.processes.rank, len(micro_batches), self.processes.count):
            torch.manual_seed(seed_of(self.recipe, position, number))
            with autocast(self.device.type, self.recipe.precision == "bf16"):
                terms, statistics = learner.losses(micro_batches[number], micro_batches)
            (terms @ weights).backward()
            sums.add(number, terms, statistics)
        self.processes.sum(self.gradients)
        self.processes.sum(sums.flat)
        return sums

    def gradient_norm(self) -> float:
        """L2 norm of all gradients."""
        return float(self.gradients.norm())

    def clip_gradients(self, norm: float, limit: float | None) -> None:
        """Shrink the gradient, whose norm is `norm`, to `limit` where it is longer."""
        if limit is not None and norm > limit:
            self.gradients.mul_(limit / norm)

    def optimiser_step(self, rate: float) -> None:
        """Move the parameters along `gradients` at this learning rate."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()


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


def seed_of(recipe: Recipe, position: Position, number: int) -> int:
    """The seed of dropout and noise: it follows from the micro-batch's place, whichever process computes it."""
    return int(generator(Stream.TORCH, recipe.seed, position.epoch, position.index, number).integers(2**63))


def beginning(recipe: Recipe, speech: Speech, start: Position, learner: Learner) -> dict[str, object]:
    """Facts that are equal in all processes when they begin; of files the content counts, not where they lie."""
    settings = json.dumps(record.without_places(recipe.plain()))
    weights = hashlib.sha256()
    for network in learner.networks.values():
        for tensor in network.state_dict().values():
            weights.update(tensor.cpu().contiguous().numpy())
    return {
        "step": start.step,
        "epoch": f"{start.epoch}, batch {start.index}",
        "speech": speech.pack.key[:8],
        "scores": speech.scores.key[:8] if speech.scores else "none",
        "teacher": taught_by(speech.frames.teacher)[-10:] if speech.frames else "none",
        "recipe": hashlib.sha256(settings.encode()).hexdigest()[:8],
        "weights": weights.hexdigest()[:8],
    }


def checkpoint_steps(recipe: Recipe) -> set[int]:
    """The steps after which checkpoints are written: evenly spaced, the last among them."""
    steps, number = recipe.optimiser.steps, recipe.checkpoints
    return {round(steps * i / number) for i in range(1, number + 1)} - {0}


def origin(recipe: Recipe, speech: Speech, before: Facts, seen: dict[str, str] | None) -> Facts:
    """What a checkpoint says of where it comes from. It is passed on, so it names no folder of this machine.

    `before`: the same of the weights that it began with; what these have seen is seen here, too.
    """
    facts: Facts = {"recipe": recipe.origin(), "hours": round(speech.pack.hours, 2), "audio": speech.pack.key}
    if speech.scores:
        facts["scores"] = speech.scores.key
    if before:
        facts["began_with"] = before
    if speech.frames:
        facts["teacher"] = speech.frames.teacher
    if seen is not None:
        facts["seen"] = all_seen(seen, facts, labelled(before, speech))
    return facts


def beginnings(recipe: Recipe) -> Facts:
    """Where the weights of `init` come from; empty where there are none, or their file does not say."""
    path = None if recipe.init is None else Path(recipe.init).expanduser()
    return (facts_of(path, recipe.method) if path else None) or {}


def labelled(before: Facts, speech: Speech) -> dict[str, str]:
    """Corpus -> "labels" of those whose labels taught the scores, the teacher, or the weights that it began with."""
    of_scores = speech.scores.seen if speech.scores else {}
    return labels_of(before) | of_scores | (labels_of(speech.frames.teacher) if speech.frames else {})
