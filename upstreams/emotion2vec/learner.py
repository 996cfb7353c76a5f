"""Student, teacher and what moves them: one step of pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from upstreams.emotion2vec import checkpoint
from upstreams.emotion2vec.batches import MicroBatch
from upstreams.emotion2vec.heard import counts, hear
from upstreams.emotion2vec.losses import utterance_weight
from upstreams.emotion2vec.masks import Stream, draws
from upstreams.emotion2vec.meter import Sums
from upstreams.emotion2vec.model import Emotion2vec
from upstreams.emotion2vec.objective import terms
from upstreams.emotion2vec.pack import Pack
from upstreams.emotion2vec.processes import Processes
from upstreams.emotion2vec.recipe import Recipe
from upstreams.emotion2vec.runfolder import Position, Stateful
from upstreams.emotion2vec.schedule import ema_decay, learning_rate
from upstreams.emotion2vec.sides import Heads
from upstreams.emotion2vec.teacher import follow, teacher_of
from upstreams.emotion2vec.tracks import Tracks
from upstreams.errors import UpstreamError

FRESH = (".extra_tokens", ".decoder.")  # may be absent, or of another size, in the file a run begins with
NAMED = 5  # parameters that a message lists


@dataclass(frozen=True)
class Learner:
    """All that training changes."""

    recipe: Recipe
    device: torch.device
    processes: Processes
    student: Emotion2vec
    teacher: Emotion2vec
    heads: Heads  # of side targets
    optimiser: torch.optim.AdamW
    gradients: Tensor  # of all parameters, flat

    @classmethod
    def begin(cls, recipe: Recipe, device: torch.device, processes: Processes) -> Learner:
        """Before the first step. Raises UpstreamError where `init` names a file that does not fit."""
        student = initial(recipe).to(device).train()
        heads = Heads(recipe.loss, student.config.dim).to(device)
        return cls(
            recipe, device, processes, student, teacher_of(student), heads,
            adamw([student, heads], recipe), flat_gradients([student, heads]),
        )  # fmt: skip

    @property
    def state(self) -> dict[str, Stateful]:
        """All that changes with a step, by name: what a run goes on from."""
        return {"student": self.student, "teacher": self.teacher, "heads": self.heads, "optimiser": self.optimiser}

    def listen(self, at: Position, step: list[MicroBatch], pack: Pack, tracks: Tracks | None = None) -> Sums:
        """The gradients of a step, over all its micro-batches in all processes; returns its losses."""
        recipe, network = self.recipe, self.student.config
        masked, clones = counts(recipe, network, step)
        loss = recipe.loss
        weights = torch.tensor([loss.frame, loss.alpha, loss.side, loss.summary], device=self.device)
        sums = Sums(len(step), network.dim, masked, clones // recipe.batch.clones, self.device)
        self.gradients.zero_()
        for number in range(self.processes.rank, len(step), self.processes.count):
            heard = hear(pack, step[number], recipe, network, tracks).to(self.device)
            torch.manual_seed(place(recipe, at, number))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                part = terms(self.student, self.teacher, self.heads, heard, recipe)
            own, _ = counts(recipe, network, [step[number]])
            of_utterances = utterance_weight(loss.weighting, clones, own / masked)
            shares = torch.tensor([1 / masked, of_utterances, 1 / masked, of_utterances], device=self.device)
            losses = torch.stack([part.frame, part.utterance, part.side, part.summary]) * shares
            (losses @ weights).backward()
            sums.add(number, losses, part.moments)
        self.processes.sum(self.gradients)
        self.processes.sum(sums.flat)
        return sums

    def norm(self) -> float:
        """L2 norm of all gradients."""
        return float(self.gradients.norm())

    def descend(self, at: Position, norm: float) -> dict[str, float]:
        """Move the student down its gradients and the teacher after it; returns what the log says of it."""
        optimiser, teacher = self.recipe.optimiser, self.recipe.teacher
        rate = learning_rate(at.step, optimiser.steps, optimiser.rate, optimiser.warmup)
        decay = ema_decay(at.step, optimiser.steps, teacher.decay, teacher.end_decay, teacher.anneal)
        if optimiser.clip is not None and norm > optimiser.clip:
            self.gradients.mul_(optimiser.clip / norm)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        follow(self.teacher, self.student, decay)
        return {"rate": rate, "ema_decay": decay, "gradient_norm": norm}


def initial(recipe: Recipe) -> Emotion2vec:
    """The student before the first step: random, or a file's. Raises UpstreamError where that does not fit."""
    torch.manual_seed(recipe.seed)
    student = Emotion2vec(recipe.network)
    if recipe.init is None:
        return student
    path, own = Path(recipe.init).expanduser(), student.state_dict()
    found = checkpoint.read(path).weights
    fits = {name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape}
    if lacking := [name for name in own if name not in fits and not any(part in name for part in FRESH)]:
        raise UpstreamError(
            f"init {path}: does not fit the recipe's model; missing or of another shape: {', '.join(lacking[:NAMED])}"
            + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
        )
    student.load_state_dict(fits, strict=False)
    return student


def adamw(modules: Sequence[nn.Module], recipe: Recipe) -> torch.optim.AdamW:
    """Weight decay on matrices and kernels alone."""
    decayed: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in (named for module in modules for named in module.named_parameters()):
        decayed[parameter.ndim > 1 and not name.endswith("alibi_scale")].append(parameter)
    groups = [{"params": decayed[True], "weight_decay": recipe.optimiser.weight_decay},
              {"params": decayed[False], "weight_decay": 0.0}]  # fmt: skip
    return torch.optim.AdamW(groups, betas=recipe.optimiser.betas, eps=recipe.optimiser.eps, fused=True)


def flat_gradients(modules: Sequence[nn.Module]) -> Tensor:
    """One tensor whose parts are the gradients of all parameters, so that they are summed and clipped as one."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    flat = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
    return flat


def place(recipe: Recipe, at: Position, number: int) -> int:
    """A seed for dropout and noise: that of the micro-batch's place, whichever process it falls to."""
    return int(draws(Stream.TORCH, recipe.seed, at.epoch, at.index, number).integers(2**63))
